"""Random noise, the control: damage without a structure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawline.params import GaussianParams, PoissonParams
from flawline.vision.defects.base import Damaged, check_inputs, replace_pixels


@dataclass(frozen=True)
class GaussianNoise:
    """Normal noise of standard deviation ``sigma``, independent in every pixel and channel, then clipped."""

    params: GaussianParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        check_inputs(image, region)
        values = generator.normal(image[:, region], self.params.sigma)  # (C, n)
        return Damaged(replace_pixels(image, region, values), region.copy(), self.params.model_dump(mode="json"))


@dataclass(frozen=True)
class PoissonNoise:
    """Shot noise: a pixel of value v counts Poisson(v * ``photons``) photons; variance v / photons, then clipped."""

    params: PoissonParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        check_inputs(image, region)
        counts = generator.poisson(image[:, region].astype(np.float64) * self.params.photons)  # (C, n)
        values = counts / self.params.photons
        return Damaged(replace_pixels(image, region, values), region.copy(), self.params.model_dump(mode="json"))
