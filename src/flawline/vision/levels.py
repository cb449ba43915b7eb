"""Pixel values: images of any depth on the scale [0, 1], and colour as grey levels."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts RGB to grey
FULL_SCALE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}


def unit(image: NDArray) -> NDArray[np.float32]:
    """Return an image of a type in ``FULL_SCALE`` as float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(FULL_SCALE[image.dtype])


def from_unit(values: NDArray[np.float32], dtype: np.dtype) -> NDArray:
    """Return values in [0, 1] on the scale of a type in ``FULL_SCALE``, rounded to the nearest."""
    return values if dtype == np.float32 else np.rint(values * np.float32(FULL_SCALE[dtype])).astype(dtype)


def to_full_scale(pixels: NDArray, bits: int) -> NDArray:
    """Return pixels of any shape whose values go from 0 to 2**bits - 1 on the full scale of their type: 0 stays 0, the
    largest value becomes the type's, what lies between is rounded to the nearest.

    Only uint16 can use fewer bits than it has: ``bits`` from 8 to 16. Raise FlawlineError if a value is larger."""
    if bits == 8 * pixels.itemsize:
        return pixels
    check_bits(pixels, bits)
    return _stretched(bits)[pixels]


def check_bits(pixels: NDArray, bits: int) -> None:
    """Raise FlawlineError if ``pixels`` hold a value that ``bits`` cannot."""
    largest = int(pixels.max(initial=0))
    if largest > full_value(bits):
        raise FlawlineError(f"pixels must be at most {full_value(bits)} ({bits} bits a channel), got {largest}")


def full_value(bits: int) -> int:
    """Return the largest value that so many bits hold."""
    return int(2**bits - 1)


@lru_cache
def _stretched(bits: int) -> NDArray[np.uint16]:
    """Return for every value of so many bits its place (2**bits,) on the scale of 16."""
    full = full_value(bits)
    return ((np.arange(full + 1) * 65535 + full // 2) // full).astype(np.uint16)


def grey_levels(pixels: NDArray) -> NDArray[np.float32]:
    """Return (C, H, W) uint8 or uint16 as grey levels (H, W) from 0 to 255; RGB weighted by BT.601."""
    planes = [
        plane * np.float32(weight) for plane, weight in zip(pixels, LUMA if len(pixels) == 3 else (1,), strict=True)
    ]
    grey = np.add.reduce(planes) if len(planes) > 1 else planes[0]
    return grey if pixels.itemsize == 1 else grey * np.float32(255 / 65535)
