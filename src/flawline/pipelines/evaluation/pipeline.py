"""evaluation: scores, maps and labels to ``thresholds``, ``metrics``, ``curves``, ``verdicts`` and the ``detector``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.evaluation.nodes import calibrate_thresholds, evaluate, judge_tests, make_finish


def create_pipeline(spec: Method) -> Pipeline:
    return Pipeline(
        [
            Node(
                calibrate_thresholds,
                name="calibrate",
                inputs={"scores": "scores", "evaluation": "params:evaluation"},
                outputs="thresholds",
            ),
            Node(
                evaluate,
                name="evaluate",
                inputs={
                    "scores": "scores",
                    "maps": "maps",
                    "residuals": "residuals",
                    "masks": "masks",
                    "manifest": "manifest",
                    "history": "history",
                    "thresholds": "thresholds",
                    "evaluation": "params:evaluation",
                },
                outputs=["metrics", "curves"],
            ),
            Node(
                judge_tests,
                name="judge_tests",
                inputs={
                    "scores": "scores",
                    "maps": "maps",
                    "manifest": "manifest",
                    "thresholds": "thresholds",
                    "inspection": "params:inspection",
                },
                outputs="verdicts",
            ),
            Node(
                make_finish(spec),
                name="finish_detector",
                inputs={
                    "weights": "weights",
                    "images": "images",
                    "manifest": "manifest",
                    "scores": "scores",
                    "thresholds": "thresholds",
                    "category": "params:category",
                    "seed": "params:seed",
                    "patches": "params:patches",
                    "model": "params:model",
                    "map": "params:map",
                    "evaluation": "params:evaluation",
                    "registration": "params:registration",
                },
                outputs="detector",
            ),
        ],
        namespace=spec.name,
        inputs={"images", "masks", "manifest"},
        parameters={
            "params:evaluation",
            "params:inspection",
            "params:registration",
            "params:category",
            "params:seed",
        },
        tags="evaluation",
    )
