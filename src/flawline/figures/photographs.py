"""Photographs and anomaly maps as pictures (H, W, 3) uint8."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flawline.checks import FlawlineError, check_shape

MARK = (226, 54, 54)  # a region the detector found
TRUTH = (0, 190, 255)  # a defect marked by hand


class Region(Protocol):
    """A box in pixels: the upper left corner and the size."""

    @property
    def y(self) -> float: ...
    @property
    def x(self) -> float: ...
    @property
    def height(self) -> float: ...
    @property
    def width(self) -> float: ...


def to_rgb8(image: NDArray, *, white: float | None = None) -> NDArray[np.uint8]:
    """Turn an image (C, H, W) of uint8, uint16 or float in [0, 1] into (H, W, 3) uint8.

    One or two channels are shown grey from the first, of more than three the first three as colour. ``white`` is the
    share of the full scale shown as white; by default `white_level`.
    """
    check_shape("image", image, ("C", "H", "W"))
    white = white_level(image) if white is None else white
    channels = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)  # (3, H, W)
    if channels.dtype != np.uint8 or white != 1:
        shares = channels.astype(np.float32) / (full_scale(image.dtype) * white)
        channels = np.rint(np.clip(np.nan_to_num(shares), 0, 1) * 255).astype(np.uint8)
    return np.stack(list(channels), axis=-1)  # (H, W, 3), in a fifth of the time of a copy of the transpose


def full_scale(dtype: np.dtype) -> float:
    """Return the value of a saturated pixel: 255, 65535, or 1 for floats."""
    if dtype in (np.uint8, np.uint16):
        return float(np.iinfo(dtype).max)
    if np.issubdtype(dtype, np.floating):
        return 1.0
    raise FlawlineError(f"image must be uint8, uint16 or float, got {dtype}")


def white_level(image: NDArray) -> float:
    """Return the share of the full scale to show as white: 1, but for uint16 the bit depth the image seems to have.

    A 12-bit camera's image stored in 16 bits would be black otherwise.
    """
    if image.dtype != np.uint16:
        return 1.0
    bits = max(8, int(image.max(initial=0)).bit_length())
    return (2**bits - 1) / 65535


def scale_top(limit: float, maps: Iterable[NDArray]) -> float:
    """Return the value to be shown brightest of ``maps`` (H, W): twice the threshold ``limit`` on them, which is then
    mid-scale, else their highest value."""
    if 0 < limit < np.inf:
        return 2 * limit
    highest = [float(one[np.isfinite(one)].max(initial=0)) for one in maps]
    return max([value for value in highest if value > 0], default=1.0)


def heat(anomaly_map: NDArray, *, top: float) -> NDArray[np.uint8]:
    """Colour a map (H, W) from 0 (black) to ``top`` and above (pale yellow) as (H, W, 3) uint8; not-a-number is grey.

    The colour map is inferno: its lightness rises evenly, so it also reads in grey print.
    """
    check_shape("anomaly_map", anomaly_map, ("H", "W"))
    if not top > 0:
        raise FlawlineError(f"top must be > 0, got {top}")
    import matplotlib

    colours = matplotlib.colormaps["inferno"].with_extremes(bad="0.5")
    shares = np.clip(anomaly_map.astype(np.float32) / top, 0, 1)
    return colours(shares, bytes=True)[..., :3]  # (H, W, 3)


def overlay(
    image: NDArray,
    anomaly_map: NDArray,
    threshold: float,
    regions: Iterable[Region],
    *,
    mask: NDArray | None = None,
    white: float | None = None,
) -> NDArray[np.uint8]:
    """Draw on the image (C, H, W) what the detector saw, as (H, W, 3) uint8.

    Pixels whose map (H, W) exceeds ``threshold`` are tinted, each region is boxed just outside its border, and the
    defect marked by hand (``mask``, (H, W) bool) is outlined in blue. Every other pixel is the photograph's.
    """
    from scipy.ndimage import binary_dilation

    check_shape("anomaly_map", anomaly_map, image.shape[1:])
    picture = to_rgb8(image, white=white)  # (H, W, 3)
    beyond = anomaly_map > threshold
    picture[beyond] = np.rint(0.55 * picture[beyond] + 0.45 * np.array(MARK)).astype(np.uint8)
    line = max(1, round(max(beyond.shape) / 240))
    if mask is not None:
        check_shape("mask", mask, image.shape[1:])
        picture[binary_dilation(mask, iterations=line) & ~mask.astype(bool)] = TRUTH
    return _draw_boxes(picture, regions, line)


def _draw_boxes(picture: NDArray[np.uint8], regions: Iterable[Region], line: int) -> NDArray[np.uint8]:
    """Box each region with ``line`` pixels outside its border."""
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for region in regions:
        y, x = round(region.y) - line, round(region.x) - line
        below, right = round(region.y + region.height) + line - 1, round(region.x + region.width) + line - 1
        draw.rectangle((x, y, max(x, right), max(y, below)), outline=MARK, width=line)
    return np.array(canvas)
