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
        return self.on(points[:1], points[1:])[:, 0]

    def on(self, rows: NDArray, columns: NDArray) -> NDArray[np.float32]:
        """Return the levels (C, k, n) at the points whose y are ``rows`` (k, n) and whose x are ``columns`` (k, n)."""
        import torch

        height, width = (np.float32(2 / max(side - 1, 1)) for side in self.size)
        grid = np.empty((1, *rows.shape, 2), np.float32)  # the first pixel's centre is -1, the last one's 1
        np.multiply(columns, width, out=grid[0, ..., 0], casting="same_kind")
        np.multiply(rows, height, out=grid[0, ..., 1], casting="same_kind")
        grid -= 1
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
        points = np.clip(points, np.float32(0), np.array(self.size, np.float32)[:, None] - 1, dtype=np.float32)
        whole = np.floor(points)
        f = points - whole
        upper = 1 / 6 + f * (0.5 + f * (0.5 - f / 3))  # the weight of the line from the next coefficient on
        low = whole - 1 + (2 / 3 + f * f * (f / 2 - 1)) / (1 - upper)
        high = whole + 1 + f * f * f / (6 * upper)
        rows = np.stack([low[0], low[0], high[0], high[0]])  # (4, n)
        columns = np.stack([low[1], high[1], low[1], high[1]])
        left_up, right_up, left_down, right_down = np.moveaxis(self._lines.on(rows, columns), 1, 0)
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
