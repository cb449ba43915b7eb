"""embedding: images and weights to a method's ``residuals``, ``maps``, ``scores``, ``patch_losses``, and its
``applicability``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.embedding.nodes import make_judge, make_map, score_images, score_patches, smooth_maps


def create_pipeline(spec: Method) -> Pipeline:
    return Pipeline(
        [
            Node(
                make_map(spec),
                name="map_images",
                inputs={
                    "images": "images",
                    "manifest": "manifest",
                    "patch_index": "patch_index",
                    "weights": "weights",
                    "patches": "params:patches",
                    "model": "params:model",
                    "compute": "params:compute",
                    "progress": "progress",
                },
                outputs="residuals",
            ),
            Node(
                smooth_maps,
                name="smooth_maps",
                inputs={"residuals": "residuals", "map": "params:map"},
                outputs="maps",
            ),
            Node(
                score_images,
                name="score_images",
                inputs={"maps": "maps", "manifest": "manifest"},
                outputs="scores",
            ),
            Node(
                score_patches,
                name="score_patches",
                inputs={
                    "residuals": "residuals",
                    "masks": "masks",
                    "manifest": "manifest",
                    "patch_index": "patch_index",
                    "patches": "params:patches",
                },
                outputs="patch_losses",
            ),
            Node(
                make_judge(spec),
                name="judge_applicability",
                inputs={
                    "images": "images",
                    "manifest": "manifest",
                    "weights": "weights",
                    "prospect": "prospect",
                    "patches": "params:patches",
                    "model": "params:model",
                    "seed": "params:seed",
                    "applicability": "params:applicability",
                    "compute": "params:compute",
                },
                outputs="applicability",
            ),
        ],
        namespace=spec.name,
        inputs={"images", "masks", "manifest", "progress"},
        parameters={"params:compute", "params:seed", "params:applicability"},
        tags="embedding",
    )
