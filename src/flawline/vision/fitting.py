"""How an aligner is made from normal training images: the choice of the reference, and the frame around all parts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.params import RegistrationParams
from flawline.vision.alignment import BLUR, MODES, Aligner, Box, resolutions, touches_rim
from flawline.vision.foreground import block_mean, find_foreground, render_foreground
from flawline.vision.levels import grey_levels
from flawline.vision.matching import COARSE, Matcher, is_blank
from flawline.vision.spectra import spectral_descriptor
from flawline.vision.transform import IDENTITY, Transform

if TYPE_CHECKING:
    from torch import Tensor

    from flawline.vision.levelling import Leveller

TURNS = tuple(range(0, 360, 10))  # degrees by which a part is turned and compared with itself
NEARBY = 25  # degrees: turns below are the same orientation
MULTIPLE = 32  # of which the frame's sides are multiples, where the image allows: networks shrink by that
SAMPLE = 20  # training images on which a reference is tried before the long work
CENTRAL = 0.1  # share of the training images that count as central
SELDOM = 0.1  # share of the training images up to which a part at the rim is an exception
LEVELLED = ("structure_tensor", "stn")  # modes that undo an angle without a match
Track = Callable[..., Iterable[Any]]
Teach = Callable[..., Any]  # what a localiser sees of each training image -> its trained weights


def aligner_of(tensors: "Mapping[str, Tensor]") -> Aligner | None:
    """Return the aligner, of whatever kind, that ``to_tensors`` took apart; None where nothing was aligned, though they
    may hold a common level of brightness."""
    if "reference" not in tensors:
        return None
    if MODES[int(tensors["mode"])] not in LEVELLED:
        return Aligner.from_tensors(tensors)
    from flawline.vision.levelling import Leveller

    return Leveller.from_tensors(tensors)


def untracked(items: Iterable[Any], *, total: int, label: str) -> Iterable[Any]:
    """Return ``items`` as they are: the progress that nobody looks at."""
    return items


def fit_aligner(
    images: Sequence[NDArray], params: RegistrationParams, *, names: Sequence[str], track: Track = untracked,
    teach: Teach | None = None,
) -> tuple[Aligner, list[tuple[Transform, float]]]:  # fmt: skip
    """Return an aligner made from normal training images (C, H, W), called ``names``, and each one's move and quality.
    ``teach`` trains the localiser of the mode ``stn``.

    The frame is the hull of their parts with ``params.margin``. Raise FlawlineError if the reference is blank, or if
    less than half of them align with it."""
    levelled = params.align in LEVELLED
    if params.reference is None:
        row = find_reference(images, "rigid" if levelled else params.align, track=track)
    else:
        row = list(names).index(params.reference)
    reference = grey_levels(images[row])
    if is_blank(reference):
        raise FlawlineError(
            f"the reference {names[row]} is blank: its grey levels deviate by {reference.std():.2f}. Name another "
            f"training image as registration.reference, or none, so that one is chosen."
        )
    if levelled:
        return _fit_leveller(images, reference, params, track=track, teach=teach)
    draft = _draft(reference, params)
    found, hulls, touching = {}, {}, {}
    early = evenly_spread(len(images), SAMPLE)
    rest = [k for k in range(len(images)) if k not in set(early)]
    for label, some in (("trying the reference", early), *([("aligning", rest)] if rest else [])):
        for k in track(some, total=len(some), label=label):
            found[k], hulls[k], touching[k] = _found_in(draft, images[k])
        _check_alike([quality for _, quality in found.values()], params, names[row])
    moves = [found[k] for k in range(len(images))]
    kept = [hulls[k] for k, (_, quality) in found.items() if quality >= params.least_quality]
    box = _frame(kept, reference.shape, params)
    return replace(draft, box=box, at_rim=_usually(list(touching.values()))), moves


def _fit_leveller(
    images: Sequence[NDArray], reference: NDArray[np.float32], params: RegistrationParams, *, track: Track,
    teach: Teach | None,
) -> "tuple[Leveller, list[tuple[Transform, float]]]":  # fmt: skip
    """Return what turns images to lie as ``reference`` (H, W) does, and each training image's move and coherence. The
    frame is the hull of their parts, or holds textures whole."""
    from flawline.vision.levelling import box_around, corners_of

    draft = _draft_leveller(images, reference, params, track=track, teach=teach)
    found, hulls, touching = [], [], []
    for k in track(range(len(images)), total=len(images), label="telling orientations"):
        told, part, touches = _found_in(draft, images[k])
        found.append(told)
        touching.append(touches)
        if draft.part is None or not params.crop:
            hulls.append(corners_of(told[0], images[k].shape[1:], reference.shape))
        elif part is not None:
            hulls.append(part)
    margin = 0 if draft.part is None else params.margin
    box = box_around(hulls, margin=margin, multiple=MULTIPLE)
    return replace(draft, box=box, at_rim=_usually(touching)), found


def _draft_leveller(
    images: Sequence[NDArray], reference: NDArray[np.float32], params: RegistrationParams, *, track: Track,
    teach: Teach | None,
) -> "Leveller":  # fmt: skip
    """Return a leveller whose frame is the whole reference, and which tells angles by what it learned of the images."""
    from flawline.vision.levelling import Leveller, blur_that_agrees, localiser_of, views_of

    whole = (0, 0, *reference.shape)
    draft = Leveller(reference, params.align, whole, params.least_quality, params.brightness, (0.0, 0.0))
    if draft.part is None:
        some = evenly_spread(len(images), SAMPLE)
        draft = replace(draft, blur=blur_that_agrees([grey_levels(images[k]) for k in some]))
    if params.align != "stn":
        return draft
    if teach is None:
        raise TypeError("registration.align = stn needs what trains its localiser")
    seen = (draft.compared(images[k])[0] for k in track(range(len(images)), total=len(images), label="looking"))
    views = [views_of(each) for each in seen if each is not None]
    return replace(draft, localiser=localiser_of(teach(views, draft.blur)))


def evenly_spread(count: int, most: int) -> list[int]:
    """Return ``most`` of ``count`` numbers from 0, spread from the first to the last; all if there are no more."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)).tolist()


