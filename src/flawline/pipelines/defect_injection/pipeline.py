"""defect_injection: normal images to ``pseudo_images``, ``pseudo_masks``, the parameters of each pseudo-defect, and a
picture of one of each kind."""

from kedro.pipeline import Node, Pipeline

from flawline.pipelines.defect_injection.nodes import draw_gallery, inject_defects, tabulate_defects


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            Node(
                inject_defects,
                name="inject_defects",
                inputs={
                    "images": "images",
                    "manifest": "usable_manifest",
                    "defect_injection": "params:defect_injection",
                    "seed": "params:ingestion.splits.seed",
                },
                outputs=["pseudo_images", "pseudo_masks"],
            ),
            Node(
                tabulate_defects,
                name="tabulate_defects",
                inputs={"pseudo_images": "pseudo_images"},
                outputs="pseudo_defects",
            ),
            Node(
                draw_gallery,
                name="draw_gallery",
                inputs={
                    "images": "images",
                    "manifest": "usable_manifest",
                    "pseudo_images": "pseudo_images",
                    "pseudo_masks": "pseudo_masks",
                    "pseudo_defects": "pseudo_defects",
                },
                outputs="pseudo_gallery",
            ),
        ],
        tags="defect_injection",
    )
