"""The one template of a method: patch, fit, map, score, calibrate, evaluate, finish; steps it lacks are left out."""

from kedro.pipeline import Pipeline

from flawline.methods.registry import Method, OneClass
from flawline.pipelines import embedding, evaluation, patching, redrawing, training

STAGES = {"patching": patching, "training": training, "embedding": embedding, "evaluation": evaluation}


def method_pipeline(spec: Method) -> Pipeline:
    """Return the whole pipeline of a method; its namespace and tag are the method's name. What redraws images for it
    has its own."""
    own = sum((stage.create_pipeline(spec) for stage in STAGES.values()), Pipeline([]))
    whole = redrawing.create_pipeline(spec.redrawer) + own if isinstance(spec, OneClass) and spec.redrawer else own
    return Pipeline([whole], tags=spec.name)