def find_reference(images: Sequence[NDArray], align: str, *, track: Track = untracked) -> int:
    """Return the position in ``images`` (C, H, W) of the most central one: the one from which the others differ least,
    by the median.

    They are compared by the magnitudes of their spectra, which a shift does not change, and where ``align`` undoes
    rotations (scales) by the magnitudes of these over the angle (and the log radius), which a rotation (scale) does
    not change either. Where rotations are undone, the frame is as large as the upright box around the reference's part:
    so of the tenth that is most central, the image whose part fills the smallest box is taken. Blank images are left
    out; raise FlawlineError if all are."""
    descriptors, boxes, rows = [], [], []
    for row, image in enumerate(track(images, total=len(images), label="choosing the reference")):
        grey = grey_levels(image)
        if is_blank(grey):
            continue
        fine, blocks = resolutions(grey.shape)
        finer = block_mean(grey, fine)
        share, small = find_foreground(finer, blocks=blocks), block_mean(finer, blocks)
        picture = small if share is None else render_foreground(small, share, BLUR * max(small.shape))
        coarse = block_mean(picture, -(-max(picture.shape) // COARSE))
        descriptors.append(spectral_descriptor(coarse, align))
        boxes.append(0 if align == "shift" else _box_area(share, small.size))
        rows.append(row)
    if not rows:
        raise FlawlineError(f"all {len(images)} training images are blank: there is nothing to align. Use others.")
    distance = np.median(scipy.spatial.distance.cdist(descriptors, descriptors), axis=1)  # (n,)
    central = np.argsort(distance, kind="stable")[: max(1, int(CENTRAL * len(rows)))]
    return rows[min(central, key=lambda k: boxes[k])]


def orientation_contrast(reference: Matcher, picture: NDArray[np.float32]) -> tuple[float, float]:
    """Return the highest and the median correlation of a picture (H, W) with itself turned by 25 degrees or more."""
    far = [angle for angle in TURNS if min(angle, 360 - angle) >= NEARBY]
    likeness = reference.by_angle(picture, far)
    return round(float(likeness.max()), 6), round(float(np.median(likeness)), 6)


def _draft(reference: NDArray[np.float32], params: RegistrationParams) -> Aligner:
    """Return an aligner whose frame is the whole reference."""
    whole = (0, 0, *reference.shape)
    draft = Aligner(reference, params.align, whole, params.least_quality, params.brightness, (0.0, 0.0))
    return replace(draft, likeness=orientation_contrast(draft.matcher, draft.picture))


def _found_in(aligner: Aligner, image: NDArray) -> tuple[tuple[Transform, float], NDArray | None, bool]:
    """Return (move, quality) of an image, the hull of its part in the reference, None where it has none, and whether
    that touches the rim."""
    compared, _ = aligner.compared(image)
    if compared is None:
        return (IDENTITY, 0.0), None, False
    found = aligner.move_of(compared)
    return found, compared.hull(found[0]), compared.part is not None and touches_rim(compared.part)


def _usually(touching: Sequence[bool]) -> bool:
    """Return True if parts lie at the rim so often that one there cannot be told to be cut off."""
    return bool(np.mean(touching) > SELDOM)


def _check_alike(qualities: Sequence[float], params: RegistrationParams, name: str) -> None:
    """Raise FlawlineError if less than half of the images align with the reference called ``name``."""
    alike = sum(quality >= params.least_quality for quality in qualities)
    if 2 * alike < len(qualities):
        raise FlawlineError(
            f"the training images do not show the part of the reference {name}: {alike} of {len(qualities)} correlate "
            f"{params.least_quality:g} or more with it. Name another as registration.reference, lower "
            f"registration.least_quality, or leave them as they are with registration.align=none."
        )


def _frame(hulls: Sequence[NDArray | None], size: Sequence[int], params: RegistrationParams) -> Box:
    """Return the box around all ``hulls`` (2, 2) with its margin, its sides multiples of 32 where ``size`` allows."""
    known = [hull for hull in hulls if hull is not None]
    if not params.crop or not known:
        return (0, 0, size[0], size[1])
    low = np.floor(np.min(known, axis=0)[0]).astype(int) - params.margin
    high = np.ceil(np.max(known, axis=0)[1]).astype(int) + 1 + params.margin
    (top, bottom), (left, right) = (_grown(*side) for side in zip(low.tolist(), high.tolist(), size, strict=True))
    return top, left, bottom, right


def _grown(low: int, high: int, side: int) -> tuple[int, int]:
    """Return the span around ``low`` to before ``high`` that lies within ``side``, a multiple of 32 if it can be."""
    low, high = max(low, 0), min(high, side)
    length = min(-(-(high - low) // MULTIPLE) * MULTIPLE, side)
    start = min(max(low - (length - (high - low)) // 2, 0), side - length)
    return start, start + length


def _box_area(share: NDArray[np.float32] | None, otherwise: int) -> int:
    """Return the pixels of the upright box around a part that covers a ``share`` (H, W) of each pixel; ``otherwise``
    where there is no part."""
    if share is None:
        return otherwise
    points = np.argwhere(share >= 0.5)
    return int(np.prod(np.ptp(points, axis=0) + 1))
