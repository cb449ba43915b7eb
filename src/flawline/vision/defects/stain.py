"""A stain: an irregular soft ellipse of one colour.

Source: Collin & De Vleeschouwer 2021, "Improved anomaly detection by training an autoencoder with skip connections on
images corrupted with stain-shaped noise", section III, doi:10.1109/ICPR48806.2021.9412842."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.params import StainParams
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
    turned,
)

LEAST = 3  # pixels of a region each way


@dataclass(frozen=True)
class Stain:
    """An ellipse whose outline wavers, a cubic between points drawn around it, filled with a colour and turned.

    Departs from the paper: the colour rises softly from the outline inwards and lets the image through, where the
    paper's stain is opaque; and its size is a share of the region."""

    params: StainParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        check_inputs(image, region, kind="stain", least=LEAST)
        side = min(region[box_of(region)].shape)
        pixels = np.stack(np.nonzero(region))  # (2, n) as (y, x)
        return draw_until_visible(
            "stain", lambda: self._draw(image, region, pixels, side, generator), image, self.params
        )

    def _draw(
        self,
        image: NDArray[np.float32],
        region: NDArray[np.bool_],
        pixels: NDArray[np.int_],
        side: int,
        generator: np.random.Generator,
    ) -> Draw:
        params = self.params
        height, width = (draw_from(params.axes, generator) * side for _ in range(2))
        angle, opacity = float(generator.uniform(0, 180)), draw_from(params.opacity, generator)
        colour = [draw_from(params.colour, generator) for _ in image]
        outline = generator.uniform(1 - params.irregularity, 1 + params.irregularity, params.points)
        around = grid_around(max(height, width))  # an outline is less than twice as far as the ellipse
        depth = depth_in_stain(turned(around, -angle), (height, width), outline)
        offsets, depth = around[:, depth > 0], depth[depth > 0]  # (2, n), (n,)
        middle, kept = draw_place(offsets, region, pixels, generator)
        mask_pixels = offsets[:, kept] + middle[:, None]  # (2, m)
        strength = np.float32(opacity) * np.minimum(1, depth[kept] / params.softness).astype(np.float32)
        before = image[:, mask_pixels[0], mask_pixels[1]]  # (C, m)
        values = before + strength * (np.array(colour, np.float32)[:, None] - before)
        drawn: dict[str, Any] = {
            "x": int(middle[1]),
            "y": int(middle[0]),
            "height": height,
            "width": width,
            "angle": angle,
        }
        drawn |= {"opacity": opacity, "colour": colour, "outline": outline.tolist()}
        return Draw(mask_at(mask_pixels, region.shape), values, drawn)


def depth_in_stain(offsets: NDArray, size: tuple[float, float], outline: NDArray) -> NDArray[np.float64]:
    """Return how deep points at ``offsets`` (2, n) as (y, x) from the middle lie in a stain: 1 in the middle, 0 on the
    outline, below 0 beyond.

    It is an ellipse of ``size`` (h, w) pixels whose outline lies ``outline`` (m,) times as far at m even steps of the
    angle, and on a periodic cubic between them."""
    y, x = (offset / max(length / 2, 0.5) for offset, length in zip(offsets, size, strict=True))
    steps = np.linspace(0, 2 * np.pi, len(outline) + 1)
    cubic = scipy.interpolate.CubicSpline(steps, np.append(outline, outline[0]), bc_type="periodic")
    return 1 - np.hypot(x, y) / cubic(np.arctan2(y, x) % (2 * np.pi))
