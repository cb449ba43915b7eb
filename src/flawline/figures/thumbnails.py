"""Photographs so small that a page holds thousands of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawline.figures.photographs import to_rgb8

THUMBNAIL = 128  # pixels of a thumbnail's longest side
THUMBNAIL_STRIP = 448  # of an image more than STRIP times as long as high
STRIP = 3


def fitted(size: Sequence[int], longest: float, longest_strip: float) -> tuple[int, int]:
    """Return ``size`` (height, width) scaled down until its longest side fits; that of a strip may be longer."""
    limit = longest_strip if max(size) > STRIP * min(size) else longest
    scale = min(1.0, limit / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def thumbnail_size(size: Sequence[int]) -> tuple[int, int]:
    """Return the (height, width) of the thumbnail of an image of ``size``; none is enlarged."""
    return fitted(size, THUMBNAIL, THUMBNAIL_STRIP)


def thumbnail(image: NDArray) -> NDArray[np.uint8]:
    """Return an image (C, H, W) of uint8, uint16 or float in [0, 1] averaged down to its thumbnail, (h, w, 3) uint8."""
    size = thumbnail_size(image.shape[1:])
    small = Image.fromarray(to_rgb8(image)).resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=1)
    return np.asarray(small)  # (h, w, 3)
