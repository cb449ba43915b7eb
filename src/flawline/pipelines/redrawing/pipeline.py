"""redrawing: images to how they differ from what they should look like, ``differences``, for the methods that look at
these. Its nodes belong to the stages patching, training and embedding."""

from kedro.pipeline import Node, Pipeline

from flawline.pipelines.redrawing import nodes
from flawline.pipelines.training.pipeline import TRAINING


def create_pipeline(name: str) -> Pipeline:
    """Return the pipeline of the redrawer ``name``, one of `flawline.methods.registry.REDRAWERS`."""
    return {"cpcae": _cpcae, "mean_image": _mean_image}[name]()


def _mean_image() -> Pipeline:
    return Pipeline(
        [
            Node(
                nodes.average_images,
                name="train",
                inputs={"images": "images", "manifest": "usable_manifest"},
                outputs="weights",
                tags="training",
            ),
            Node(
                nodes.subtract_mean,
                name="redraw",
                inputs={"images": "images", "weights": "weights", "progress": "progress"},
                outputs="differences",
                tags="embedding",
            ),
        ],
        namespace="mean_image",
        inputs={"images", "usable_manifest", "progress"},
        tags="mean_image",
    )


def _cpcae() -> Pipeline:
    training = {"small_images": "small_images", **TRAINING}
    trained = {
        "weights": "weights",
        "patches": "params:patches",
        "model": "params:model",
        "compute": "params:compute",
        "progress": "progress",
        "images": "images",
        "manifest": "usable_manifest",
    }
    return Pipeline(
        [
            Node(
                nodes.check_head,
                name="check_head",
                inputs={"manifest": "usable_manifest", "head": "params:head"},
                outputs="checked",
                tags="patching",
            ),
            Node(
                nodes.shrink_images,
                name="shrink_images",
                inputs={"images": "images", "checked": "checked", "patches": "params:patches", "progress": "progress"},
                outputs="small_images",
                tags="patching",
            ),
            Node(
                nodes.train,
                name="train",
                inputs=training,
                outputs=["weights", "history", "sample_reconstructions"],
                tags="training",
            ),
            Node(
                nodes.train_folds,
                name="train_folds",
                inputs={**training, "checkpoints": "fold_checkpoints", "folds": "params:folds"},
                outputs="fold_weights",
                tags="training",
            ),
            Node(
                nodes.redraw,
                name="redraw",
                inputs={
                    **trained,
                    "fold_weights": "fold_weights",
                    "folds": "params:folds",
                    "seed": "params:seed",
                },
                outputs="differences",
                tags="embedding",
            ),
            Node(nodes.encode, name="encode", inputs=trained, outputs="codes", tags="embedding"),
        ],
        namespace="cpcae",
        inputs={"images", "usable_manifest", "machine", "progress"},
        parameters={"params:seed", "params:compute"},
        tags="cpcae",
    )
