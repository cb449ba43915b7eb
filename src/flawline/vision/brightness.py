"""Brightness of whole images: brought to a common level by a gain, in the image's own type."""

import numpy as np
from numpy.typing import NDArray

from flawline.vision.levels import grey_levels

GAIN = 4.0  # a gain is at most this, and at least its inverse


def median_level(image: NDArray) -> float:
    """Return the median grey level, 0 to 255, of ``image`` (C, H, W): a flaw, which covers few pixels, hardly moves
    it."""
    return float(np.median(grey_levels(image)))


def gain_between(wanted: float, there: float) -> float:
    """Return the gain from the level ``there`` to ``wanted``; 1 where either is too dark to tell."""
    if min(wanted, there) < 1:
        return 1.0
    return round(float(np.clip(wanted / there, 1 / GAIN, GAIN)), 6)


def brightened(pixels: NDArray, dtype: np.dtype, *, gain: float, offset: float = 0.0) -> NDArray:
    """Return ``pixels`` of any shape times ``gain`` plus ``offset`` (grey levels of 255), rounded to ``dtype``, uint8
    or uint16; what leaves its range is cut off."""
    highest = np.iinfo(dtype).max
    levels = pixels * np.float32(gain) + np.float32(offset * highest / 255)
    return np.rint(np.clip(levels, 0, highest)).astype(dtype)
