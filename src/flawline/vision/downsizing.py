"""Smaller images and the way back: pixels averaged by the area they cover, values interpolated between their centres.

Convention: arrays (C, H, W); the corners of both images meet (``align_corners=False`` elsewhere), borders repeat.

scikit-image's resize_local_mean averages by area too, but with full matrices: it takes 1.5 to 70 times as long, and
where a mean lies halfway between two levels it may round the other way (in up to 1 % of the pixels of a photograph), so
that figures would change. Pillow's box filter counts whole pixels only."""

import numpy as np
import scipy
from numpy.typing import NDArray


def downsized_shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return the (height, width) of an image (..., H, W) once its shorter side has ``side`` pixels; never enlarged."""
    height, width = shape[-2:]
    shorter = min(height, width)
    if shorter <= side:
        return height, width
    return round(height * side / shorter), round(width * side / shorter)


def downsize(image: NDArray, side: int) -> NDArray:
    """Return ``image`` (C, H, W), uint8 or uint16, with a shorter side of ``side`` pixels, same type: each pixel the
    mean of the area that it covers, parts of pixels counted as such. Smaller images come back as they are."""
    height, width = image.shape[1:]
    size = downsized_shape(image.shape, side)
    if size == (height, width):
        return image
    small = _resample(image.astype(np.float64), _areas(height, size[0]), _areas(width, size[1]))
    return np.rint(small).astype(image.dtype)


def upsize(array: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return ``array`` (C, h, w) brought to ``size`` (H, W), no smaller, by bilinear interpolation."""
    height, width = array.shape[1:]
    if size == (height, width):
        return array
    return _resample(array.astype(np.float32), _tents(height, size[0]), _tents(width, size[1]))


def _resample(array: NDArray, rows: "scipy.sparse.csr_array", columns: "scipy.sparse.csr_array") -> NDArray:
    """Return ``array`` (C, H, W) resampled by the weights of its ``rows`` (H', H) and its ``columns`` (W', W)."""
    return np.stack([(columns @ (rows @ plane).T).T for plane in array])  # (C, H', W')


def _areas(before: int, after: int) -> "scipy.sparse.csr_array":
    """Return (after, before): the share of each pixel in the area of one of the fewer, larger ones."""
    factor = before / after
    starts = np.arange(after)[:, None] * factor  # (after, 1)
    pixels = np.floor(starts).astype(np.int64) + np.arange(int(np.ceil(factor)) + 1)  # (after, n): all that are touched
    overlaps = np.minimum(starts + factor, pixels + 1) - np.maximum(starts, pixels)
    return _matrix(pixels, overlaps.clip(0) / factor, before)


def _tents(before: int, after: int) -> "scipy.sparse.csr_array":
    """Return (after, before): the weights of the two pixels whose centres lie about each of the more, smaller ones."""
    centres = ((np.arange(after) + 0.5) * before / after - 0.5).clip(0, before - 1)[:, None]  # (after, 1)
    pixels = np.floor(centres).astype(np.int64) + np.arange(2)  # (after, 2)
    return _matrix(pixels, (1 - np.abs(centres - pixels)).astype(np.float32), before)


def _matrix(pixels: NDArray[np.int64], weights: NDArray, before: int) -> "scipy.sparse.csr_array":
    """Return (after, before) with ``weights`` (after, n) in the columns ``pixels`` (after, n); what lies beyond the
    last pixel weighs nothing."""
    rows = np.repeat(np.arange(len(pixels)), pixels.shape[1])
    columns = pixels.clip(max=before - 1).ravel()
    weights = np.where(pixels < before, weights, 0)
    return scipy.sparse.csr_array((weights.ravel(), (rows, columns)), shape=(len(pixels), before))
