"""The one template of a method: its reconstructor, then its scorer; what its row does not have is left out."""

from functools import reduce
from operator import add

from kedro.pipeline import Pipeline

from flawline.methods.registry import Method
from flawline.pipelines import embedding, evaluation, patching, training

STAGES = {"patching": patching, "training": training, "embedding": embedding, "evaluation": evaluation}


def method_pipeline(spec: Method) -> Pipeline:
    """Return the whole pipeline of a method: the nodes of its reconstructor, in the namespace of that, and its own."""
    return reduce(add, (stage.create_pipeline(spec) for stage in STAGES.values()))
