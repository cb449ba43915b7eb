"""What every injector shares: its interface, its checks, and drawing again until a defect can be seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_shape
from flawline.params import DrawnAgainParams

Box = tuple[slice, slice]  # rows and columns of an image
MIDDLES = 20  # drawn for a shape that should lie in its region uncut


class UnseenError(FlawlineError):
    """A kind was drawn as often as was asked for, and never could be seen where it was to lie."""


@dataclass(frozen=True)
class Damaged:
    """A damaged image (C, H, W) float32 in [0, 1], its defective pixels (H, W), and the numbers that were drawn for
    this very defect or that it was made with, as JSON has them. Noise is not among them: the generator repeats it."""

    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    drawn: dict[str, Any]


class Injector(Protocol):
    """Damage ``image`` (C, H, W) float32 in [0, 1] inside ``region`` (H, W), and only there.

    Returns a new image of the same shape, type and range, and the defective pixels (H, W), a part of ``region``.
    A defective pixel may keep its value: a black one under Poisson noise, one shifted along an even surface.
    Raises FlawlineError for another type or shape and a region that is empty or too small, and UnseenError where none
    of the defects drawn could be seen."""

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged: ...


class Draw(NamedTuple):
    """A defect before it is put into the image."""

    mask: NDArray[np.bool_]  # (H, W)
    values: NDArray  # (C, n): what its n pixels become, before they are clipped to [0, 1]
    drawn: dict[str, Any]


def check_inputs(image: NDArray, region: NDArray, *, kind: str = "this kind", least: int = 1) -> None:
    """Raise FlawlineError unless an injector can take both; the region's box must be ``least`` pixels each way."""
    check_shape("image", image, ("C", "H", "W"))
    check_shape("region", region, image.shape[1:])
    if image.dtype != np.float32:
        raise FlawlineError(f"image must be float32 in [0, 1], got {image.dtype}")
    if region.dtype != np.bool_:
        raise FlawlineError(f"region must be bool, got {region.dtype}")
    if not region.any():
        raise FlawlineError("region must have at least one pixel, got none")
    height, width = region[box_of(region)].shape if least > 1 else region.shape
    if min(height, width) < least:
        raise FlawlineError(
            f"region must be at least {least} x {least} pixels for {kind}, got {height} x {width}: take a larger "
            f"image, region or radius, or leave {kind} out of the kinds"
        )


def box_of(region: NDArray[np.bool_]) -> Box:
    """Return the smallest rectangle that holds all of ``region`` (H, W)."""
    rows, columns = scipy.ndimage.find_objects(region.astype(np.uint8))[0]
    return rows, columns


def replace_pixels(image: NDArray[np.float32], mask: NDArray[np.bool_], values: NDArray) -> NDArray[np.float32]:
    """Return a copy of ``image`` (C, H, W) with ``values`` (C, n), clipped, at the n pixels of ``mask`` (H, W)."""
    result = np.array(image)
    result[:, mask] = np.clip(values, 0, 1)
    return result


def sample(image: NDArray[np.float32], points: NDArray) -> NDArray[np.float32]:
    """Return the values (C, n) of ``image`` (C, H, W) at ``points`` (2, n) as (y, x).

    Bilinear, pixel centres at whole numbers; outside the image it is mirrored (d c b a | a b c d)."""
    return np.stack([scipy.ndimage.map_coordinates(channel, points, order=1, mode="reflect") for channel in image])


def mask_at(pixels: NDArray[np.int_], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask (H, W) of ``size`` (h, w) that is true at ``pixels`` (2, n) as (y, x)."""
    mask = np.zeros(size, np.bool_)
    mask[pixels[0], pixels[1]] = True
    return mask


def grid_around(reach: float) -> NDArray[np.int_]:
    """Return the pixels (2, n) as (y, x) from (0, 0) that lie up to ``reach`` pixels from it each way."""
    side = int(np.ceil(reach))
    return np.indices((2 * side + 1, 2 * side + 1)).reshape(2, -1) - side


def draw_place(
    offsets: NDArray[np.int_], region: NDArray[np.bool_], pixels: NDArray[np.int_], generator: np.random.Generator
) -> tuple[NDArray[np.int_], NDArray[np.bool_]]:
    """Draw where in ``region`` (H, W) a shape lies, of pixels at ``offsets`` (2, n) as (y, x) from its middle: the
    middle is one of ``pixels`` (2, m), all of the region.

    Returns the first place of ``MIDDLES`` where nothing is cut off, else the one where least is, as (y, x), and which
    of the shape's pixels (n,) are left there."""
    place, best = pixels[:, 0], np.zeros(offsets.shape[1], np.bool_)
    height, width = region.shape
    for _ in range(MIDDLES):
        middle = pixels[:, generator.integers(pixels.shape[1])]  # (2,)
        y, x = offsets + middle[:, None]  # (n,), (n,)
        kept = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        kept[kept] = region[y[kept], x[kept]]
        if kept.sum() > best.sum():
            place, best = middle, kept
        if best.all():
            break
    return place, best


def draw_until_visible(
    kind: str, draw: Callable[[], Draw], image: NDArray[np.float32], params: DrawnAgainParams
) -> Damaged:
    """Return the first draw that changes its pixels by ``params.visible`` of the image's contrast, put into ``image``.

    Raises UnseenError if none of ``params.attempts`` draws does."""
    least, most = least_change(image, params), 0.0
    for _ in range(params.attempts):
        mask, values, drawn = draw()
        change = mean_change(image, mask, values)
        if change > 0 and change >= least:
            return Damaged(replace_pixels(image, mask, values), mask, drawn)
        most = max(most, change)
    raise UnseenError(
        f"{kind} must change its pixels by at least {least:.2g} of the full range on average ({params.visible:g} "
        f"standard deviations of the image), and by more than nothing; {params.attempts} draws changed them by "
        f"{most:.2g} at the most. The image may be even or dark: leave {kind} out of the kinds, or lower "
        f"defect_injection.{kind}.visible"
    )


def least_change(image: NDArray[np.float32], params: DrawnAgainParams) -> float:
    """Return the mean change from which a defect in ``image`` counts as visible: a share of its standard deviation, so
    that dark and bright images are asked for the same."""
    return params.visible * float(image.std())


def mean_change(image: NDArray[np.float32], mask: NDArray[np.bool_], values: NDArray) -> float:
    """Return how far ``values`` (C, n), clipped, lie from what ``image`` (C, H, W) has there; 0 of no pixel."""
    return float(np.abs(np.clip(values, 0, 1) - image[:, mask]).mean()) if values.size else 0.0


def draw_from(ends: tuple[float, float], generator: np.random.Generator) -> float:
    """Draw a number between the two ``ends``, uniformly."""
    return float(generator.uniform(*ends))


def turned(points: NDArray, angle: float) -> NDArray:
    """Return ``points`` (2, n) as (y, x), turned about (0, 0) by ``angle`` degrees, counter-clockwise as one sees the
    image: y points down."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.stack([cos * points[0] - sin * points[1], sin * points[0] + cos * points[1]])  # (2, n)
