"""Images read between their pixels, by straight lines or by cubic splines.

Points are (y, x), the first pixel's centre is (0, 0), and outside an image its border goes on. Both are read by torch's
``grid_sample``, which takes a tenth of the time of ``scipy.ndimage.map_coordinates``; it is imported late, since that
takes seconds."""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

Points = NDArray[np.floating]  # (2, n): all y, all x


class Lines:
    """Planes (C, H, W), read by straight lines between their pixels."""

    def __init__(self, planes: NDArray[np.float32]):
        import torch

        self.size = planes.shape[1:]
        self._planes = torch.from_numpy(np.ascontiguousarray(planes))[None]  # (1, C, H, W)

    def at(self, points: Points) -> NDArray[np.float32]:
        """Return the levels (C, n) at ``points`` (2, n)."""
        return self._at(points[None])[:, 0]

    def _at(self, points: NDArray) -> NDArray[np.float32]:
        """Return the levels (C, k, n) at ``points`` (k, 2, n)."""
        import torch

        sides = np.maximum(np.array(self.size) - 1, 1)
        grid = np.empty((1, points.shape[0], points.shape[2], 2), np.float32)
        for axis in (0, 1):
            np.multiply(points[:, axis], np.float32(2 / sides[axis]), out=grid[0, ..., 1 - axis], casting="same_kind")
        grid -= 1  # the first pixel's centre is -1, the last one's 1
        read = torch.nn.functional.grid_sample(
            self._planes, torch.from_numpy(grid), mode="bilinear", padding_mode="border", align_corners=True
        )
        return read[0].numpy()


class Splines:
    """Planes (C, H, W), read by the cubic splines through their pixels.

    A cubic spline is a weighted mean of two straight lines between its coefficients, one on each side, so that four
    reads by lines are one by splines: Sigg and Hadwiger 2005, Fast third-order texture filtering."""

    def __init__(self, planes: NDArray):
        self.size = planes.shape[1:]
        self.coefficients = spline_coefficients(planes)  # (C, H, W)
        self._lines = Lines(self.coefficients)

    def at(self, points: Points) -> NDArray[np.float32]:
        """Return the levels (C, n) at ``points`` (2, n)."""
        points = np.clip(points, 0, np.array(self.size)[:, None] - 1).astype(np.float32, copy=False)
        whole = np.floor(points)
        f = points - whole
        square = f * f
        cube = square * f
        upper = (1 + 3 * (f + square) - 2 * cube) / 6  # the weight of the line from the next coefficient on
        low = whole + ((4 - 6 * square + 3 * cube) / 6) / (1 - upper) - 1
        high = whole + (cube / 6) / upper + 1
        places = np.stack([low, np.stack([low[0], high[1]]), np.stack([high[0], low[1]]), high])  # (4, 2, n)
        left_up, right_up, left_down, right_down = np.moveaxis(self._lines._at(places), 1, 0)
        up = left_up + upper[1] * (right_up - left_up)
        down = left_down + upper[1] * (right_down - left_down)
        return up + upper[0] * (down - up)

    def window(self, first: Sequence[float] | NDArray, size: Sequence[int]) -> NDArray[np.float32]:
        """Return the levels (C, h, w) of a window of ``size`` (h, w), neither turned nor scaled, whose first pixel lies
        at the point ``first``: read row by row and then column by column, which takes half the time."""
        rows, columns = (np.clip(start + np.arange(length), 0, side - 1)
                         for start, length, side in zip(first, size, self.size, strict=True))  # fmt: skip
        narrow = np.zeros((*self.coefficients.shape[:2], len(columns)), np.float32)
        for places, weight in _weights(columns, self.size[1]):
            narrow += weight * self.coefficients.take(places, axis=2)
        found = np.zeros((len(narrow), len(rows), len(columns)), np.float32)
        for places, weight in _weights(rows, self.size[0]):
            found += weight[:, None] * narrow.take(places, axis=1)
        return found


def spline_coefficients(planes: NDArray) -> NDArray[np.float32]:
    """Return the coefficients (C, H, W) of the cubic splines through planes (C, H, W): these, weighted by 1/6, 4/6 and
    1/6 each way and repeated beyond the border, are the planes' levels."""
    spectrum = scipy.fft.dctn(planes.astype(np.float32), axes=(1, 2))
    down, right = (4 + 2 * np.cos(np.pi * np.arange(side) / side) for side in planes.shape[1:])
    spectrum = spectrum * (36 / (down[:, None] * right)).astype(np.float32)
    return np.asarray(scipy.fft.idctn(spectrum, axes=(1, 2), overwrite_x=True), np.float32)


def _weights(places: NDArray, side: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Yield four coefficients (n,) of ``side`` and their weights (n,), the sum of which is the level at ``places``
    (n,) of a row of pixels."""
    whole = np.floor(places).astype(np.intp)
    f = places - whole
    g = 1 - f
    for k, weight in enumerate((g**3, 4 - 6 * f**2 + 3 * f**3, 4 - 6 * g**2 + 3 * g**3, f**3)):
        yield np.clip(whole - 1 + k, 0, side - 1), (weight / 6).astype(np.float32)
