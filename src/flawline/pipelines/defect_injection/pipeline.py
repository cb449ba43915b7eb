"""defect_injection: normal images to ``pseudo_images``, ``pseudo_masks`` and the parameters of each pseudo-defect."""

from kedro.pipeline import Node, Pipeline

from flawline.pipelines.defect_injection.nodes import make_inject_defects


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            Node(
                make_inject_defects("calibration"),
                name="inject_defects",
                inputs={
                    "images": "images",
                    "manifest": "usable_manifest",
                    "defect_injection": "params:defect_injection",
                    "seed": "params:ingestion.splits.seed",
                },
                outputs=["pseudo_images", "pseudo_masks", "pseudo_defects"],
            ),
        ],
        tags="defect_injection",
    )
