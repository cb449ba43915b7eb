"""What a reconstructor makes of an image: what it would be if it were normal, and the residual image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.methods.maps import LARGEST, Residual, as_numpy, load_model, reconstruct_patches
from flawline.params import ComputeParams, Params, PatchParams
from flawline.training.compute import pick_runtime
from flawline.training.engines import compiled
from flawline.vision.levels import unit
from flawline.vision.patches import OverlapAverage, patch_grid

DEAD = 1e-3  # a unit of the code that never gets further from 0 than this says nothing
Ready = TypeVar("Ready")  # a TrainedReconstructor


@dataclass(frozen=True)
class Reconstruction:
    """An image as it should look, (C, H, W) float32 in [0, 1], and its residual image: (C, H, W), or (H, W) of a
    reconstructor whose residual is a map; float16. ``image`` is None of a network that only tells how normal a patch
    is."""

    image: NDArray[np.float32] | None
    residual: NDArray[np.float16]

    def picture(self) -> NDArray[np.uint8] | None:
        """Return the image (C, H, W) as a person is shown it; None where there is none."""
        if self.image is None:
            return None
        return np.rint(self.image.clip(0, 1) * 255).astype(np.uint8)


class TrainedReconstructor(Protocol):
    """A fitted reconstructor: takes an image (C, H, W), uint8 or uint16, with the training images' number of channels,
    and returns its `Reconstruction`."""

    def reconstruct(self, image: NDArray) -> Reconstruction: ...

    def codes(self, image: NDArray) -> NDArray[np.float32]:
        """Return the latent codes (h, w, d) of the patches of the grid, if its row says that it has any."""
        ...


def absolute_residual(image: NDArray, reconstructed: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return ``abs(x - reconstructed)`` (C, H, W) of ``image`` (C, H, W), uint8 or uint16, in [0, 1]."""
    return np.abs(unit(image) - reconstructed).astype(np.float16)


class PatchReconstructor:
    """A network that reconstructs overlapping patches of the dense grid, which are averaged where they overlap; the
    residual image (H, W) is the average of the patches' residuals. Source: Schneider 2022, section 2, Eq. 1."""

    def __init__(self, network: nn.Module, patches: PatchParams, residual: Residual):
        self.network, self.patches, self.residual = network.eval(), patches, residual

    def reconstruct(self, image: NDArray) -> Reconstruction:
        """Return the reconstruction and the residual map of ``image`` (C, H, W)."""
        size, stride = self.patches.size, self.patches.stride
        grid = patch_grid(*image.shape[1:], size=size, stride=stride)
        residuals, *planes = (OverlapAverage(*image.shape[1:], size=size, stride=stride) for _ in range(len(image) + 1))
        for x, y, at in reconstruct_patches(self.network, image, grid, size):
            residuals.add(as_numpy(self.residual(x, y)), at)
            for channel, plane in enumerate(planes):
                plane.add(as_numpy(y[:, channel]), at)
        whole = np.stack([plane.result() for plane in planes])  # (C, H, W)
        return Reconstruction(whole, np.minimum(residuals.result(), LARGEST).astype(np.float16))


def loader(wrap: Callable[[Any, Any], Ready]) -> Callable[..., Ready]:
    """Return a function as the registry's rows name it as ``load``, of a reconstructor that ``wrap`` makes of a trained
    network and the geometry of its patches."""

    def load(
        weights: dict[str, Tensor], *, build: Callable[..., nn.Module], channels: int, compute: ComputeParams,
        patches: PatchParams, model: Params,
    ) -> Ready:  # fmt: skip
        """Return the reconstructor of trained ``weights``, where and by what it is to run."""
        network = load_model(build(model, channels=channels, size=patches.size), weights, compute)
        return wrap(compiled(network, pick_runtime(compute).engine), patches)

    return load


@runtime_checkable
class ComparesDownsized(Protocol):
    """A reconstructor that sees images downsized: ``compared`` returns an image as it sees it and what it makes of
    that, (C, h, w) in [0, 1] each."""

    def compared(self, image: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...


def likeness(image: NDArray, reconstructor: TrainedReconstructor) -> dict[str, float]:
    """Return how an image (C, H, W) differs from its reconstruction, at the size at which it is reconstructed:
    ``error``, the mean squared difference, and ``ssim``, the structural similarity of scikit-image with its window of
    7 x 7 pixels (Alpdemir 2022, section 5.2)."""
    from skimage.metrics import structural_similarity  # takes a second to import

    if isinstance(reconstructor, ComparesDownsized):
        seen, made = reconstructor.compared(image)
    else:
        seen, made = unit(image), _image_of(reconstructor.reconstruct(image))
    similarity = structural_similarity(seen, made, channel_axis=0, data_range=1.0)
    return {"error": float(np.square(seen - made).mean(dtype=np.float64)), "ssim": float(similarity)}


def _image_of(reconstruction: Reconstruction) -> NDArray[np.float32]:
    if reconstruction.image is None:
        raise TypeError("the reconstructor makes no image to compare with")
    return reconstruction.image


def dead_share(codes: Tensor, *, tiny: float = DEAD) -> float:
    """Return the share of the units of ``codes`` (n, d) that are within ``tiny`` of 0 for every patch."""
    return float((codes.abs().amax(dim=0) < tiny).float().mean())
