"""patching: images and a method's geometry to its ``patch_index``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.patching.nodes import index_grid


def create_pipeline(spec: Method) -> Pipeline:
    return Pipeline(
        [
            Node(
                index_grid,
                name="index_grid",
                inputs={"images": "images", "masks": "masks", "patches": "params:patches"},
                outputs="patch_index",
            ),
        ],
        namespace=spec.name,
        inputs={"images", "masks"},
        tags="patching",
    )
