"""Windows of an image: a dense overlapping grid for scoring, random ones for training, and the way back to a map."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_shape


def grid_starts(length: int, size: int, stride: int) -> NDArray[np.int64]:
    """Return the first pixels of windows of ``size`` that cover ``length``: every ``stride``, the last one flush."""
    if size > length:
        raise FlawlineError(f"patches.size must fit the image: {size} > {length} pixels")
    starts = np.arange(0, length - size + 1, stride)
    last = length - size
    return starts if starts[-1] == last else np.append(starts, last)


def patch_grid(height: int, width: int, *, size: int, stride: int) -> NDArray[np.int64]:
    """Return the (y, x) of the dense grid's patches (n, 2), row by row; the row number is the grid position."""
    ys, xs = grid_starts(height, size, stride), grid_starts(width, size, stride)
    return np.stack(np.meshgrid(ys, xs, indexing="ij"), axis=-1).reshape(-1, 2)  # (n, 2)


def grid_sides(height: int, width: int, *, size: int, stride: int) -> tuple[int, int]:
    """Return how many rows and columns the dense grid has."""
    return len(grid_starts(height, size, stride)), len(grid_starts(width, size, stride))


def index_patches(
    shapes: Sequence[tuple[int, ...]], masks: Sequence[NDArray], *, size: int, stride: int
) -> pd.DataFrame:
    """Return the dense grid of every image (C, H, W): a row a patch with image, y, x, place (its grid
    position) and mask_share, its share of defective pixels.

    ``masks[i]`` is (H, W) bool, or empty where the image has none; mask_share is 0 there."""
    tables = []
    for i, (shape, mask) in enumerate(zip(shapes, masks, strict=True)):
        grid = patch_grid(*shape[-2:], size=size, stride=stride)
        share = window_means(mask, grid, size) if mask.size else np.zeros(len(grid))
        tables.append(
            pd.DataFrame({"image": i, "y": grid[:, 0], "x": grid[:, 1], "position": np.arange(len(grid))}).assign(
                mask_share=share.astype(np.float32)
            )
        )
    return pd.concat(tables, ignore_index=True)


def cut(image: NDArray, positions: NDArray, size: int) -> NDArray:
    """Copy the windows at ``positions`` (n, 2) out of ``image`` (C, H, W): (n, C, size, size), same type."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(1, 2))  # (C, H', W', size, size)
    return windows[:, positions[:, 0], positions[:, 1]].swapaxes(0, 1)  # (n, C, size, size)


def random_windows(
    shapes: Sequence[tuple[int, ...]], count: int, size: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw ``count`` windows (n, 3) as (image, y, x), every window of every image (C, H, W) equally likely."""
    room = np.array([(h - size + 1, w - size + 1) for *_, h, w in shapes])
    if (room < 1).any():
        worst = shapes[int(room.min(axis=1).argmin())]
        raise FlawlineError(f"patches.size = {size} must fit every image; one has {worst[-2]} x {worst[-1]} pixels")
    chances = room.prod(axis=1) / room.prod(axis=1).sum()
    images = generator.choice(len(shapes), size=count, p=chances)
    offsets = (generator.random((count, 2)) * room[images]).astype(np.int64)
    return np.column_stack([images, offsets])  # (n, 3)


def cut_windows(images: Sequence[NDArray], windows: NDArray, size: int) -> NDArray:
    """Copy the windows (n, 3) as (image, y, x) out of ``images``: (n, C, size, size), the images' type."""
    first = images[int(windows[0, 0])]
    patches = np.empty((len(windows), first.shape[0], size, size), first.dtype)
    for patch, (i, y, x) in zip(patches, windows, strict=True):
        patch[...] = images[int(i)][:, y : y + size, x : x + size]
    return patches


class OverlapAverage:
    """Re-assemble patches of one image to a map (H, W): the mean of all patches that cover a pixel.

    Sums are kept in float64, where k times a float32 is exact, so cutting and re-assembling returns the input to
    the bit. How often a pixel is covered is a product of two vectors, since the patches are a grid."""

    def __init__(self, height: int, width: int, *, size: int, stride: int):
        self.size = size
        self._sums = np.zeros((height, width))
        self._rows = _coverage(height, size, stride)
        self._columns = _coverage(width, size, stride)

    def add(self, patches: NDArray, positions: NDArray) -> None:
        """Add ``patches`` (n, size, size) at ``positions`` (n, 2); every patch of the grid exactly once."""
        check_shape("patches", patches, (len(positions), self.size, self.size))
        for patch, (y, x) in zip(patches, positions, strict=True):
            self._sums[y : y + self.size, x : x + self.size] += patch

    def result(self) -> NDArray[np.float32]:
        """Return the map (H, W). The object is used up."""
        self._sums /= self._rows[:, None]
        self._sums /= self._columns
        return self._sums.astype(np.float32)


def _coverage(length: int, size: int, stride: int) -> NDArray[np.float64]:
    counts = np.zeros(length)
    for start in grid_starts(length, size, stride):
        counts[start : start + size] += 1
    return counts


def window_means(values: NDArray, positions: NDArray, size: int) -> NDArray[np.float64]:
    """Return the mean (n,) of ``values`` (H, W) over the windows of side ``size`` at ``positions`` (n, 2) as (y, x), by
    a summed-area table."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    (y, x), far = positions.T, size
    return (sums[y + far, x + far] - sums[y, x + far] - sums[y + far, x] + sums[y, x]) / size**2
