"""Where a defect may lie: a disk somewhere in the image, or anywhere in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.params import DefectInjectionParams

FILLING = ("elastic", "gaussian", "poisson")  # kinds that damage every pixel of their region
WIDE = (0.1, 0.4)  # radius of their disk in a small image, as shares of its shorter side
DRAWS = 1000  # of a centre that is to lie on something
SMALL = 64  # pixels of the shorter side up to which an image is a patch: a disk in it would hardly hold a defect


@dataclass(frozen=True)
class Disk:
    """A disk; centre (x, y) and radius in pixels, pixel centres at whole numbers."""

    x: float
    y: float
    radius: float

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels (H, W) of an image of ``size`` (h, w) whose centres lie in the disk."""
        ys, xs = np.ogrid[: size[0], : size[1]]
        return (ys - self.y) ** 2 + (xs - self.x) ** 2 <= self.radius**2


def random_disk(
    size: tuple[int, int],
    generator: np.random.Generator,
    *,
    radius: tuple[float, float],
    on: NDArray[np.bool_] | None = None,
) -> Disk:
    """Draw a disk that lies fully inside an image of ``size`` (h, w): radius, then centre, uniform where it fits; with
    ``on`` (h, w), where that is true too, unless ``DRAWS`` draws hit none of it.

    Raises FlawlineError unless 1 <= smallest <= largest ``radius`` (pixels) and the largest fits the image."""
    low, high = radius
    if not 1 <= low <= high:
        raise FlawlineError(f"radius must be (smallest, largest), pixels, from 1 upwards, got ({low:g}, {high:g})")
    if 2 * high > min(size):
        raise FlawlineError(f"radius must fit an image of {size[0]} x {size[1]} pixels, got {high:g} pixels")
    r = generator.uniform(low, high)
    for _ in range(DRAWS):
        y, x = (generator.uniform(r - 0.5, length - 0.5 - r) for length in size)
        if on is None or on[round(y), round(x)]:
            break
    return Disk(x=x, y=y, radius=r)


def random_region(
    size: tuple[int, int], generator: np.random.Generator, *, radius: tuple[float, float]
) -> NDArray[np.bool_]:
    """Draw a filled disk (H, W) fully inside an image of ``size`` (h, w); errors as in ``random_disk``."""
    return random_disk(size, generator, radius=radius).mask(size)


def draw_region(
    size: tuple[int, int],
    params: DefectInjectionParams,
    generator: np.random.Generator,
    *,
    kind: str = "",
    on: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """Draw the region (H, W) of an image of ``size`` (h, w) that a defect of ``kind`` may lie in, and tell where it is:
    nothing of the whole image, else ``centre`` [x, y] and ``radius`` in pixels. A kind that fills its region has a disk
    in a small image too, a larger one. The centre of a disk lies ``on`` (h, w), such as the part.

    Raises FlawlineError if the smallest disk would have a radius below a pixel."""
    whole = takes_whole(size, params)
    if whole and (kind not in FILLING or params.region == "image"):
        return np.ones(size, np.bool_), {}
    disk = random_disk(size, generator, radius=radius_in_pixels(size, WIDE if whole else params.radius), on=on)
    return disk.mask(size), {"centre": [disk.x, disk.y], "radius": disk.radius}


def takes_whole(size: tuple[int, int], params: DefectInjectionParams) -> bool:
    """Return True if a defect may lie anywhere in an image of ``size`` (h, w)."""
    return params.region == "image" or (params.region == "auto" and min(size) <= SMALL)


def radius_in_pixels(size: tuple[int, int], shares: tuple[float, float]) -> tuple[float, float]:
    """Return (smallest, largest) radius in pixels, given as ``shares`` of the shorter side of ``size`` (h, w)."""
    low, high = (share * min(size) for share in shares)
    if low < 1:
        raise FlawlineError(
            f"image of {size[0]} x {size[1]} pixels is too small for regions from {shares[0]:g} of its shorter side: "
            f"the smallest radius must be at least 1 pixel, got {low:g}. Raise defect_injection.radius, or set "
            f"defect_injection.region to image"
        )
    return low, high
