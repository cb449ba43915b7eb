"""patching: images and an autoencoder's geometry to its ``patch_index`` and ``prospect``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Autoencoder, Method
from flawline.pipelines.patching.nodes import index_grid, look_ahead


def create_pipeline(spec: Method) -> Pipeline:
    if not isinstance(spec, Autoencoder):
        return Pipeline([])  # what is trained and cut into patches there is its redrawer
    return Pipeline(
        [
            Node(
                index_grid,
                name="index_grid",
                inputs={"images": "images", "masks": "masks", "patches": "params:patches"},
                outputs="patch_index",
            ),
            Node(
                look_ahead,
                name="look_ahead",
                inputs={
                    "images": "images",
                    "manifest": "roster",
                    "patches": "params:patches",
                    "code_length": "params:model.latent_size",
                    "seed": "params:seed",
                    "applicability": "params:applicability",
                },
                outputs="prospect",
            ),
        ],
        namespace=spec.name,
        inputs={"images", "masks", "roster"},
        parameters={"params:seed", "params:applicability"},
        tags="patching",
    )
