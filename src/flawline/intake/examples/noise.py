"""noise: Gaussian noise with a noisy line on top."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from flawline.intake.examples.base import Drawn, ExampleImage, draw_images, to_8_bit
from flawline.params import NoiseParams
from flawline.vision.defects import Line


def draw_noise(params: NoiseParams) -> Iterator[ExampleImage]:
    """Draw the noise data set: intensities from a Gaussian, clipped to [0, 1], and such images with a noisy line
    across; the mask is the line's pixels.

    Source: Schneider 2022, section 3.1, "noise-dataset", and Fig. 2c, 2d. It prints neither sizes nor strengths nor
    where the lines are; ours pass through the middle half of the image at any angle."""
    return draw_images(params, params.seed, partial(_draw_noise, params), defect="line")


def _draw_noise(params: NoiseParams, generator: np.random.Generator, defective: bool) -> Drawn:
    height, width = params.image_size
    size = (2 * height, 2 * width) if defective else (height, width)
    image = generator.normal(params.mean, params.deviation, (1, *size)).clip(0, 1).astype(np.float32)
    if not defective:
        return to_8_bit(image), None
    made = Line(params.line)(image, np.ones(size, np.bool_), generator)
    return _window(made.image, made.mask, generator)


def _window(image: NDArray[np.float32], mask: NDArray[np.bool_], generator: np.random.Generator) -> Drawn:
    """Cut a window of half the size out of ``image`` (1, 2H, 2W), whose middle lies in the window's middle half.

    ``Line`` passes through its region's middle; cut like this, lines pass anywhere and from rim to rim."""
    height, width = mask.shape[0] // 2, mask.shape[1] // 2
    y, x = (int(generator.integers(n // 4, 3 * n // 4, endpoint=True)) for n in (height, width))
    rows, columns = slice(y, y + height), slice(x, x + width)
    return to_8_bit(image[:, rows, columns]), mask[rows, columns].copy()  # (1, H, W), (H, W)
