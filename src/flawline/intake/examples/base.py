"""What every embedded example is made of: images with exact masks, each drawn with a random generator of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawline.params import ExampleCounts

GROUPS = (  # (split, count in ExampleCounts); a row's number is part of its images' seeds: only append
    ("train", "train"),
    ("validation", "validation"),
    ("calibration", "calibration"),
    ("test", "normal_test"),
    ("test", "anomalous_test"),
)

Drawn = tuple[NDArray[np.uint8], NDArray[np.bool_] | None]  # image (C, H, W), mask (H, W) or None


@dataclass(frozen=True)
class ExampleImage:
    """One image (C, H, W) uint8 and its defective pixels (H, W), None if good. ``name`` is its number among those of
    the same split and defect."""

    split: str  # train, validation, calibration or test
    defect: str  # good, or the kind of defect
    name: str  # 000, 001, ...
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None


def draw_images(
    counts: ExampleCounts, seed: int, draw: Callable[[np.random.Generator, bool], Drawn], *, defect: str
) -> Iterator[ExampleImage]:
    """Draw the images one by one: ``draw`` takes a generator, and whether to put in a defect (of the kind ``defect``).

    An image depends on the seed, its split, whether it is good, and its number, not on how many others there are."""
    for group, (split, count) in enumerate(GROUPS):
        defective = count == "anomalous_test"
        for i in range(getattr(counts, count)):
            generator = image_generator(seed, group, i)
            yield ExampleImage(split, defect if defective else "good", f"{i:03d}", *draw(generator, defective))


def image_generator(seed: int, group: int, i: int) -> np.random.Generator:
    """Return the generator of the i-th image of a row of ``GROUPS``."""
    return np.random.default_rng(np.random.SeedSequence([seed, group, i]))


def to_8_bit(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return ``values`` in [0, 1] as the nearest of 256 levels; what lies outside is clipped."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
