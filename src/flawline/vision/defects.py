"""Pseudo-defects: draw a region in a normal image, damage the pixels in it, know exactly which ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, overload

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_range, check_shape, near_name
from flawline.params import DefectInjectionParams, ElasticParams, GaussianParams, LineParams, PoissonParams
from flawline.vision.levels import FULL_SCALE, unit

Damaged = tuple[NDArray[np.float32], NDArray[np.bool_]]  # image (C, H, W), mask (H, W)


class Injector(Protocol):
    """Damage ``image`` (C, H, W) float32 in [0, 1] inside ``region`` (H, W), and only there.

    Returns a new image of the same shape, type and range, and the defective pixels (H, W), a part of ``region``.
    A defective pixel may keep its value: a black one under Poisson noise, one shifted along an even surface.
    Raises FlawlineError for another type or shape, or an empty region."""

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged: ...


# --- injectors -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Elastic:
    """Elastic deformation: every pixel of the region shows what lies ``displacement_field`` further.

    Target to source, bilinear, pixel centres at whole numbers; outside the image it is mirrored (d c b a | a b c d).
    The field does not fade at the rim, so every pixel of the region is as displaced as any other.
    Source: Simard et al. 2003, section 2, doi:10.1109/ICDAR.2003.1227801; named in Schneider 2022, section 3.1."""

    params: ElasticParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        _check_inputs(image, region)
        (box,) = scipy.ndimage.find_objects(region.astype(np.uint8))
        inside = region[box]  # (h, w): a field for the whole image would be wasted
        shifts = displacement_field(inside, generator, self.params)[:, inside]  # (2, n)
        points = np.stack(np.nonzero(region)) + shifts  # (2, n)
        values = [scipy.ndimage.map_coordinates(channel, points, order=1, mode="reflect") for channel in image]
        return _replace_pixels(image, region, np.stack(values)), region.copy()


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
        _check_inputs(image, region)
        mask = noisy_line(region, generator, self.params)
        added = generator.normal(self.params.intensity, self.params.noise, int(mask.sum()))  # (n,)
        return _replace_pixels(image, mask, image[:, mask] + added), mask


@dataclass(frozen=True)
class GaussianNoise:
    """Normal noise of standard deviation ``sigma``, independent in every pixel and channel, then clipped."""

    params: GaussianParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        _check_inputs(image, region)
        values = generator.normal(image[:, region], self.params.sigma)  # (C, n)
        return _replace_pixels(image, region, values), region.copy()


@dataclass(frozen=True)
class PoissonNoise:
    """Shot noise: a pixel of value v counts Poisson(v * ``photons``) photons; variance v / photons, then clipped."""

    params: PoissonParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        _check_inputs(image, region)
        counts = generator.poisson(image[:, region].astype(np.float64) * self.params.photons)  # (C, n)
        return _replace_pixels(image, region, counts / self.params.photons), region.copy()


INJECTORS: dict[str, Callable[[Any], Injector]] = {  # a kind is also its params' name in DefectInjectionParams
    "elastic": Elastic,
    "line": Line,
    "gaussian": GaussianNoise,
    "poisson": PoissonNoise,
}


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


def noisy_line(region: NDArray[np.bool_], generator: np.random.Generator, params: LineParams) -> NDArray[np.bool_]:
    """Draw the pixels (H, W) of a line of ``width`` across ``region``, its position off by ``jitter`` at each step.

    It runs through the region's pixel nearest to the middle, which is always on it: the mask is never empty."""
    ys, xs = np.nonzero(region)
    middle = np.hypot(ys - ys.mean(), xs - xs.mean()).argmin()
    angle = generator.uniform(0, np.pi)
    dy, dx = ys - ys[middle], xs - xs[middle]
    steps = np.rint(dx * np.cos(angle) - dy * np.sin(angle)).astype(int)  # (n,) along the line; y points down
    steps -= steps.min()
    offsets = generator.normal(0, params.jitter, steps.max() + 1)
    offsets -= offsets[steps[middle]]
    across = dx * np.sin(angle) + dy * np.cos(angle)  # (n,)
    mask = np.zeros_like(region)
    mask[region] = np.abs(across - offsets[steps]) <= params.width / 2
    return mask


def _check_inputs(image: NDArray, region: NDArray) -> None:
    check_shape("image", image, ("C", "H", "W"))
    check_shape("region", region, image.shape[1:])
    if image.dtype != np.float32:
        raise FlawlineError(f"image must be float32 in [0, 1], got {image.dtype}")
    if region.dtype != np.bool_:
        raise FlawlineError(f"region must be bool, got {region.dtype}")
    if not region.any():
        raise FlawlineError("region must have at least one pixel, got none")


def _replace_pixels(image: NDArray[np.float32], mask: NDArray[np.bool_], values: NDArray) -> NDArray[np.float32]:
    result = np.array(image)
    result[:, mask] = np.clip(values, 0, 1)
    return result


# --- regions ---------------------------------------------------------------------------------------------------------
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


