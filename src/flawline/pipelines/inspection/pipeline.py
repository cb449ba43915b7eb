"""inspection: a folder of new images and a finished detector to ``verdicts``, pictures and a page."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.inspection.nodes import (
    draw_overlays,
    inspection_page,
    judge_new_images,
    list_new_images,
    map_new_images,
    score_new_images,
)


def create_pipeline(spec: Method) -> Pipeline:
    detector, settings = f"{spec.name}.detector", "params:inspection"
    return Pipeline(
        [
            Node(
                list_new_images,
                name="list_new_images",
                inputs={"new_images": "new_images", "detector": detector, "inspection": settings},
                outputs="inspection_list",
            ),
            Node(
                map_new_images,
                name="map_new_images",
                inputs={
                    "new_images": "new_images",
                    "inspection_list": "inspection_list",
                    "detector": detector,
                    "inspection": settings,
                    "progress": "progress",
                },
                outputs="inspection_maps",
            ),
            Node(
                score_new_images,
                name="score_new_images",
                inputs={
                    "new_images": "new_images",
                    "inspection_list": "inspection_list",
                    "inspection_maps": "inspection_maps",
                    "detector": detector,
                    "inspection": settings,
                },
                outputs="inspection_scores",
            ),
            Node(
                judge_new_images,
                name="judge_new_images",
                inputs={
                    "inspection_list": "inspection_list",
                    "inspection_maps": "inspection_maps",
                    "inspection_scores": "inspection_scores",
                    "detector": detector,
                    "inspection": settings,
                },
                outputs="verdicts",
            ),
            Node(
                draw_overlays,
                name="draw_overlays",
                inputs={
                    "new_images": "new_images",
                    "inspection_list": "inspection_list",
                    "inspection_maps": "inspection_maps",
                    "verdicts": "verdicts",
                    "detector": detector,
                    "inspection": settings,
                },
                outputs="overlays",
            ),
            Node(
                inspection_page,
                name="inspection_page",
                inputs={
                    "new_images": "new_images",
                    "inspection_list": "inspection_list",
                    "inspection_maps": "inspection_maps",
                    "verdicts": "verdicts",
                    "detector": detector,
                    "run": "run",
                    "inspection": settings,
                    "reporting": "params:reporting",
                },
                outputs=["inspection_report", "inspection_summary"],
            ),
        ],
        tags="inspection",
    )
