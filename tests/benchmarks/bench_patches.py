"""Cutting and re-assembling against a plain copy of the same bytes."""

from collections.abc import Callable, Iterator

import numpy as np
from measure import Row, copy_rate, seconds
from numpy.typing import NDArray

from flawline.vision.patches import OverlapAverage, cut, cut_windows, patch_grid, random_windows

SIDE, SIZE, STRIDE = 1024, 64, 16


def moved(what: str, work: Callable[[], object], count: int, *, floor: float) -> Row:
    """Return the row of ``work``, which must read and write ``count`` bytes in all."""
    rate = count / seconds(work)
    return Row(what, f"{rate / 1e9:.1f} GB/s", f"{floor / 1e9:.1f} GB/s", rate / floor)


def rows() -> Iterator[Row]:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (1, SIDE, SIDE), dtype=np.uint8) for _ in range(8)]
    grid = patch_grid(SIDE, SIDE, size=SIZE, stride=STRIDE)
    copied = 2 * len(grid) * SIZE**2  # read once, written once
    floor = copy_rate(copied // 2)
    yield moved(f"cut {len(grid)} patches of {SIZE}, uint8", lambda: cut(images[0], grid, SIZE), copied, floor=floor)
    windows = random_windows([image.shape for image in images], len(grid), SIZE, generator)
    yield moved("cut_windows, as many random ones", lambda: cut_windows(images, windows, SIZE), copied, floor=floor)
    yield from reassembly_rows(grid, generator)


def reassembly_rows(grid: NDArray, generator: np.random.Generator) -> Iterator[Row]:
    patches = generator.random((len(grid), SIZE, SIZE), dtype=np.float32)

    def average() -> NDArray:
        whole = OverlapAverage(SIDE, SIDE, size=SIZE, stride=STRIDE)
        whole.add(patches, grid)
        return whole.result()

    def average_in_float32() -> NDArray:
        sums = np.zeros((SIDE, SIDE), np.float32)
        for patch, (y, x) in zip(patches, grid, strict=True):
            sums[y : y + SIZE, x : x + SIZE] += patch
        return sums

    floor = copy_rate(patches.nbytes)
    # Each patch is read (4 bytes a pixel); its sums are read and written, 8 bytes a pixel in float64, 4 in float32.
    yield moved("OverlapAverage, float64 sums", average, patches.size * 20, floor=floor)
    yield moved("  the sums alone in float32", average_in_float32, patches.size * 12, floor=floor)
