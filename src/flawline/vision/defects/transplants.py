"""Another place of the same image, pasted in.

Source: Li et al. 2021, "CutPaste", section 2.2, doi:10.1109/CVPR46437.2021.00954."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawline.params import PatchPasteParams, ScarParams, TransplantParams
from flawline.vision.defects.base import (
    Damaged,
    Draw,
    box_of,
    check_inputs,
    draw_from,
    draw_place,
    draw_until_visible,
    grid_around,
    mask_at,
    sample,
    turned,
)
from flawline.vision.levels import LUMA

LEAST = 3  # pixels of a region each way
Rectangle = tuple[float, float, float]  # height, width (pixels), angle (degrees, counter-clockwise)


@dataclass(frozen=True)
class Patch:
    """An upright rectangle of another place, its colours changed a little, pasted in and cut to the region.

    Departs from the paper: sizes are shares of the region, so that a defect of any size can be asked for, and the hue
    is kept, as it has none in a grey image."""

    params: PatchPasteParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        def rectangle() -> Rectangle:
            area = draw_from(self.params.share, generator) * region.sum()
            low, high = np.log(self.params.aspect)
            aspect = np.exp(generator.uniform(low, high))
            return whole(np.sqrt(area * aspect)), whole(np.sqrt(area / aspect)), 0.0

        return _paste("patch", rectangle, image, region, generator, params=self.params)


@dataclass(frozen=True)
class Scar:
    """A long, thin rectangle of another place, turned, its colours changed a little, pasted in and cut to the region.

    Departs from the paper as ``Patch`` does."""

    params: ScarParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        def rectangle() -> Rectangle:
            sides = region[box_of(region)].shape
            length = draw_from(self.params.length, generator) * max(sides)
            width = draw_from(self.params.width, generator) * min(sides)
            return whole(width), whole(length), draw_from(self.params.angle, generator)

        return _paste("scar", rectangle, image, region, generator, params=self.params)


def whole(length: float) -> float:
    """Return a length in whole pixels, one at least."""
    return float(max(1, round(length)))


def _paste(
    kind: str,
    rectangle: Callable[[], Rectangle],
    image: NDArray[np.float32],
    region: NDArray[np.bool_],
    generator: np.random.Generator,
    *,
    params: TransplantParams,
) -> Damaged:
    """Paste rectangles until one can be seen. Its middle is a pixel of the region, so its mask is never empty."""
    check_inputs(image, region, kind=kind, least=LEAST)
    pixels = np.stack(np.nonzero(region))  # (2, n) as (y, x)

    def draw() -> Draw:
        height, width, angle = rectangle()
        around = grid_around(max(height, width))
        offsets = around[:, in_rectangle(turned(around, -angle), (height, width))]  # (2, n)
        middle, kept = draw_place(offsets, region, pixels, generator)
        source = other_place(image.shape[1:], (height, width), generator)
        values = sample(image, turned(offsets[:, kept], -angle) + np.array(source)[:, None])  # (C, m)
        values, colours = jittered(values, params.jitter, generator)
        where = {"x": int(middle[1]), "y": int(middle[0]), "height": height, "width": width, "angle": angle}
        drawn = where | {"source_x": source[1], "source_y": source[0]} | colours
        return Draw(mask_at(offsets[:, kept] + middle[:, None], region.shape), values, drawn)

    return draw_until_visible(kind, draw, image, params)


def in_rectangle(offsets: NDArray, size: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which of ``offsets`` (2, n) as (y, x) from its middle lie in a rectangle of ``size`` (h, w) pixels, which
    holds as many pixels each way as it is long, and the middle."""
    halves = np.array(size)[:, None] / 2
    return np.logical_and.reduce((offsets >= -halves) & (offsets < halves), axis=0)


def other_place(
    image_size: tuple[int, int], size: tuple[float, float], generator: np.random.Generator
) -> tuple[int, int]:
    """Draw the middle (y, x) of a rectangle of ``size`` (h, w) that lies in an image of ``image_size`` (h, w)."""
    lengths = [int(min(length, side)) for length, side in zip(size, image_size, strict=True)]
    y, x = (
        int(generator.integers(0, side - length, endpoint=True)) + length // 2
        for side, length in zip(image_size, lengths, strict=True)
    )
    return y, x


def jittered(
    values: NDArray[np.float32], strength: float, generator: np.random.Generator
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Change brightness, then contrast, of RGB then saturation of pixels (C, n), each by a factor drawn from
    1 +- ``strength``; return them with the factors."""
    brightness, contrast, saturation = (float(factor) for factor in generator.uniform(1 - strength, 1 + strength, 3))
    values = values * np.float32(brightness)
    mean = values.mean(axis=1, keepdims=True)  # (C, 1)
    values = mean + (values - mean) * np.float32(contrast)
    factors = {"brightness": brightness, "contrast": contrast}
    if len(values) != 3:
        return values, factors
    grey = (np.array(LUMA)[:, None] * values).sum(axis=0).astype(np.float32)  # (n,)
    return grey + (values - grey) * np.float32(saturation), factors | {"saturation": saturation}