def random_disk(size: tuple[int, int], generator: np.random.Generator, *, radius: tuple[float, float]) -> Disk:
    """Draw a disk that lies fully inside an image of ``size`` (h, w): radius, then centre, uniform where it fits.

    Raises FlawlineError unless 1 <= smallest <= largest ``radius`` (pixels) and the largest fits the image."""
    low, high = radius
    if not 1 <= low <= high:
        raise FlawlineError(f"radius must be (smallest, largest), pixels, from 1 upwards, got ({low:g}, {high:g})")
    if 2 * high > min(size):
        raise FlawlineError(f"radius must fit an image of {size[0]} x {size[1]} pixels, got {high:g} pixels")
    r = generator.uniform(low, high)
    y, x = (generator.uniform(r - 0.5, length - 0.5 - r) for length in size)
    return Disk(x=x, y=y, radius=r)


def random_region(
    size: tuple[int, int], generator: np.random.Generator, *, radius: tuple[float, float]
) -> NDArray[np.bool_]:
    """Draw a filled disk (H, W) fully inside an image of ``size`` (h, w); errors as in ``random_disk``."""
    return random_disk(size, generator, radius=radius).mask(size)


# --- images of any depth ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PseudoDefect:
    """A damaged image (C, H, W) in its input's type, the defective pixels (H, W), and how they were made.

    ``parameters`` can be written as JSON: kind, centre [x, y] and radius of the region in pixels, the injector's own
    numbers, and changed: the share of the mask's pixels that differ from the input (0: the defect cannot be seen)."""

    image: NDArray
    mask: NDArray[np.bool_]
    parameters: dict[str, Any]


def inject(image: NDArray, kind: str, params: DefectInjectionParams, generator: np.random.Generator) -> PseudoDefect:
    """Put one defect of ``kind`` into a copy of ``image`` (C, H, W) uint8, uint16 or float32 in [0, 1].

    The depth is kept, and pixels outside the mask are those of ``image`` to the bit. Raises FlawlineError for another
    type, shape or range, an unknown kind, or an image that is too small for ``params.radius``."""
    _check_image(image)
    if kind not in INJECTORS:
        raise FlawlineError(f"kind must be one of {', '.join(INJECTORS)}, got '{kind}'{near_name(kind, INJECTORS)}")
    height, width = image.shape[1:]
    disk = random_disk((height, width), generator, radius=_radius_in_pixels((height, width), params.radius))
    own = getattr(params, kind)
    values, mask = INJECTORS[kind](own)(unit(image), disk.mask((height, width)), generator)
    damaged = np.array(image)
    damaged[:, mask] = _from_unit(values[:, mask], image.dtype)
    changed = float((damaged[:, mask] != image[:, mask]).any(axis=0).mean())
    where = {"kind": kind, "centre": [disk.x, disk.y], "radius": disk.radius, "changed": changed}
    return PseudoDefect(damaged, mask, where | own.model_dump(mode="json"))


class PseudoDefects(Sequence[PseudoDefect]):
    """``per_image`` pseudo-defects in each of ``images``, kinds in turn, made when asked for and never kept.

    The i-th lies in image i // per_image and has the kind kinds[i % len(kinds)]. It has a
    generator of its own, made of ``seed`` and i: it does not depend on which others were asked for, or when."""

    def __init__(self, images: Sequence[NDArray], params: DefectInjectionParams, seed: int):
        self._images, self._params, self._seed = images, params, seed

    def __len__(self) -> int:
        return len(self._images) * self._params.per_image

    @overload
    def __getitem__(self, index: int) -> PseudoDefect: ...
    @overload
    def __getitem__(self, index: slice) -> list[PseudoDefect]: ...
    def __getitem__(self, index: int | slice) -> PseudoDefect | list[PseudoDefect]:
        if isinstance(index, slice):
            return [self._make(i) for i in range(*index.indices(len(self)))]
        return self._make(range(len(self))[index])

    def _make(self, i: int) -> PseudoDefect:
        generator = np.random.default_rng(np.random.SeedSequence([self._seed, i]))
        image, kind = i // self._params.per_image, self._params.kinds[i % len(self._params.kinds)]
        return inject(self._images[image], kind, self._params, generator)


def _check_image(image: NDArray) -> None:
    check_shape("image", image, ("C", "H", "W"))
    if image.dtype not in FULL_SCALE:
        raise FlawlineError(f"image must be uint8, uint16 or float32, got {image.dtype}")
    if image.dtype == np.float32 and image.size:
        check_range("the smallest value of image (float32)", float(image.min()), low=0, high=1)
        check_range("the largest value of image (float32)", float(image.max()), low=0, high=1)


def _radius_in_pixels(size: tuple[int, int], shares: tuple[float, float]) -> tuple[float, float]:
    low, high = (share * min(size) for share in shares)
    if low < 1:
        raise FlawlineError(
            f"image of {size[0]} x {size[1]} pixels is too small for regions from {shares[0]:g} of its shorter side: "
            f"the smallest radius must be at least 1 pixel, got {low:g}"
        )
    return low, high


def _from_unit(values: NDArray[np.float32], dtype: np.dtype) -> NDArray:
    return values if dtype == np.float32 else np.rint(values * np.float32(FULL_SCALE[dtype])).astype(dtype)
