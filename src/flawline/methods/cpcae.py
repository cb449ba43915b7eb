"""The conditional patch-based convolutional autoencoder of Saeedi & Giusti 2022: its patches know their place."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.checks import FlawlineError, check_shape
from flawline.methods.placed import placed_windows, split_place
from flawline.params import ComputeParams, CPCAEModelParams, PlacedPatchParams, TrainParams
from flawline.storage.tensors import packed, part
from flawline.training.checkpoints import CheckpointStore, NoCheckpoints
from flawline.training.compute import Machine
from flawline.training.loop import Fitted, fit
from flawline.training.objective import Objective, minimise
from flawline.training.progress import Progress, Silent

SLOPE = 0.01  # of the leaky ReLU; the paper names no activation
DEAD = 1e-3  # a unit of the code that never gets further from 0 than this says nothing
FOLD_STREAM = 3  # keeps the random numbers of different uses apart


class CPCAE(nn.Module):
    """Strided convolutions, a dense code, transposed convolutions: (n, C + 1, s, s) in [0, 1] to (n, C, s, s).

    The last plane of the input is the place (``placed.with_place``). As one number it joins what the encoder's dense
    layer and what the decoder's dense layer get, unless ``params.conditioned`` is false. ``size`` is the side s, a
    multiple of 2 to the number of convolutions. Source: Saeedi & Giusti 2022, section 3.1, Fig. 2; kernels of 4 x 4,
    widths and activations are ours."""

    def __init__(self, params: CPCAEModelParams, *, channels: int, size: int):
        super().__init__()
        shrink = 2 ** len(params.channels)
        if size % shrink:
            raise FlawlineError(f"size must be a multiple of {shrink}, got {size}")
        self.channels, self.size, self.conditioned = channels, size, params.conditioned
        bottom = (params.channels[-1], size // shrink, size // shrink)
        features, condition = int(np.prod(bottom)), int(params.conditioned)
        self.encoder = _encoder((channels, *params.channels))
        self.compress = nn.Sequential(nn.Linear(features + condition, params.latent_size), nn.ReLU())  # (n, d)
        self.expand = nn.Sequential(
            nn.Linear(params.latent_size + condition, features), nn.LeakyReLU(SLOPE), nn.Unflatten(1, bottom)
        )
        self.decoder = _decoder((*params.channels[::-1], channels))

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes (n, d) of placed patches (n, C + 1, s, s): the activations a of Eq. 3, behind their ReLU."""
        check_shape("patches", x, ("N", self.channels + 1, self.size, self.size))
        patches, place = split_place(x)
        return self.compress(self._given(self.encoder(patches), place))

    def decode(self, codes: Tensor, place: Tensor) -> Tensor:
        """Return the patches (n, C, s, s) that the decoder draws from codes (n, d) at places (n, 1)."""
        return self.decoder(self.expand(self._given(codes, place)))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x), split_place(x)[1])

    def _given(self, features: Tensor, place: Tensor) -> Tensor:
        return torch.cat([features, place.to(features)], dim=1) if self.conditioned else features


def _encoder(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Flatten())


