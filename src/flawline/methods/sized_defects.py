"""Pseudo-defects of known size and contrast on a product's part: what it is told by what a detector finds.

The size is the diameter of a disk of the mask's area, pixels; the contrast is the mean absolute change of the mask's
pixels over all channels, share of full scale. Both are measured in the images that are really made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawline.methods.graded_defects import SMALLEST, GradedDefect, find_part
from flawline.metrics.detectability import equivalent_diameter
from flawline.params import DefectInjectionParams, DetectabilityParams
from flawline.vision.defects.base import Box, UnseenError, box_of
from flawline.vision.defects.injection import PseudoDefect, inject
from flawline.vision.levels import from_unit, unit

LEAST_SIDE = 4 * SMALLEST  # pixels of an image's shorter side, or every defect would be most of it
WIDEST = 0.49  # radius of a disk, share of the shorter side
SLENDER = 0.25  # width of a line, share of its size: then it is some twelve times as long
DRAWS, NEAR = 4, 0.1  # of a defect at the most, and by which share its size may be off without another
REACHED = 0.95  # share of the wanted contrast that is enough
STEPS = 6  # to make up for what clipping takes away


class SizedDefect(NamedTuple):
    """A pseudo-defect in the image at ``source``; what it changes there is kept alone."""

    source: int
    kind: str
    aimed: float  # contrast that was asked for
    size: float
    contrast: float
    box: Box
    pixels: NDArray  # (C, h, w) of that box

    def note(self) -> dict[str, Any]:
        """Return all but the pixels, as JSON has it; `put_back` reads the place."""
        told = {"kind": self.kind, "aimed": self.aimed, "size": self.size, "contrast": self.contrast}
        return told | {"y": int(self.box[0].start), "x": int(self.box[1].start)}


def put_back(image: NDArray, pixels: NDArray, note: Mapping[str, Any]) -> NDArray:
    """Return a copy of ``image`` (C, H, W) with the ``pixels`` (C, h, w) of a defect, which lie where ``note`` says."""
    rows, columns = (slice(note[name], note[name] + side) for name, side in zip("yx", pixels.shape[1:], strict=True))
    return GradedDefect(0, note["kind"], 1.0, (rows, columns), pixels).put_into(image)


def sized_defects(
    images: Sequence[NDArray], injection: DefectInjectionParams, params: DetectabilityParams, *, seed: int
) -> Iterator[SizedDefect]:
    """Yield up to ``params.defects`` pseudo-defects in normal ``images`` (C, H, W), which take turns in an order that
    changes. Kinds take turns, and with every round of kinds the contrasts; the sizes of each kind and contrast are
    evenly spread on a logarithmic scale. Their middles lie on the part where one is told from the background.

    A kind that cannot be seen where it was drawn is left out there, and so are images of fewer than LEAST_SIDE pixels
    each way."""
    large = [k for k, image in enumerate(images) if min(image.shape[1:]) >= LEAST_SIDE]
    if not (large and params.defects):
        return
    order, cells = np.random.default_rng(seed), len(params.kinds) * len(params.contrasts)
    turns = np.concatenate([order.permutation(large) for _ in range(-(-params.defects // len(large)))])
    parts: dict[int, NDArray[np.bool_] | None] = {}
    for k in range(params.defects):
        source, kind = int(turns[k]), params.kinds[k % len(params.kinds)]
        aimed = params.contrasts[k // len(params.kinds) % len(params.contrasts)]
        share = size_share(params.sizes, k // cells, -(-params.defects // cells))
        if source not in parts:
            parts[source] = find_part(images[source])
        try:
            yield make_sized(images[source], (source, kind, aimed), share, injection, on=parts[source], seed=(seed, k))
        except UnseenError:
            continue


def size_share(sizes: tuple[float, float], step: int, steps: int) -> float:
    """Return the middle of one of ``steps`` equal parts, on a logarithmic scale, of the range of ``sizes``."""
    low, high = np.log(sizes)
    return float(np.exp(low + (high - low) * (step + 0.5) / steps))


def make_sized(
    image: NDArray, what: tuple[int, str, float], share: float, injection: DefectInjectionParams, *,
    on: NDArray[np.bool_] | None, seed: tuple[int, int],
) -> SizedDefect:  # fmt: skip
    """Return a defect (source, kind, contrast) in a copy of ``image`` (C, H, W) whose size is about that ``share`` of
    the shorter side, as near as its kind and the smallest disk allow. Raise UnseenError if it changes nothing."""
    source, kind, aimed = what
    before = unit(image)
    drawn = draw_of_size(before, kind, share * min(image.shape[1:]), injection, on=on, seed=seed)
    mask = drawn.mask
    values = with_contrast(before[:, mask], drawn.image[:, mask] - before[:, mask], aimed)
    damaged = np.array(image)
    damaged[:, mask] = from_unit(values, image.dtype)
    contrast = float(np.abs(unit(damaged[:, mask]) - before[:, mask]).mean())
    if not contrast:
        raise UnseenError(f"{kind} changes nothing where it was drawn")
    box = box_of(mask)
    size = equivalent_diameter(int(mask.sum()))
    return SizedDefect(source, kind, aimed, size, contrast, box, np.array(damaged[:, *box]))


def draw_of_size(
    image: NDArray[np.float32], kind: str, size: float, injection: DefectInjectionParams, *,
    on: NDArray[np.bool_] | None, seed: tuple[int, int],
) -> PseudoDefect:  # fmt: skip
    """Draw a defect in ``image`` (C, H, W), in a disk of the wanted ``size``; then the same, since the numbers drawn at
    random are the same, in a disk that is larger by as much as it came out smaller, until it is near. Lines are as much
    wider as they are longer, or a long one would hardly have an area."""
    side, radius = min(image.shape[1:]), size / 2
    line = {"width": max(1.0, SLENDER * size)}
    for _ in range(DRAWS):
        disk = min(max(radius, SMALLEST) / side, WIDEST)
        shaped = injection.but(region="disk", radius=(disk, disk), line=line)
        made = inject(image, kind, shaped, np.random.default_rng(seed), on=on)
        ratio = size / equivalent_diameter(int(made.mask.sum()))
        if abs(ratio - 1) < NEAR:
            break
        radius = disk * side * ratio
    return made


def with_contrast(before: NDArray[np.float32], change: NDArray[np.float32], contrast: float) -> NDArray[np.float32]:
    """Return pixels (C, n) that differ from those ``before``, in [0, 1], by a multiple of ``change``, clipped, which is
    ``contrast`` on average; by a negative one where the pixels are too bright or too dark for that, and by as much as
    they allow where they are for either."""
    best, reached = before, 0.0
    for sign in (1, -1):
        factor = contrast / max(float(np.abs(change).mean()), 1e-9)
        for _ in range(STEPS):
            values = np.clip(before + np.float32(sign * factor) * change, 0, 1)
            found = float(np.abs(values - before).mean())
            if found > reached:
                best, reached = values, found
            if found == 0 or found >= REACHED * contrast:
                break
            factor *= contrast / found
        if reached >= REACHED * contrast:
            break
    return best
