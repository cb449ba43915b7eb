"""embedding: images and weights to a method's ``maps`` and ``scores``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.embedding.nodes import make_map, score_images


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
                    "map": "params:map",
                    "compute": "params:compute",
                    "progress": "progress",
                },
                outputs="maps",
            ),
            Node(
                score_images,
                name="score_images",
                inputs={"maps": "maps", "manifest": "manifest"},
                outputs="scores",
            ),
        ],
        namespace=spec.name,
        inputs={"images", "manifest", "progress"},
        parameters={"params:compute"},
        tags="embedding",
    )
