"""Patches that know their grid position: the dense grid of downsized images, the position one more plane of a patch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.methods.one_class import check_one_size
from flawline.params import GridPatchParams
from flawline.training.windows import CPU, MAX_VALIDATION, VALIDATION_STREAM, Device, Windows, pick_images, to_unit
from flawline.vision.downsizing import downsized_shape
from flawline.vision.patches import cut_windows, patch_grid


@dataclass(frozen=True)
class GridWindows(Windows):
    """Grid patches of images of one size, already downsized, each a window (image, y, x, position).

    An epoch goes through all positions of all images in random order, and begins again when none is left, so that none
    is seen twice as often as another."""

    patches: GridPatchParams

    @property
    def grid(self) -> NDArray[np.int64]:
        """The (y, x) of every position (P, 2); its row number is the position."""
        return grid_of(self.shapes[0], self.patches)

    def epoch(self, number: int) -> NDArray[np.int64]:
        """Return the windows (n, 4) as (image, y, x, position) of epoch ``number`` (from 0)."""
        return self._draw(self.patches.per_epoch, [self.seed, 0, number])

    def fixed(self) -> NDArray[np.int64]:
        """Return windows (n, 4) that stay the same in all epochs, for validation; none is there twice."""
        count = min(self.patches.per_epoch, MAX_VALIDATION, len(self.images) * len(self.grid))
        return self._draw(count, [self.seed, VALIDATION_STREAM])

    def cut(self, windows: NDArray, device: Device = CPU) -> Tensor:
        """Return the patches of ``windows`` with their positions: float32 (n, C + 1, s, s) in [0, 1], on ``device``."""
        patches = to_unit(cut_windows(self.images, windows[:, :3], self.patches.size), device)
        return with_position(patches, windows[:, 3], len(self.grid))

    def shown(self, patches: Tensor) -> Tensor:
        """Return the channels (n, C, s, s) of patches with their position."""
        return split_position(patches)[0].contiguous()

    def _draw(self, count: int, seed: list[int]) -> NDArray[np.int64]:
        grid, generator = self.grid, np.random.default_rng(seed)
        pairs = len(self.images) * len(grid)
        rounds = [generator.permutation(pairs) for _ in range(-(-count // pairs))]
        image, position = np.divmod(np.concatenate(rounds)[:count], len(grid))
        return np.column_stack([image, grid[position], position])  # (n, 4)


def grid_windows(images: Sequence[NDArray], rows: Sequence[int], patches: GridPatchParams, *, seed: int) -> GridWindows:
    """Return the windows of the downsized images at ``rows``.

    Raise FlawlineError if there is none, they differ in size, a patch does not fit, or 8 and 16 bit are mixed."""
    chosen = pick_images(images, rows)
    shapes = [image.shape for image in chosen]
    check_one_size(shapes, "a network of grid positions")
    check_grid_patches(shapes[0], patches)
    return GridWindows(chosen, shapes, patches, seed)


def check_grid_patches(shape: tuple[int, ...], patches: GridPatchParams) -> None:
    """Raise FlawlineError if a patch is larger than an image (C, H, W), before or after downsizing, once downsized."""
    height, width = downsized_shape(shape, patches.side)
    if patches.size > min(height, width):
        raise FlawlineError(
            f"patches.size = {patches.size} is larger than the images once downsized to patches.side = {patches.side} "
            f"pixels: {height} x {width}. Set patches.size to at most {min(height, width)}, or patches.side to "
            f"more; images are never enlarged."
        )


def grid_of(shape: tuple[int, ...], patches: GridPatchParams) -> NDArray[np.int64]:
    """Return the (y, x) of every position (P, 2) of a downsized image (C, h, w)."""
    return patch_grid(*shape[-2:], size=patches.size, stride=patches.stride)


def with_position(patches: Tensor, positions: NDArray, total: int) -> Tensor:
    """Return patches (n, C, s, s) with a last plane that says where they are, (n, C + 1, s, s): the condition of Saeedi
    & Giusti 2022, section 3.1, the position's number, here from 0, divided by the ``total`` number of positions. As a
    plane it travels with its patch, since a network takes one tensor."""
    share = torch.from_numpy(positions.astype(np.float32) / total).to(patches)  # (n,)
    plane = share[:, None, None, None].expand(-1, 1, *patches.shape[2:])  # (n, 1, s, s)
    return torch.cat([patches, plane], dim=1).contiguous(memory_format=torch.channels_last)


def split_position(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the patches (n, C, s, s) and the positions (n, 1) of what ``with_position`` joined."""
    return x[:, :-1], x[:, -1, :1, 0]
