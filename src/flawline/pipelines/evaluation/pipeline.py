"""evaluation: scores, maps and labels to ``thresholds``, ``metrics``, ``curves``, ``verdicts`` and the ``detector``."""

from collections.abc import Callable

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Autoencoder, Method, OneClass
from flawline.pipelines.evaluation.nodes import (
    calibrate_thresholds,
    evaluate,
    evaluate_autoencoder,
    evaluate_redrawer,
    make_finish,
    make_finish_one_class,
    make_judge_tests,
)

SHARED = ("images", "masks", "usable_manifest", "alignment", "aligner")
PARAMETERS = tuple(f"params:{name}" for name in ("evaluation", "inspection", "registration", "category", "seed"))


def create_pipeline(spec: Method) -> Pipeline:
    finish = _finish(spec) if isinstance(spec, Autoencoder) else _finish_one_class(spec)
    redrawer = _redrawer_of(spec) if isinstance(spec, OneClass) else {}
    own = {*SHARED, *(name for name in redrawer.values() if not name.startswith("params:"))}
    parameters = {*PARAMETERS, *(name for name in redrawer.values() if name.startswith("params:"))}
    return Pipeline(
        [
            Node(
                calibrate_thresholds,
                name="calibrate",
                inputs={"scores": "scores", "evaluation": "params:evaluation"},
                outputs="thresholds",
            ),
            _evaluate(spec),
            Node(
                make_judge_tests(spec),
                name="judge_tests",
                inputs={
                    "scores": "scores",
                    "maps": "maps",
                    "manifest": "usable_manifest",
                    "alignment": "alignment",
                    "thresholds": "thresholds",
                    "inspection": "params:inspection",
                },
                outputs="verdicts",
            ),
            finish,
        ],
        namespace=spec.name,
        inputs=own,
        parameters=parameters,
        tags="evaluation",
    )


def _evaluate(spec: Method) -> Node:
    """Return the node that measures; of what redraws images, also how it learned to."""
    measured = ("scores", "maps", "masks", "thresholds")
    more: tuple[str, ...] = ()
    node: Callable = evaluate
    if isinstance(spec, Autoencoder):
        node, more = evaluate_autoencoder, ("residuals", "history")
    elif spec.name == "cpcae":
        node, more = evaluate_redrawer, ("history", "codes")
    inputs = {name: name for name in (*measured, *more)} | {
        "manifest": "usable_manifest",
        "evaluation": "params:evaluation",
    }
    return Node(node, name="evaluate", inputs=inputs, outputs=["metrics", "curves"])


COMMON = {
    "aligner": "aligner",
    "images": "images",
    "manifest": "usable_manifest",
    "scores": "scores",
    "thresholds": "thresholds",
    "category": "params:category",
    "seed": "params:seed",
    "evaluation": "params:evaluation",
    "registration": "params:registration",
}


def _finish(spec: Autoencoder) -> Node:
    own = {"weights": "weights", "patches": "params:patches", "model": "params:model", "map": "params:map"}
    return Node(make_finish(spec), name="finish_detector", inputs={**COMMON, **own}, outputs="detector")


def _finish_one_class(spec: OneClass) -> Node:
    inputs = {**COMMON, "one_class": "one_class", "head": "params:head", **_redrawer_of(spec)}
    return Node(make_finish_one_class(spec), name="finish_detector", inputs=inputs, outputs="detector")


def _redrawer_of(spec: OneClass) -> dict[str, str]:
    """Return where the detector finds what redraws its images: argument -> entry, none where nothing does."""
    if spec.redrawer is None:
        return {}
    weights = {"redrawer_weights": f"{spec.redrawer}.weights"}
    geometry = {name: f"params:{spec.redrawer}.{name}" for name in ("patches", "model")}
    return weights | (geometry if spec.redrawer == "cpcae" else {})
