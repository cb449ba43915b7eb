"""Principal components of patches as the reconstruction: the linear autoencoder that a network has to beat."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.checks import FlawlineError
from flawline.methods.cae import squared_residual
from flawline.methods.maps import load_model
from flawline.methods.reconstruction import PatchReconstructor
from flawline.params import ComputeParams, PatchParams, PCAModelParams
from flawline.training.windows import windows_of

DARKEST = 0.05  # a patch's median counts as at least this


def gain_of(x: Tensor, normalise: str) -> Tensor:
    """Return what each of the patches x (N, C, s, s) is divided by, (N, 1, 1, 1): its median, or with ``normalise`` =
    none, 1. Patches of one strip differ in brightness and weave, and what differs in brightness differs in error."""
    if normalise == "none":
        return torch.ones_like(x[:, :1, :1, :1])
    return x.flatten(1).median(dim=1).values.clamp_min(DARKEST)[:, None, None, None]


def relative_residual(x: Tensor, reconstruction: Tensor, *, normalise: str) -> Tensor:
    """Return the residual map (N, s, s) of patches (N, C, s, s): the mean over channels of the squared difference, over
    the square of what each patch is divided by."""
    return squared_residual(x, reconstruction) / gain_of(x, normalise).square().squeeze(1)


class PCA(nn.Module):
    """Projects patches (N, C, s, s) onto the mean and some principal components of normal ones."""

    mean: Tensor
    components: Tensor

    def __init__(self, mean: Tensor, components: Tensor, normalise: str):
        super().__init__()
        self.normalise = normalise
        self.register_buffer("mean", mean)  # (D,) with D = C s s
        self.register_buffer("components", components)  # (k, D), of length 1 each

    def forward(self, x: Tensor) -> Tensor:
        gain = gain_of(x, self.normalise)
        centred = (x / gain).flatten(1) - self.mean  # (N, D)
        codes = centred @ self.components.mT  # (N, k)
        return (codes @ self.components + self.mean).view_as(x) * gain  # (N, C, s, s)


def fit_pca(images: Iterable[NDArray], *, patches: PatchParams, model: PCAModelParams, seed: int) -> dict[str, Tensor]:
    """Return {"mean": (D,), "components": (k, D)} of random patches of images (C, H, W).

    Raise FlawlineError if the patches are fewer than the components."""
    from sklearn.decomposition import PCA as Decomposition  # takes a second to import

    chosen = list(images)
    windows = windows_of(chosen, range(len(chosen)), patches, seed=seed)
    x = windows.cut(windows.epoch(0))
    seen = (x / gain_of(x, model.normalise)).flatten(1).numpy()  # (n, D)
    if model.components > min(seen.shape):
        raise FlawlineError(
            f"pca.model.components must be at most {min(seen.shape)}, the smaller of the {seen.shape[0]} patches "
            f"learned from and their {seen.shape[1]} values; got {model.components}"
        )
    found = Decomposition(model.components, random_state=seed).fit(seen)
    return {name: torch.from_numpy(np.ascontiguousarray(value, np.float32))
            for name, value in (("mean", found.mean_), ("components", found.components_))}  # fmt: skip


def load_pca(
    weights: dict[str, Tensor], *, channels: int, compute: ComputeParams, patches: PatchParams, model: PCAModelParams
) -> PatchReconstructor:
    """Return the reconstructor of `fit_pca`'s weights, where it is to run; its residual image is the squared error."""
    network = load_model(PCA(weights["mean"], weights["components"], model.normalise), weights, compute)
    return PatchReconstructor(network, patches, partial(relative_residual, normalise=model.normalise))
