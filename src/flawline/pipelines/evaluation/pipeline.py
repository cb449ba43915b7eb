"""evaluation: scores, maps and labels to ``thresholds``, ``operating_points``, ``metrics``, ``curves``, ``verdicts``
and the ``detector``; and what that finds, ``detectability``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.evaluation.finding import draw_sized_defects, judge_sized_defects, tell_detectability
from flawline.pipelines.evaluation.nodes import (
    list_operating_points,
    list_suspicious,
    make_calibrate,
    make_evaluate,
    make_finish,
    make_judge_tests,
)

SHARED = {"images", "masks", "usable_manifest", "alignment", "aligner", "folds", "measurements", "sized_defects"}
SETTINGS = ("category", "seed", "evaluation", "ingestion", "registration", "inspection", "compute")
PARAMETERS = {f"params:{name}" for name in SETTINGS}


def create_pipeline(spec: Method) -> Pipeline:
    """Return the evaluation of a method."""
    nodes = [_calibrate(spec), _suspect(), _operate(), _evaluate(spec), _judge_tests(spec), _finish(spec),
             _judge_sized(spec), _tell()]  # fmt: skip
    used = {name for node in nodes for name in node.inputs}
    inputs = {name: name for name in SHARED & used}
    parameters = {name: name for name in PARAMETERS & used}
    row = spec.reconstructor
    if row is not None and row is not spec.own_reconstructor:  # it has its own namespace
        inputs["weights"] = f"{row.name}.weights"
        parameters |= {f"params:{part}": f"params:{row.name}.{part}" for part in row.parts}
    own = Pipeline(nodes, namespace=spec.name, inputs=inputs, parameters=parameters, tags=["evaluation", spec.name])
    return _draw() + own


def _draw() -> Pipeline:
    """Return the node, one for all methods, that draws the pseudo-defects of known size and contrast."""
    inputs = {"images": "images", "manifest": "usable_manifest", "seed": "params:seed"}
    inputs |= {name: f"params:{name}" for name in ("detectability", "defect_injection")}
    node = Node(draw_sized_defects, name="draw_sized_defects", inputs=inputs, outputs="sized_defects")
    return Pipeline([node], tags="evaluation")


def _calibrate(spec: Method) -> Node:
    inputs = {"scores": "scores", "pseudo_scores": "pseudo_scores", "evaluation": "params:evaluation"}
    inputs |= {"scorer": spec.scorer_dataset, "aligner": "aligner"} | ({"folds": "folds"} if spec.folds else {})
    return Node(make_calibrate(spec), name="calibrate", inputs=inputs, outputs="thresholds")


def _suspect() -> Node:
    return Node(list_suspicious, name="list_suspicious", inputs={"scores": "scores"}, outputs="suspicious")


def _operate() -> Node:
    inputs = {name: name for name in ("scores", "pseudo_scores", "thresholds")} | {"evaluation": "params:evaluation"}
    return Node(list_operating_points, name="list_operating_points", inputs=inputs, outputs="operating_points")


def _evaluate(spec: Method) -> Node:
    """Return the node that measures; of a reconstructor of the method's own, also how it learned to."""
    more = {"history": spec.trains, "codes": spec.codes, "residuals": spec.raw_maps,
            "similarity": spec.similarity}  # fmt: skip
    names = ["scores", "maps", "masks", "thresholds", *(name for name, has in more.items() if has)]
    inputs = {name: name for name in names} | {"manifest": "usable_manifest", "evaluation": "params:evaluation"}
    inputs |= {"scorer": spec.scorer_dataset} if spec.raw_maps else {}
    return Node(make_evaluate(spec), name="evaluate", inputs=inputs, outputs=["metrics", "curves"])


def _judge_tests(spec: Method) -> Node:
    inputs = {name: name for name in ("scores", "maps", "alignment", "thresholds")}
    inputs |= {"manifest": "usable_manifest", "inspection": "params:inspection", "scorer": spec.scorer_dataset}
    return Node(make_judge_tests(spec), name="judge_tests", inputs=inputs, outputs="verdicts")


def _finish(spec: Method) -> Node:
    named = ("aligner", "images", "maps", "measurements", "scores", "pseudo_scores", "thresholds")
    inputs = {name: name for name in named}
    inputs |= {"manifest": "usable_manifest"} | {name: f"params:{name}" for name in SETTINGS}
    inputs |= {"scorer": spec.scorer_dataset} | ({"one_class": "one_class"} if spec.scorer_class.learns else {})
    if spec.reconstructor is not None:
        inputs |= {"weights": "weights"} | {part: f"params:{part}" for part in spec.reconstructor.parts}
    return Node(make_finish(spec), name="finish_detector", inputs=inputs, outputs="detector")


def _judge_sized(spec: Method) -> Node:
    inputs = {name: name for name in ("detector", "sized_defects", "images", "alignment", "aligner", "verdicts")}
    inputs |= {"manifest": "usable_manifest", "compute": "params:compute"}
    inputs |= {"folds": "folds"} if spec.folds else {}
    return Node(judge_sized_defects, name="judge_sized_defects", inputs=inputs, outputs="sized_verdicts")


def _tell() -> Node:
    inputs = {name: name for name in ("sized_verdicts", "verdicts", "masks")} | {"manifest": "usable_manifest"}
    outputs = ["detectability", "pod_curves", "real_rates"]
    return Node(tell_detectability, name="tell_detectability", inputs=inputs, outputs=outputs)
