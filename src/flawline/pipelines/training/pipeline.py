"""training: patches of normal images to a method's ``weights``, ``history`` and ``sketches``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.training.nodes import make_train


def create_pipeline(spec: Method) -> Pipeline:
    return Pipeline(
        [
            Node(
                make_train(spec),
                name="train",
                inputs={
                    "images": "images",
                    "manifest": "manifest",
                    "patches": "params:patches",
                    "model": "params:model",
                    "train": "params:train",
                    "seed": "params:seed",
                    "compute": "params:compute",
                    "checkpoints": "checkpoints",
                    "machine": "machine",
                    "progress": "progress",
                },
                outputs=["weights", "history", "sketches"],
            ),
        ],
        namespace=spec.name,
        inputs={"images", "manifest", "machine", "progress"},
        parameters={"params:seed", "params:compute"},
        tags="training",
    )
