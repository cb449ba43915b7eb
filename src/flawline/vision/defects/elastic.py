"""Elastic deformation of what is there."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.params import ElasticParams
from flawline.vision.defects.base import Damaged, box_of, check_inputs, replace_pixels, sample


@dataclass(frozen=True)
class Elastic:
    """Elastic deformation: every pixel of the region shows what lies ``displacement_field`` further.

    Target to source, sampled as by ``sample``. The field does not fade at the rim, so every pixel of the region is as
    displaced as any other.
    Source: Simard et al. 2003, section 2, doi:10.1109/ICDAR.2003.1227801; named in Schneider 2022, section 3.1."""

    params: ElasticParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        check_inputs(image, region)
        inside = region[box_of(region)]  # (h, w): a field for the whole image would be wasted
        shifts = displacement_field(inside, generator, self.params)[:, inside]  # (2, n)
        values = sample(image, np.stack(np.nonzero(region)) + shifts)  # (C, n)
        return Damaged(replace_pixels(image, region, values), region.copy(), self.params.model_dump(mode="json"))


def displacement_field(
    region: NDArray[np.bool_], generator: np.random.Generator, params: ElasticParams
) -> NDArray[np.float64]:
    """Draw displacements (2, H, W) as (dy, dx) in pixels, the longest in ``region`` (H, W) being ``amplitude``.

    Uniform in [-1, 1] for each pixel and axis, convolved with a Gaussian of ``smoothness``, scaled.
    Departs from Simard et al. 2003: they scale by a factor (alpha) that says nothing in pixels."""
    margin = int(np.ceil(4 * params.smoothness))  # the filter's reach: the rim gets no other statistics
    height, width = region.shape
    noise = generator.uniform(-1, 1, (2, height + 2 * margin, width + 2 * margin))
    field = scipy.ndimage.gaussian_filter(noise, params.smoothness, axes=(1, 2))
    field = field[:, margin : margin + height, margin : margin + width]  # (2, H, W)
    return field * (params.amplitude / np.hypot(*field)[region].max())
