"""Pixel values on their full scale."""

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}


def unit(image: NDArray) -> NDArray[np.float32]:
    """Return an image of a type in ``FULL_SCALE`` as float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(FULL_SCALE[image.dtype])
