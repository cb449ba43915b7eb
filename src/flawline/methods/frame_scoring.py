"""A network of frames at work: patches of a dense grid, their residuals averaged where they overlap and count."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.methods.ae import AE, difference
from flawline.methods.frames import (
    cut_reflected,
    framed,
    margin_of,
    split_counts,
    unframed,
    window_side,
)
from flawline.methods.maps import LARGEST, device_of, load_model
from flawline.methods.reconstruction import Reconstruction
from flawline.params import ComputeParams, FramePatchParams, ResidualParams
from flawline.training.windows import to_unit
from flawline.vision.downsizing import downsize, upsize
from flawline.vision.levels import unit
from flawline.vision.patches import OverlapAverage, patch_grid

BATCH = 16  # frames are larger than patches
LEAST_WEIGHT = 1e-3


class FrameReconstructor:
    """Reconstructs images of any size by a network of frames: downsize, cut the dense grid's windows out of the image
    reflected at its rim, reconstruct, average what counts where it overlaps, upsize.

    The residual map (H, W) is the patches' `difference`. With ``compare: turned`` it is made in the orientation in
    which the network sees a patch, and the map is turned back; with ``original``, the paper's way, the reconstruction
    is, and differs by what turning costs. Source: Rádli & Czúni 2022, section 8.2."""

    def __init__(self, network: nn.Module, patches: FramePatchParams, residual: ResidualParams):
        self.network, self.patches = network.eval(), patches
        self.measure, self.compare = residual.measure, getattr(residual, "compare", "turned")

    def reconstruct(self, image: NDArray) -> Reconstruction:
        """Return the reconstruction of ``image`` (C, H, W), and its residual map."""
        small = downsize(image, self.patches.side)  # (C, h, w)
        *planes, residual = self._reconstructed(small)
        large, whole = (upsize(each, image.shape[1:]) for each in (np.stack(planes), residual[None]))
        return Reconstruction(large, np.minimum(whole[0], LARGEST).astype(np.float16))

    def compared(self, image: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return an image as the network sees it, downsized, and its reconstruction, (C, h, w) in [0, 1] each."""
        small = downsize(image, self.patches.side)
        return unit(small), np.stack(self._reconstructed(small)[:-1])

    def _reconstructed(self, small: NDArray) -> list[NDArray[np.float32]]:
        """Return the channels of the reconstruction of an image (C, h, w), and its residual map, (h, w) each."""
        margin, side = margin_of(self.patches), window_side(self.patches)
        whole = [length + 2 * margin for length in small.shape[1:]]
        geometry = {"size": side, "stride": self.patches.stride}
        grid = patch_grid(*whole, **geometry)
        sums = [OverlapAverage(*whole, **geometry) for _ in range(len(small) + 2)]  # and the residual, and the weight
        for at in np.split(grid, range(BATCH, len(grid), BATCH)):
            found = self._patches(cut_reflected(small, at, side, margin))  # (n, C + 2, S, S)
            for plane, one in zip(sums, found.swapaxes(0, 1), strict=True):
                plane.add(one, at)
        *planes, weight = (each.result()[margin : whole[0] - margin, margin : whole[1] - margin] for each in sums)
        return [(plane / np.maximum(weight, LEAST_WEIGHT)).astype(np.float32) for plane in planes]

    @torch.no_grad()
    def _patches(self, windows: NDArray) -> NDArray[np.float32]:
        """Return of windows (n, C, S, S) the reconstruction and its residual, each times the weight of a pixel, and
        that weight: (n, C + 2, S, S)."""
        x = framed(to_unit(windows, device_of(self.network)), self.patches)
        picture, residual, weight = reconstructed(self.network, x, self.measure, self.compare)  # type: ignore[arg-type]
        together = torch.cat([picture * weight, residual * weight, weight], dim=1)
        return unframed(together, self.patches).float().cpu().numpy()


def reconstructed(model: AE, x: Tensor, measure: str, compare: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return of frames (n, C + 1, F, F), in the orientation that they have: what the model makes of them
    (n, C, F, F), by how much that differs (n, 1, F, F), and how much of each pixel the model saw (n, 1, F, F)."""
    look = model.look(x)
    made = model.draw(look.seen)
    picture = model.back(made, look, picture=True)
    weight = model.back(look.inside, look, picture=False).clamp(0, 1)
    channels, counts = split_counts(x)
    weight = weight * counts
    if compare == "original":
        seen = (weight > LEAST_WEIGHT).to(weight)
        return picture, difference(channels, picture, seen, measure)[:, None], weight
    residual = difference(look.seen, made, look.inside, measure)[:, None] * look.inside
    turned_back = model.back(residual, look, picture=False).clamp_min(0)
    whole = model.back(look.inside, look, picture=False)
    return picture, turned_back / whole.clamp_min(LEAST_WEIGHT), weight


def load_frames(
    weights: dict[str, Tensor], *, build: Callable[..., nn.Module], channels: int, compute: ComputeParams,
    patches: FramePatchParams, model: Any, residual: ResidualParams,
) -> FrameReconstructor:  # fmt: skip
    """Return the reconstructor of trained ``weights``, where it is to run."""
    network = load_model(build(model, channels=channels, size=patches.size), weights, compute)
    return FrameReconstructor(network, patches, residual)
