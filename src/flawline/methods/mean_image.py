"""The mean training image as the reconstruction: what an autoencoder of aligned parts has to beat."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.methods.one_class import check_one_size
from flawline.methods.reconstruction import Reconstruction, absolute_residual
from flawline.params import ComputeParams
from flawline.vision.levels import unit


def fit_mean(images: Iterable[NDArray], *, seed: int = 0) -> dict[str, Tensor]:
    """Return {"mean": (C, H, W) float32 in [0, 1]} of images (C, H, W), uint8 or uint16, read one by one; nothing in it
    is random.

    Raise FlawlineError if there is none, or they differ in size."""
    total, count = np.zeros(0), 0
    for image in images:
        if not count:
            total = np.zeros(image.shape)  # float64
        check_one_size([total.shape, image.shape], "mean_image")
        total += unit(image)
        count += 1
    if not count:
        raise FlawlineError("no image to take the mean of")
    return {"mean": torch.from_numpy((total / count).astype(np.float32))}


class MeanImageReconstructor:
    """Reconstructs every image as the mean of the normal ones."""

    def __init__(self, mean: NDArray[np.float32]):
        self._mean = mean

    def reconstruct(self, image: NDArray) -> Reconstruction:
        """Return the mean image, whatever ``image`` (C, H, W) shows, and abs(x - mean). Raise FlawlineError unless it
        has its shape."""
        if image.shape != self._mean.shape:
            check_one_size([self._mean.shape, image.shape], "mean_image")
            raise FlawlineError(f"image must have the mean image's {len(self._mean)} channels, got {len(image)}")
        return Reconstruction(self._mean, absolute_residual(image, self._mean))


def load_mean(weights: dict[str, Tensor], *, channels: int, compute: ComputeParams) -> MeanImageReconstructor:
    """Return the reconstructor of `fit_mean`'s weights. ``channels`` and ``compute`` are what every loader is given."""
    return MeanImageReconstructor(weights["mean"].numpy())


def check_images(shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise FlawlineError unless all images (C, H, W) have one size."""
    check_one_size(shapes, "mean_image")