def _decoder(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def sparse_loss(model: nn.Module, x: Tensor, generator: torch.Generator | None = None, *, sparsity: float) -> Tensor:
    """Return Eq. 3 of ``model`` on placed patches (n, C + 1, s, s): squared error plus ``sparsity`` (lambda)
    times the L1 norm of a.

    The paper leaves open the layer and the scale of both terms. Here a is the code, the error is the mean over all
    values of the patches and the norm the mean over units and patches: neither grows with a patch or the code."""
    patches, place = split_place(x)
    codes = model.encode(x)  # type: ignore[operator]  # a CPCAE's
    error = nn.functional.mse_loss(model.decode(codes, place), patches)  # type: ignore[operator]
    return error + sparsity * codes.abs().mean()


def cpcae_objective(params: CPCAEModelParams) -> Objective:
    """Return how the autoencoder learns: by Eq. 3."""
    return minimise(partial(sparse_loss, sparsity=params.sparsity))


def dead_share(codes: Tensor, *, tiny: float = DEAD) -> float:
    """Return the share of the units of ``codes`` (n, d) that are within ``tiny`` of 0 for every patch."""
    return float((codes.abs().amax(dim=0) < tiny).float().mean())


def train_cpcae(
    images: Sequence[NDArray],
    rows_train: Sequence[int],
    rows_validation: Sequence[int],
    patches: PlacedPatchParams,
    model: CPCAEModelParams,
    train: TrainParams,
    *,
    seed: int,
    compute: ComputeParams | None = None,
    checkpoints: CheckpointStore | None = None,
    machine: Machine | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Train on the downsized images (C, h, w) at ``rows_train``; those at ``rows_validation`` choose the best epoch.

    Raise FlawlineError if a set is empty, the images differ in size or depth, or a patch does not fit."""
    fitted = fit(
        partial(CPCAE, model, channels=images[0].shape[0], size=patches.size),
        cpcae_objective(model),
        placed_windows(images, rows_train, patches, seed=seed),
        placed_windows(images, rows_validation, patches, seed=seed),
        train,
        compute=compute, checkpoints=checkpoints, machine=machine, progress=progress,
    )  # fmt: skip
    shown, _ = split_place(fitted.sample_reconstructions["patches"])
    return replace(fitted, sample_reconstructions={**fitted.sample_reconstructions, "patches": shown.contiguous()})


def fold_of(count: int, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold (count,) of each of ``count`` training images, drawn at random; sizes differ by one at most.

    Raise FlawlineError if there are fewer than two folds, or fewer images than folds."""
    if not 2 <= folds <= count:
        raise FlawlineError(f"folds must be from 2 to the number of training images, {count}; got {folds}")
    return np.random.default_rng([seed, FOLD_STREAM]).permutation(np.arange(count) % folds)


def fit_folds(
    images: Sequence[NDArray],
    rows_train: Sequence[int],
    rows_validation: Sequence[int],
    patches: PlacedPatchParams,
    model: CPCAEModelParams,
    train: TrainParams,
    *,
    folds: int,
    seed: int,
    compute: ComputeParams | None = None,
    checkpoints: CheckpointStore | None = None,
    machine: Machine | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train a network for each fold of ``rows_train`` (`fold_of`) on the images that are not in it.

    Return the weights as "fold_K/NAME" (`fold_weights`), and the networks' histories with a column ``fold``."""
    of, store = fold_of(len(rows_train), folds, seed), checkpoints or NoCheckpoints()
    weights: dict[str, Tensor] = {}
    histories = []
    for k in range(folds):
        seen = [row for row, fold in zip(rows_train, of, strict=True) if fold != k]
        fitted = train_cpcae(
            images, seen, rows_validation, patches, model, train,
            seed=seed, compute=compute, checkpoints=store.part(f"fold_{k}"), machine=machine,
            progress=FoldProgress(progress or Silent(), f"fold {k + 1}/{folds}"),
        )  # fmt: skip
        weights |= packed({f"fold_{k}": fitted.weights})
        histories.append(fitted.history.assign(fold=k))
    return weights, pd.concat(histories, ignore_index=True)


def fold_weights(weights: dict[str, Tensor], fold: int) -> dict[str, Tensor]:
    """Return the weights of the network that did not see the images of ``fold``."""
    return part(weights, f"fold_{fold}")


@dataclass(frozen=True)
class FoldProgress:
    """Shows one of several trainings; its epochs are kept from the record, which belongs to the network of all."""

    progress: Progress
    label: str

    def track(self, items: Iterable[Any], *, total: int, label: str) -> Iterator[Any]:
        return self.progress.track(items, total=total, label=f"{self.label}, {label}")

    def epoch(self, record: dict[str, float]) -> None:
        pass
