"""inspection: a folder of new images and a finished detector to ``verdicts``, pictures and a page."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.inspection.nodes import (
    inspect_images,
    inspection_page,
    judge_challenge_set,
    list_new_images,
    look_for_drift,
    tabulate_verdicts,
)


def create_pipeline(spec: Method) -> Pipeline:
    """Return the inspection by a method's detector."""
    detector, settings = f"{spec.name}.detector", "params:inspection"
    return Pipeline(
        [
            Node(
                list_new_images, name="list_new_images", inputs={"new_images": "new_images"}, outputs="inspection_list"
            ),
            Node(
                judge_challenge_set,
                name="judge_challenge_set",
                inputs={
                    "challenge_set": "challenge_set",
                    "detector": detector,
                    "inspection": settings,
                    "compute": "params:compute",
                },
                outputs="challenge_results",
            ),
            Node(
                inspect_images,
                name="inspect_images",
                inputs={
                    "new_images": "new_images",
                    "inspection_list": "inspection_list",
                    "challenge_results": "challenge_results",
                    "detector": detector,
                    "inspection": settings,
                    "compute": "params:compute",
                    "progress": "progress",
                },
                outputs="inspected",
            ),
            Node(
                tabulate_verdicts,
                name="tabulate_verdicts",
                inputs={
                    "new_images": "new_images",
                    "inspection_list": "inspection_list",
                    "inspected": "inspected",
                    "detector": detector,
                    "run": "run",
                    "inspection": settings,
                },
                outputs="verdicts",
            ),
            Node(
                look_for_drift,
                name="look_for_drift",
                inputs={"inspected": "inspected", "detector": detector, "inspection": settings},
                outputs="drift",
            ),
            Node(
                inspection_page,
                name="inspection_page",
                inputs={
                    "new_images": "new_images",
                    "inspected": "inspected",
                    "detector": detector,
                    "challenge_results": "challenge_results",
                    "drift": "drift",
                    "run": "run",
                    "inspection": settings,
                },
                outputs=["inspection_report", "inspection_summary"],
            ),
        ],
        tags="inspection",
    )
