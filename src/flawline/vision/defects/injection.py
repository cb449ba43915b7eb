"""Pseudo-defects in images of any depth: one, or as many of each image as are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_range, check_shape, near_name
from flawline.params import DefectInjectionParams
from flawline.vision.defects.base import Damaged, UnseenError
from flawline.vision.defects.regions import draw_region, takes_whole
from flawline.vision.defects.registry import INJECTORS
from flawline.vision.levels import FULL_SCALE, from_unit, unit


@dataclass(frozen=True)
class PseudoDefect:
    """A damaged image (C, H, W) in its input's type, the defective pixels (H, W), and how they were made.

    ``parameters`` can be written as JSON: kind, centre [x, y] and radius of the region in pixels where that is a disk,
    changed: the share of the mask's pixels that differ from the input (0: the defect cannot be seen), and all numbers
    of the injector that are this defect's."""

    image: NDArray
    mask: NDArray[np.bool_]
    parameters: dict[str, Any]


def inject(
    image: NDArray,
    kind: str,
    params: DefectInjectionParams,
    generator: np.random.Generator,
    *,
    on: NDArray[np.bool_] | None = None,
    strength: float = 1.0,
) -> PseudoDefect:
    """Put one defect of ``kind`` into a copy of ``image`` (C, H, W) uint8, uint16 or float32 in [0, 1]; where there is
    ``on`` (H, W), its region's centre lies there. With a ``strength`` below 1 every pixel changes by that share only.

    The depth is kept, and pixels outside the mask are those of ``image`` to the bit. Raises FlawlineError for another
    type, shape or range, an unknown kind, an image that is too small for ``params.radius`` or for the kind, and where
    the kind could be seen in none of ``params.places`` regions."""
    _check_image(image)
    if kind not in INJECTORS:
        raise FlawlineError(f"kind must be one of {', '.join(INJECTORS)}, got '{kind}'{near_name(kind, INJECTORS)}")
    before = unit(image)
    made, where = _draw_visible(before, kind, params, generator, on=on)
    damaged, defect = np.array(image), made.mask
    weaker = before[:, defect] + np.float32(strength) * (made.image[:, defect] - before[:, defect])
    damaged[:, defect] = from_unit(made.image[:, defect] if strength == 1 else weaker, image.dtype)
    changed = float((damaged[:, defect] != image[:, defect]).any(axis=0).mean())
    return PseudoDefect(damaged, defect, {"kind": kind, **where, "changed": changed, **made.drawn})


class PseudoDefects(Sequence[PseudoDefect]):
    """``per_image`` pseudo-defects in each of ``images``, kinds in turn, made when asked for and never kept; more of
    each where there would be less than ``least`` in all, and ``most`` in all, in some of the images, evenly spread,
    where there would be more.

    The i-th has the kind kinds[i % len(kinds)], and a generator of its own, made of ``seed`` and i: it does not
    depend on which others were asked for, or when."""

    def __init__(self, images: Sequence[NDArray], params: DefectInjectionParams, seed: int):
        self._images, self._params, self._seed = images, params, seed
        self._of_each = params.of_each(len(images))
        self.sources = spread(len(images), -(-params.most // self._of_each))  # which of the images are damaged

    def __len__(self) -> int:
        return min(len(self.sources) * self._of_each, self._params.most)

    @overload
    def __getitem__(self, index: int) -> PseudoDefect: ...
    @overload
    def __getitem__(self, index: slice) -> list[PseudoDefect]: ...
    def __getitem__(self, index: int | slice) -> PseudoDefect | list[PseudoDefect]:
        if isinstance(index, slice):
            return [self._make(i) for i in range(*index.indices(len(self)))]
        return self._make(range(len(self))[index])

    def source(self, i: int) -> int:
        """Return which of the images the i-th defect is put into."""
        return self.sources[i // self._of_each]

    def _make(self, i: int) -> PseudoDefect:
        generator = np.random.default_rng(np.random.SeedSequence([self._seed, i]))
        image = self.source(i)
        kind = self._params.kinds[i % len(self._params.kinds)]
        return inject(self._images[image], kind, self._params, generator)


def spread(count: int, most: int) -> list[int]:
    """Return ``most`` of ``count`` numbers, evenly spread from the first on; all if there are no more."""
    return [i * count // most for i in range(most)] if count > most else list(range(count))


def _draw_visible(
    image: NDArray[np.float32],
    kind: str,
    params: DefectInjectionParams,
    generator: np.random.Generator,
    *,
    on: NDArray[np.bool_] | None,
) -> tuple[Damaged, dict[str, Any]]:
    """Return the defect in the first region drawn where it can be seen, and where that region is."""
    height, width = image.shape[1:]
    injector = INJECTORS[kind](getattr(params, kind))
    left = 1 if takes_whole((height, width), params) else params.places
    while True:
        region, where = draw_region((height, width), params, generator, kind=kind, on=on)
        try:
            return injector(image, region, generator), where
        except UnseenError:
            left -= 1
            if not left:
                raise


def _check_image(image: NDArray) -> None:
    check_shape("image", image, ("C", "H", "W"))
    if image.dtype not in FULL_SCALE:
        raise FlawlineError(f"image must be uint8, uint16 or float32, got {image.dtype}")
    if image.dtype == np.float32 and image.size:
        check_range("the smallest value of image (float32)", float(image.min()), low=0, high=1)
        check_range("the largest value of image (float32)", float(image.max()), low=0, high=1)
