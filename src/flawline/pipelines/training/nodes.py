"""Train a method's network on normal patches."""

from collections.abc import Callable
from functools import partial

import pandas as pd
from torch import Tensor

from flawline.intake.manifest import rows_of
from flawline.methods.maps import check_fits
from flawline.methods.registry import Autoencoder
from flawline.params import ComputeParams, Params, PatchParams, TrainParams
from flawline.pipelines.hinting import hinted
from flawline.storage.ragged import RaggedArray
from flawline.training.checkpoints import CheckpointStore
from flawline.training.compute import Machine
from flawline.training.loop import fit
from flawline.training.progress import Progress
from flawline.training.windows import windows_of


def make_train(spec: Autoencoder) -> Callable:
    """Return the training node of a method; its ``model`` is hinted with that method's own parameters, by which
    Kedro knows what to make of the conf file."""

    def train(
        images: RaggedArray,
        manifest: pd.DataFrame,
        patches: PatchParams,
        model: Params,
        train: TrainParams,
        seed: int,
        compute: ComputeParams,
        checkpoints: CheckpointStore,
        machine: Machine,
        progress: Progress,
    ) -> tuple[dict[str, Tensor], pd.DataFrame, dict[str, Tensor]]:
        """Return the weights of the best epoch, a row for every epoch (losses and seconds), and held-out
        patches and how they were redrawn after some epochs."""
        check_fits(images.shapes, patches)
        fitted = fit(
            partial(spec.build, model, channels=images.shapes[0][0], size=patches.size),
            spec.objective(model),
            windows_of(images, rows_of(manifest, ["train"]), patches, seed=seed),
            windows_of(images, rows_of(manifest, ["validation"]), patches, seed=seed),
            train,
            compute=compute, checkpoints=checkpoints, machine=machine, progress=progress,
        )  # fmt: skip
        return fitted.weights, fitted.history, fitted.sample_reconstructions

    return hinted(train, model=spec.model_params)
