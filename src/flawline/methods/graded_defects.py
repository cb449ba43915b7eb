"""Pseudo-defects of many kinds, sizes and strengths on a product's part: what alignments and methods are chosen by."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawline.params import DefectInjectionParams
from flawline.storage.ragged import Lazy
from flawline.vision.brightness import brightened
from flawline.vision.defects.base import box_of
from flawline.vision.defects.injection import inject
from flawline.vision.foreground import find_foreground
from flawline.vision.levels import FULL_SCALE

PART = (0.01, 0.9)  # share of an image that a part covers; what covers less or more is no part on a background
SHIFT, GAIN = 0.01, 0.03  # of the sides, and of the brightness, by which a good image is disturbed at the most
SMALLEST = 3.0  # pixels: radius of the smallest disk in which every kind can be drawn
GREY = 255.0  # scale on which a part is told from the background


class GradedDefect(NamedTuple):
    """A pseudo-defect in the image at ``source``; what it changes there is kept alone, so that many take little
    memory."""

    source: int
    kind: str
    strength: float
    box: tuple[slice, slice]  # rows and columns
    pixels: NDArray  # (C, h, w) of that box

    def put_into(self, image: NDArray) -> NDArray:
        """Return a copy of its image (C, H, W) with the defect."""
        damaged = np.array(image)
        damaged[:, *self.box] = self.pixels
        return damaged


def with_defects(images: Sequence[NDArray], defects: Sequence[GradedDefect]) -> Lazy:
    """Return the damaged images (C, H, W), made when they are asked for."""
    return Lazy(len(defects), lambda k: defects[k].put_into(images[defects[k].source]))


def graded_defects(
    images: Sequence[NDArray], injection: DefectInjectionParams, *, count: int, seed: int, least_area: float = 0
) -> list[GradedDefect]:
    """Return ``count`` pseudo-defects in normal ``images`` (C, H, W), which take turns in an order that changes, as do
    kinds, and with every round of kinds the strengths. Their middles lie on the part, where one is told from the
    background: beside it every method finds them, or none does. Where the smallest wanted defect has an area, pixels,
    every other round of kinds has disks of about that area."""
    strengths = injection.graded.strengths
    parts: dict[int, NDArray[np.bool_] | None] = {}
    order = np.random.default_rng(seed)
    sources = np.concatenate([order.permutation(len(images)) for _ in range(-(-count // len(images)))])
    made = []
    for k in range(count):
        source, kind, turn = int(sources[k]), injection.kinds[k % len(injection.kinds)], k // len(injection.kinds)
        strength, image = strengths[turn % len(strengths)], images[source]
        if source not in parts:
            parts[source] = find_part(image)
        radius = disks(injection.graded.radius, least_area, min(image.shape[1:]), small=turn % 2 == 1)
        rng = np.random.default_rng([seed, k])
        defect = inject(image, kind, injection.but(radius=radius), rng, on=parts[source], strength=strength)
        box = box_of(defect.mask)
        made.append(GradedDefect(source, kind, strength, box, np.array(defect.image[:, *box])))
    return made


def disks(radius: tuple[float, float], least_area: float, side: int, *, small: bool = False) -> tuple[float, float]:
    """Return the smallest and largest radius, shares of the shorter ``side``: as given; or where the smallest wanted
    defect has an area, pixels, the smallest as large as a disk of that, and of ``small`` ones the largest twice as
    large as this."""
    low, high = radius
    if not least_area:
        return low, high
    least = min(max(math.sqrt(least_area / math.pi), SMALLEST) / side, high)
    return least, min(2 * least, high) if small else high


def disturbed(image: NDArray, rng: np.random.Generator) -> NDArray:
    """Return a good image (C, H, W) as another day may show it: moved by up to SHIFT of its sides, by whole pixels, its
    border going on, and brighter or darker by up to GAIN."""
    moves = [round(side * rng.uniform(-SHIFT, SHIFT)) for side in image.shape[1:]]
    rows, columns = (np.clip(np.arange(side) + move, 0, side - 1) for side, move in
                     zip(image.shape[1:], moves, strict=True))  # fmt: skip
    moved = image[:, rows[:, None], columns]
    return brightened(moved, image.dtype, gain=1 + rng.uniform(-GAIN, GAIN))


def find_part(image: NDArray) -> NDArray[np.bool_] | None:
    """Return the pixels (H, W) of ``image`` (C, H, W) that show a part; None where none is told from the background."""
    grey = image.mean(axis=0, dtype=np.float32) * np.float32(GREY / FULL_SCALE[image.dtype])
    share = find_foreground(grey)
    part = None if share is None else share > 0.5
    return part if part is not None and PART[0] <= part.mean() <= PART[1] else None
