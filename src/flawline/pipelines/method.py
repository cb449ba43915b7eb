"""The one template of a method: patch, fit, map, score, calibrate, evaluate, finish."""

from kedro.pipeline import Pipeline

from flawline.methods.registry import Method
from flawline.pipelines import embedding, evaluation, patching, training

STAGES = {"patching": patching, "training": training, "embedding": embedding, "evaluation": evaluation}


def method_pipeline(spec: Method) -> Pipeline:
    """Return the whole pipeline of a method; its namespace and tag are the method's name."""
    return Pipeline([sum((stage.create_pipeline(spec) for stage in STAGES.values()), Pipeline([]))], tags=spec.name)
