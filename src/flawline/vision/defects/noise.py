"""Random noise, the control: damage without a structure."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawline.params import GaussianParams, PoissonParams
from flawline.vision.defects.base import Damaged, check_inputs, replace_pixels


@dataclass(frozen=True)
class Noise(ABC):
    """Noise in every pixel and channel of the region, independent, then clipped."""

    params: GaussianParams | PoissonParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        check_inputs(image, region)
        values = self.noisy(image[:, region], generator)  # (C, n)
        return Damaged(replace_pixels(image, region, values), region.copy(), self.params.model_dump(mode="json"))

    @abstractmethod
    def noisy(self, values: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float64]:
        """Return ``values`` (C, n) with noise."""


@dataclass(frozen=True)
class GaussianNoise(Noise):
    """Normal noise of standard deviation ``sigma``."""

    params: GaussianParams

    def noisy(self, values: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float64]:
        return generator.normal(values, self.params.sigma)


@dataclass(frozen=True)
class PoissonNoise(Noise):
    """Shot noise: a pixel of value v counts Poisson(v * ``photons``) photons; its variance is v / photons."""

    params: PoissonParams

    def noisy(self, values: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float64]:
        return generator.poisson(values.astype(np.float64) * self.params.photons) / self.params.photons
