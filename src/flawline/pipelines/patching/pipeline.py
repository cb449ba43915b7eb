"""patching: images and an autoencoder's geometry to its ``patch_index`` and ``expected_suitability``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Autoencoder, Method
from flawline.pipelines.patching.nodes import expect_suitability_of, index_grid


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
                expect_suitability_of,
                name="expect_suitability_of",
                inputs={
                    "images": "images",
                    "manifest": "usable_manifest",
                    "patches": "params:patches",
                    "code_length": "params:model.latent_size",
                    "seed": "params:seed",
                    "suitability": "params:suitability",
                },
                outputs="expected_suitability",
            ),
        ],
        namespace=spec.name,
        inputs={"images", "masks", "usable_manifest"},
        parameters={"params:seed", "params:suitability"},
        tags="patching",
    )
