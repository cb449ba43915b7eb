"""How images differ from what they should look like, by an autoencoder or by the mean image."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.intake.manifest import rows_of
from flawline.methods.cpcae import fit_folds, fold_of, train_cpcae
from flawline.methods.cpcae import fold_weights as weights_of_fold
from flawline.methods.features import load_extractor
from flawline.methods.heads import check_one_size
from flawline.methods.mean_image import MeanImageRedrawer, fit_mean
from flawline.methods.placed import check_placed
from flawline.methods.pooled_knn import PooledKNN
from flawline.methods.redrawing import difference, load_redrawer
from flawline.params import ComputeParams, CPCAEModelParams, PlacedPatchParams, PooledKNNParams, TrainParams
from flawline.pipelines.embedding.nodes import SCORED
from flawline.pipelines.embedding.one_class import LEARNED
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.training.checkpoints import CheckpointStore
from flawline.training.compute import Machine, as_asked, keep_memory
from flawline.training.progress import Progress
from flawline.vision.downsizing import downsize


def average_images(images: RaggedArray, manifest: pd.DataFrame) -> dict[str, Tensor]:
    """Return the mean of the normal training images."""
    return fit_mean(images[row] for row in rows_of(manifest, ["train"]))


def subtract_mean(images: RaggedArray, weights: dict[str, Tensor], progress: Progress) -> Iterator[NDArray]:
    """Return how every image differs from the mean image: |x - mean| (C, H, W) float16."""
    redrawer = MeanImageRedrawer(weights)
    made = (difference(image, redrawer) for image in images)
    return progress.track(made, total=len(images), label="differences from the mean")


def check_head(manifest: pd.DataFrame, head: PooledKNNParams) -> bool:
    """Return True if the head can learn once the network is trained; raise FlawlineError now if it could not."""
    PooledKNN(head).check(len(rows_of(manifest, LEARNED)))
    load_extractor(head.features)
    return True


def shrink_images(
    images: RaggedArray, checked: bool, patches: PlacedPatchParams, progress: Progress
) -> Iterator[NDArray]:
    """Return every image downsized (C, h, w). ``checked``: it comes after what would only show after the training."""
    check_one_size(images.shapes, "cpcae")
    check_placed(images.shapes[0], patches)
    made = (downsize(image, patches.side) for image in images)
    return progress.track(made, total=len(images), label="downsizing")


def train(
    small_images: RaggedArray,
    manifest: pd.DataFrame,
    patches: PlacedPatchParams,
    model: CPCAEModelParams,
    train: TrainParams,
    seed: int,
    compute: ComputeParams,
    checkpoints: CheckpointStore,
    machine: Machine,
    progress: Progress,
) -> tuple[dict[str, Tensor], pd.DataFrame, dict[str, Tensor]]:
    """Return the weights of the best epoch, a row for every epoch, and held-out patches as they were
    redrawn after some epochs."""
    fitted = train_cpcae(
        small_images, rows_of(manifest, ["train"]), rows_of(manifest, ["validation"]), patches, model, train,
        seed=seed, compute=compute, checkpoints=checkpoints, machine=machine, progress=progress,
    )  # fmt: skip
    return fitted.weights, fitted.history, fitted.sample_reconstructions


def train_folds(
    small_images: RaggedArray,
    manifest: pd.DataFrame,
    patches: PlacedPatchParams,
    model: CPCAEModelParams,
    train: TrainParams,
    folds: int,
    seed: int,
    compute: ComputeParams,
    checkpoints: CheckpointStore,
    machine: Machine,
    progress: Progress,
) -> dict[str, Tensor]:
    """Return the weights of a network a fold, each trained on the training images that are not in it; none where there
    are no folds."""
    if not folds:
        return {}
    weights, _ = fit_folds(
        small_images, rows_of(manifest, ["train"]), rows_of(manifest, ["validation"]), patches, model, train,
        folds=folds, seed=seed, compute=compute, checkpoints=checkpoints, machine=machine, progress=progress,
    )  # fmt: skip
    return weights


def redraw(
    images: RaggedArray,
    manifest: pd.DataFrame,
    weights: dict[str, Tensor],
    fold_weights: dict[str, Tensor],
    patches: PlacedPatchParams,
    model: CPCAEModelParams,
    folds: int,
    seed: int,
    compute: ComputeParams,
    progress: Progress,
) -> Iterator[NDArray]:
    """Return how every image differs from its reconstruction: |x - redrawn| (C, H, W) float16. Where there are folds, a
    training image is redrawn by the network that did not see it."""
    keep_memory()
    whole = load_redrawer(patches, model, weights, compute)
    others = [load_redrawer(patches, model, weights_of_fold(fold_weights, k), compute) for k in range(folds)]
    rows = rows_of(manifest, ["train"])
    unseen = dict(zip(rows, fold_of(len(rows), folds, seed), strict=True)) if folds else {}

    def make(row: int) -> NDArray[np.float16]:
        with as_asked(compute):
            return difference(images[row], others[unseen[row]] if row in unseen else whole)

    return progress.track(Lazy(len(images), make), total=len(images), label="differences from the reconstruction")


def encode(
    images: RaggedArray,
    manifest: pd.DataFrame,
    weights: dict[str, Tensor],
    patches: PlacedPatchParams,
    model: CPCAEModelParams,
    compute: ComputeParams,
    progress: Progress,
) -> Iterator[NDArray]:
    """Return the latent codes (P, d) of all images outside train, a row a place."""
    redrawer, rows = load_redrawer(patches, model, weights, compute), rows_of(manifest, SCORED)

    def make(k: int) -> NDArray[np.float32]:
        with as_asked(compute):
            return redrawer.codes(images[rows[k]]).reshape(-1, model.latent_size)

    return progress.track(Lazy(len(rows), make), total=len(rows), label="latent codes")
