"""From a network or a mean to how an image differs from what is normal there: redraw it, compare at full size."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.methods.cpcae import CPCAE
from flawline.methods.maps import BATCH, as_numpy, load_model
from flawline.methods.placed import check_placed, grid_of, with_place
from flawline.params import ComputeParams, CPCAEModelParams, PlacedPatchParams
from flawline.training.windows import to_unit
from flawline.vision.downsizing import downsize, upsize
from flawline.vision.levels import unit
from flawline.vision.patches import OverlapAverage, cut


class Redrawer(Protocol):
    def redraw(self, image: NDArray) -> NDArray[np.float32]:
        """Return what ``image`` (C, H, W), uint8 or uint16, would be if it were normal: (C, H, W) in [0, 1]."""
        ...


def difference(image: NDArray, redrawer: Redrawer) -> NDArray[np.float16]:
    """Return ``abs(x - redrawn)`` (C, H, W) of ``image`` (C, H, W), uint8 or uint16, in [0, 1]."""
    return np.abs(unit(image) - redrawer.redraw(image)).astype(np.float16)


class CPCAERedrawer:
    """Redraws by a network that knows the places: downsize, redraw the grid's patches, average them where they overlap,
    upsize. Source: Saeedi & Giusti 2022, section 3.1."""

    def __init__(self, network: torch.nn.Module, patches: PlacedPatchParams):
        self.network, self.patches = network.eval(), patches

    def redraw(self, image: NDArray) -> NDArray[np.float32]:
        """Return ``image`` (C, H, W) as the network redraws it, (C, H, W) in [0, 1]."""
        small = self._downsized(image)  # (C, h, w)
        planes = [OverlapAverage(*small.shape[1:], size=self.patches.size, stride=self.patches.stride) for _ in small]
        for redrawn, at in self._through(self.network, small):
            for channel, plane in enumerate(planes):
                plane.add(as_numpy(redrawn[:, channel]), at)
        whole = np.stack([plane.result() for plane in planes])  # (C, h, w)
        return upsize(whole, image.shape[1:])  # (C, H, W)

    def codes(self, image: NDArray) -> NDArray[np.float32]:
        """Return the codes of all patches of ``image`` (C, H, W), place by place, as one vector (P d,)."""
        encode: Callable = self.network.encode  # type: ignore[assignment]  # a CPCAE's
        return np.concatenate([as_numpy(codes).ravel() for codes, _ in self._through(encode, self._downsized(image))])

    def _downsized(self, image: NDArray) -> NDArray:
        check_placed(image.shape, self.patches)
        return downsize(image, self.patches.side)

    @torch.no_grad()
    def _through(self, work: Callable[[Tensor], Tensor], small: NDArray) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        """Yield (what ``work`` makes of the placed patches, their positions (n, 2)), a batch at a time."""
        grid, device = grid_of(small.shape, self.patches), next(self.network.parameters()).device
        for places in np.split(np.arange(len(grid)), range(BATCH, len(grid), BATCH)):
            patches = to_unit(cut(small, grid[places], self.patches.size))
            yield work(with_place(patches, places, len(grid)).to(device)), grid[places]


def load_redrawer(
    patches: PlacedPatchParams, model: CPCAEModelParams, weights: dict[str, Tensor], compute: ComputeParams
) -> CPCAERedrawer:
    """Return the redrawer of trained ``weights``, whose first layer tells how many channels the images have."""
    channels = weights["encoder.0.weight"].shape[1]
    network = CPCAE(model, channels=channels, size=patches.size)
    return CPCAERedrawer(load_model(network, weights, compute), patches)
