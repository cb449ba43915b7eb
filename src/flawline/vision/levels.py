"""Pixel values: images of any depth on the scale [0, 1], and colour as grey levels."""

import numpy as np
from numpy.typing import NDArray

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts RGB to grey
FULL_SCALE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}


def unit(image: NDArray) -> NDArray[np.float32]:
    """Return an image of a type in ``FULL_SCALE`` as float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(FULL_SCALE[image.dtype])


def grey_levels(pixels: NDArray) -> NDArray[np.float32]:
    """Return (C, H, W) uint8 or uint16 as grey levels (H, W) from 0 to 255; RGB weighted by BT.601."""
    planes = [
        plane * np.float32(weight) for plane, weight in zip(pixels, LUMA if len(pixels) == 3 else (1,), strict=True)
    ]
    grey = np.add.reduce(planes) if len(planes) > 1 else planes[0]
    return grey if pixels.itemsize == 1 else grey * np.float32(255 / 65535)
