"""The one template of a method: patch, fit, map, score, calibrate, evaluate, finish; steps it lacks are left out."""

from kedro.pipeline import Pipeline

from flawline.methods.registry import Method, OneClass
from flawline.pipelines import embedding, evaluation, patching, redrawing, training

STAGES = {"patching": patching, "training": training, "embedding": embedding, "evaluation": evaluation}


def method_pipeline(spec: Method) -> Pipeline:
    """Return the whole pipeline of a method; its namespace and tag are the method's name. What redraws images for it
    has its own."""
    own = sum((create_stage(name, spec) for name in STAGES), Pipeline([]))
    whole = redrawing.create_pipeline(spec.redrawer) + own if isinstance(spec, OneClass) and spec.redrawer else own
    return Pipeline([whole], tags=spec.name)


def create_stage(name: str, spec: Method) -> Pipeline:
    """Return one stage of a method."""
    return STAGES[name].create_pipeline(spec)
