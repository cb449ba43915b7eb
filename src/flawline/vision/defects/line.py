"""A noisy line on top of the image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawline.params import LineParams
from flawline.vision.defects.base import Damaged, check_inputs, replace_pixels


@dataclass(frozen=True)
class Line:
    """A noisy linear function plotted on top of the image: a line at a random angle through the region's middle.

    At each step of a pixel along the line its position is off by ``jitter`` (normal, pixels); each of its pixels is
    raised by ``intensity`` plus ``noise`` (normal), alike in all channels. The mask is the line's pixels only.
    Source: Schneider 2022, section 3.1, "noise-dataset"; it prints neither width nor noise."""

    params: LineParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        check_inputs(image, region)
        angle = float(generator.uniform(0, 180))
        mask = noisy_line(region, angle, generator, self.params)
        added = generator.normal(self.params.intensity, self.params.noise, int(mask.sum()))  # (n,)
        drawn = {"angle": angle} | self.params.model_dump(mode="json")
        return Damaged(replace_pixels(image, mask, image[:, mask] + added), mask, drawn)


def noisy_line(
    region: NDArray[np.bool_], angle: float, generator: np.random.Generator, params: LineParams
) -> NDArray[np.bool_]:
    """Draw the pixels (H, W) of a line of ``width`` across ``region``, its position off by ``jitter`` at each step.

    ``angle`` is in degrees, counter-clockwise from the image's rows. The line runs through the region's pixel nearest
    to the middle, which is always on it: the mask is never empty."""
    ys, xs = np.nonzero(region)
    middle = np.hypot(ys - ys.mean(), xs - xs.mean()).argmin()
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    dy, dx = ys - ys[middle], xs - xs[middle]
    steps = np.rint(dx * cos - dy * sin).astype(int)  # (n,) along the line; y points down
    steps -= steps.min()
    offsets = generator.normal(0, params.jitter, steps.max() + 1)
    offsets -= offsets[steps[middle]]
    across = dx * sin + dy * cos  # (n,)
    mask = np.zeros_like(region)
    mask[region] = np.abs(across - offsets[steps]) <= params.width / 2
    return mask
