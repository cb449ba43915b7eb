"""Principal components of patches as the reconstruction: the linear autoencoder that a network has to beat."""

from collections.abc import Iterable

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


class PCA(nn.Module):
    """Projects patches (N, C, s, s) onto the mean and some principal components of normal ones."""

    mean: Tensor
    components: Tensor

    def __init__(self, mean: Tensor, components: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)  # (D,) with D = C s s
        self.register_buffer("components", components)  # (k, D), of length 1 each

    def forward(self, x: Tensor) -> Tensor:
        centred = x.flatten(1) - self.mean  # (N, D)
        codes = centred @ self.components.mT  # (N, k)
        return (codes @ self.components + self.mean).view_as(x)  # (N, C, s, s)


def fit_pca(images: Iterable[NDArray], *, patches: PatchParams, model: PCAModelParams, seed: int) -> dict[str, Tensor]:
    """Return {"mean": (D,), "components": (k, D)} of random patches of images (C, H, W).

    Raise FlawlineError if the patches are fewer than the components."""
    from sklearn.decomposition import PCA as Decomposition  # takes a second to import

    chosen = list(images)
    windows = windows_of(chosen, range(len(chosen)), patches, seed=seed)
    seen = windows.cut(windows.epoch(0)).flatten(1).numpy()  # (n, D)
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
    network = load_model(PCA(weights["mean"], weights["components"]), weights, compute)
    return PatchReconstructor(network, patches, squared_residual)
