"""training: patches of normal images to a method's ``weights``, ``history`` and ``sample_reconstructions``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Autoencoder, Method
from flawline.pipelines.training.nodes import make_train

# What every training takes beside its images.
TRAINING = {
    "manifest": "usable_manifest",
    "patches": "params:patches",
    "model": "params:model",
    "train": "params:train",
    "seed": "params:seed",
    "compute": "params:compute",
    "checkpoints": "checkpoints",
    "machine": "machine",
    "progress": "progress",
}


def create_pipeline(spec: Method) -> Pipeline:
    if not isinstance(spec, Autoencoder):
        return Pipeline([])  # what is trained and cut into patches there is its redrawer
    return Pipeline(
        [
            Node(
                make_train(spec),
                name="train",
                inputs={"images": "images", **TRAINING},
                outputs=["weights", "history", "sample_reconstructions"],
            ),
        ],
        namespace=spec.name,
        inputs={"images", "usable_manifest", "machine", "progress"},
        parameters={"params:seed", "params:compute"},
        tags="training",
    )
