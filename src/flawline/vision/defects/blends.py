"""Another place of the same image, blended in where smooth noise is high.

Source: Zavrtanik et al. 2021, "DRAEM", section 3.3, doi:10.1109/ICCV48922.2021.00822."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.params import BlendParams
from flawline.vision.defects.base import (
    Box,
    Damaged,
    Draw,
    box_of,
    check_inputs,
    draw_from,
    draw_until_visible,
    sample,
    turned,
)

LEAST = 3  # pixels of a region each way
DRAWN = ("scale", "share", "angle", "opacity")


@dataclass(frozen=True)
class Blend:
    """Irregular blobs that show another place of the image, turned, through the image: (1 - opacity) image + opacity
    other, as the paper's Eq. 2.

    Departs from the paper: the noise is white noise under a Gaussian, not Perlin's; its threshold is the quantile that
    leaves the share drawn, so that a mask is neither empty nor whole; and the other texture is of the image itself,
    which is harder to tell than one of another data set."""

    params: BlendParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        check_inputs(image, region, kind="blend", least=LEAST)
        box = box_of(region)
        return draw_until_visible("blend", lambda: self._draw(image, region, box, generator), image, self.params)

    def _draw(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], box: Box, generator: np.random.Generator
    ) -> Draw:
        drawn = {name: draw_from(getattr(self.params, name), generator) for name in DRAWN}
        mask = np.zeros_like(region)
        mask[box] = blobs(region[box], drawn["scale"], drawn["share"], generator)
        y, x = (int(generator.integers(side)) for side in image.shape[1:])  # shown in the box's middle
        middle = [[(part.start + part.stop - 1) / 2] for part in box]  # (2, 1)
        offsets = turned(np.stack(np.nonzero(mask)) - middle, -drawn["angle"])  # (2, n)
        other = sample(image, offsets + np.array([[y], [x]]))  # (C, n)
        values = image[:, mask] + np.float32(drawn["opacity"]) * (other - image[:, mask])
        return Draw(mask, values, drawn | {"source_x": x, "source_y": y})


def blobs(region: NDArray[np.bool_], scale: float, share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Draw the ``share`` of ``region`` (h, w) in which smooth noise is highest: white noise under a Gaussian whose
    standard deviation is ``scale`` of the shorter side, faded out towards the region's rim, which would cut blobs off.
    At least one pixel."""
    reach = scale * min(region.shape)
    noise = scipy.ndimage.gaussian_filter(generator.standard_normal(region.shape), reach)
    fade = 2 * scipy.ndimage.gaussian_filter(region.astype(np.float64), reach, mode="nearest") - 1  # 0 at a rim
    field = (noise - noise.min()) * fade
    inside = field[region]
    wanted = max(1, round(share * inside.size))
    return region & (field >= np.partition(inside, -wanted)[-wanted])
