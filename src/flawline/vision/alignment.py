"""Rigid parts brought into the frame of a reference: what is learned from normal training images, and applied to all.

The geometry is that of ``flawline.vision.matching``."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, binary_dilation, map_coordinates
from scipy.spatial.distance import cdist

from flawline.checks import FlawlineError
from flawline.params import RegistrationParams
from flawline.vision.foreground import block_mean, drawn, find_foreground, neighbourhood
from flawline.vision.levels import grey_levels
from flawline.vision.matching import IDENTITY, WORK, Matcher, Transform, fingerprint, is_blank

MODES = get_args(RegistrationParams.model_fields["align"].annotation)
BRIGHTNESS = get_args(RegistrationParams.model_fields["brightness"].annotation)
SAME = 0.9  # correlation of a part with itself turned, from which the two look the same
TURNS = tuple(range(0, 360, 10))  # degrees by which that is tried
NEARBY = 25  # degrees: turns below are the same orientation
BLUR = 0.02  # share of the reference's longer side within which texture is told from shade
MULTIPLE = 32  # the frame's sides, where the image allows: networks shrink by that
SAMPLE = 20  # training images on which a reference is tried before the long work
LARGER = 2.0  # times the reference's side that an image may have, or the other way round
GAIN = 4.0  # a gain is not above, nor below the inverse
CENTRAL = 0.1  # share of the training images that count as central

Box = tuple[int, int, int, int]  # top, left, and past the bottom and the right, in pixels of the reference
Track = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Alignment:
    """How an image lies against the reference, and whether that could be told."""

    move: Transform = IDENTITY
    quality: float = 1.0  # normalised correlation with the reference around its part, after the move is undone
    aligned: bool = True
    reason: str = ""  # why not
    gain: float = 1.0  # that brings the levels to the reference's
    offset: float = 0.0  # added after that, grey levels of 255
    outside: int = 0  # pixels of the part that the frame cuts off


@dataclass(frozen=True, eq=False)
class Aligner:
    """A reference photograph (H, W), as grey levels, and the frame in it that every image is brought into.

    ``likeness`` are the highest and the median correlation of the reference's part with itself turned."""

    reference: NDArray[np.float32] = field(repr=False)
    mode: str
    box: Box
    least_quality: float
    brightness: str
    likeness: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame."""
        top, left, bottom, right = self.box
        return bottom - top, right - left

    @property
    def spins(self) -> bool:
        """True if rotations are undone."""
        return self.mode not in ("none", "shift") and self.likeness[1] < SAME

    def orientation(self) -> str:
        """Return in a sentence whether the part has a unique orientation, and what follows."""
        highest, median = self.likeness
        if median >= SAME:
            return (
                f"The part looks the same at every angle (turned, it correlates {median:.2f} with itself, the median): "
                f"it has no unique orientation, and no rotation is undone."
            )
        if highest >= SAME:
            return (
                f"The part looks the same at another angle (turned, it correlates {highest:.2f} with itself there): "
                f"it has no unique orientation; which of these is undone is left to small differences."
            )
        return f"The part has a unique orientation (turned, it correlates {highest:.2f} with itself at the most)."

    def align(self, image: NDArray, known: tuple[Transform, float] | None = None) -> Alignment:
        """Return how ``image`` (C, H, W) uint8 or uint16 lies; ``known`` are move and quality if they are."""
        look, reason = self.look(image)
        if look is None:
            return Alignment(quality=0.0, aligned=False, reason=reason)
        move, quality = known or look.find()
        quality = round(quality, 6)
        if quality < self.least_quality:
            reason = f"correlates {quality:.2f} with the reference, wanted {self.least_quality:g}"
            return Alignment(quality=quality, aligned=False, reason=reason)
        gain, offset = self._gain(look.grey, move)
        return Alignment(move, quality, gain=gain, offset=offset, outside=look.outside(move))

    def find(self, image: NDArray) -> tuple[Transform, float]:
        """Return move and quality of ``image`` (C, H, W), whatever the frame; quality 0 where it cannot be told."""
        look, _ = self.look(image)
        return (IDENTITY, 0.0) if look is None else look.find()

    def warp(self, image: NDArray, alignment: Alignment) -> NDArray:
        """Return the frame (C, h, w) of ``image`` (C, H, W), its move undone and its brightness brought to the
        reference's, in its own type: one interpolation by cubic splines, the border going on outside the photograph.
        Moves by whole pixels copy."""
        move = alignment.move
        if _is_whole(move):
            rows, columns = self._whole_places(move, image.shape[1:])
            pixels = image[:, rows[:, None], columns]  # (C, h, w)
            return (
                pixels
                if (alignment.gain, alignment.offset) == (1.0, 0.0)
                else _brightened(pixels, alignment, image.dtype)
            )
        offset = self._first_place(move, image.shape[1:])
        planes = [
            affine_transform(plane.astype(np.float32), move.matrix, offset, self.size, order=3, mode="nearest")
            for plane in image
        ]
        return _brightened(np.stack(planes), alignment, image.dtype)  # (C, h, w)

    def warp_mask(self, mask: NDArray[np.bool_], alignment: Alignment) -> NDArray[np.bool_]:
        """Return the frame (h, w) of ``mask`` (H, W), moved as its image is. A pixel of the mask is never lost
        between those of the frame."""
        move = alignment.move
        offset = self._first_place(move, mask.shape)
        moved = affine_transform(mask.astype(np.float32), move.matrix, offset, self.size, order=1, mode="constant")
        marked = moved >= 0.5
        places = np.rint(self._in_frame(np.argwhere(mask), move, mask.shape)).astype(int)  # (n, 2)
        rows, columns = places[_inside(places, self.size)].T
        lost = ~binary_dilation(marked, np.ones((3, 3), bool))[rows, columns]
        marked[rows[lost], columns[lost]] = True
        return marked

    def cut_off(self, mask: NDArray[np.bool_], alignment: Alignment) -> int:
        """Return how many pixels of ``mask`` (H, W) lie outside the frame."""
        places = np.rint(self._in_frame(np.argwhere(mask), alignment.move, mask.shape))
        return int((~_inside(places, self.size)).sum())

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Return all that ``from_tensors`` needs, for a file of tensors."""
        return {
            "reference": torch.from_numpy(self.reference.copy()),
            "mode": torch.tensor(MODES.index(self.mode)),
            "box": torch.tensor(self.box),
            "least_quality": torch.tensor(self.least_quality, dtype=torch.float64),
            "brightness": torch.tensor(BRIGHTNESS.index(self.brightness)),
            "likeness": torch.tensor(self.likeness, dtype=torch.float64),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "Aligner":
        """Return the aligner that ``to_tensors`` took apart."""
        top, left, bottom, right = tensors["box"].tolist()
        highest, median = tensors["likeness"].tolist()
        return cls(
            tensors["reference"].numpy(), MODES[int(tensors["mode"])], (top, left, bottom, right),
            float(tensors["least_quality"]), BRIGHTNESS[int(tensors["brightness"])], (highest, median),
        )  # fmt: skip

    # how it is done
    @property
    def factor(self) -> int:
        """Pixels of a photograph, each way, that are one where it is compared."""
        return -(-max(self.reference.shape) // WORK)

    @cached_property
    def part(self) -> NDArray[np.bool_] | None:
        """The reference's part (H // factor, W // factor); None where none can be told from the background."""
        return find_foreground(block_mean(self.reference, self.factor))

    def _picture(self, small: NDArray[np.float32], part: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        return small if part is None else drawn(small, part, BLUR * max(self.reference.shape) / self.factor)

    @property
    def picture(self) -> NDArray[np.float32]:
        """What is compared of the reference (H // factor, W // factor)."""
        return self._picture(block_mean(self.reference, self.factor), self.part)

    @cached_property
    def matcher(self) -> Matcher:
        picture = self.picture
        seen = np.ones(picture.shape, bool) if self.part is None else neighbourhood(self.part)
        return Matcher(picture, seen, scales=self.mode == "similarity", spins=self.spins)

    def look(self, image: NDArray) -> "tuple[_Look | None, str]":
        """Return what is compared of ``image`` (C, H, W), or why it cannot be."""
        sides = np.array(image.shape[1:]) / self.reference.shape
        if sides.min() < 1 / LARGER or sides.max() > LARGER:
            sizes = [" x ".join(map(str, size)) for size in (image.shape[1:], self.reference.shape)]
            return None, f"is {sizes[0]} pixels, the reference {sizes[1]}"
        grey = grey_levels(image)
        if is_blank(grey):
            return None, "is blank"
        small = block_mean(grey, self.factor)
        part = None if self.part is None else find_foreground(small)
        if self.part is not None and part is None:
            return None, "shows no part that can be told from the background"
        return _Look(self, grey, part, self._picture(small, part)), ""

    def _gain(self, grey: NDArray[np.float32], move: Transform) -> tuple[float, float]:
        """Return gain and offset that bring grey levels (H, W) to the reference's, over the frame."""
        if self.brightness == "none":
            return 1.0, 0.0
        top, left, bottom, right = self.box
        grid = np.mgrid[top : bottom : self.factor, left : right : self.factor].reshape(2, -1).T  # (n, 2)
        places = move.place(grid, self.reference.shape, grey.shape)
        wanted, there = self.reference[tuple(grid.T)], map_coordinates(grey, places.T, order=1, mode="nearest")
        if self.brightness == "gain":
            return _bounded(float(np.median(wanted)), float(np.median(there))), 0.0
        gain = _bounded(float(wanted.std()), float(there.std()))
        return gain, round(float(wanted.mean() - gain * there.mean()), 6)

    def _first_place(self, move: Transform, size: Sequence[int]) -> NDArray[np.float64]:
        (place,) = move.place(np.array([self.box[:2]]), self.reference.shape, size)
        return place

    def _whole_places(self, move: Transform, size: Sequence[int]) -> list[NDArray[np.int64]]:
        first = np.rint(self._first_place(move, size)).astype(int)
        return [
            np.clip(start + np.arange(length), 0, side - 1)
            for start, length, side in zip(first, self.size, size, strict=True)
        ]

    def _in_frame(self, points: NDArray, move: Transform, size: Sequence[int]) -> NDArray[np.float64]:
        """Return where ``points`` (n, 2) of an image of ``size`` lie in the frame."""
        return move.place_back(points, self.reference.shape, size) - self.box[:2]


@dataclass(frozen=True, eq=False)
class _Look:
    """What an aligner compares of a photograph: its part (h, w), and the picture (h, w) made of it."""

    aligner: Aligner
    grey: NDArray[np.float32]
    part: NDArray[np.bool_] | None
    picture: NDArray[np.float32]

    def find(self) -> tuple[Transform, float]:
        move, quality = self.aligner.matcher.find(self.picture)
        return move.enlarged(self.aligner.factor, self.aligner.reference.shape, self.grey.shape).rounded(), quality

    def places(self, move: Transform) -> NDArray[np.float64]:
        """Return where the pixels of the part lie in the reference (n, 2); none where there is no part."""
        if self.part is None:
            return np.zeros((0, 2))
        points = (np.argwhere(self.part) + 0.5) * self.aligner.factor - 0.5
        return move.place_back(points, self.aligner.reference.shape, self.grey.shape)

    def outside(self, move: Transform) -> int:
        """Return how many pixels of the part the frame cuts off, one beside its border not counted."""
        height, width = self.aligner.size
        places = np.rint(self.places(move) - self.aligner.box[:2]) + 1
        return int((~_inside(places, (height + 2, width + 2))).sum()) * self.aligner.factor**2

    def hull(self, move: Transform) -> NDArray[np.float64] | None:
        """Return the lowest and the highest place of the part in the reference (2, 2)."""
        places = self.places(move)
        half = (self.aligner.factor - 1) / 2
        return np.stack([places.min(axis=0) - half, places.max(axis=0) + half]) if len(places) else None


def untracked(items: Iterable[Any], *, total: int, label: str) -> Iterable[Any]:
    return items


# --- fitting ---------------------------------------------------------------------------------------------------------
def fit_aligner(
    images: Sequence[NDArray], params: RegistrationParams, *, names: Sequence[str], track: Track = untracked
) -> tuple[Aligner, list[tuple[Transform, float]]]:
    """Return an aligner made from normal training images (C, H, W), called ``names``, and each one's move and quality.

    The frame is the hull of their parts with ``params.margin``. Raise FlawlineError if the reference is blank, or if
    less than half of them align with it."""
    if params.reference is None:
        place = find_reference(images, params.align, track=track)
    else:
        place = list(names).index(params.reference)
    reference = grey_levels(images[place])
    if is_blank(reference):
        raise FlawlineError(
            f"the reference {names[place]} is blank: its grey levels deviate by {reference.std():.2f}. Name another "
            f"training image as registration.reference, or none, so that one is chosen."
        )
    draft = _draft(reference, params)
    found, hulls = {}, {}
    early = sorted(set(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(int).tolist()))
    rest = [row for row in range(len(images)) if row not in set(early)]
    for label, rows in (("trying the reference", early), *([("aligning", rest)] if rest else [])):
        for row in track(rows, total=len(rows), label=label):
            found[row], hulls[row] = _found_and_hull(draft, images[row])
        _check_alike([found[row][1] for row in found], params, names[place])
    moves = [found[row] for row in range(len(images))]
    kept = [hulls[row] for row, (_, quality) in found.items() if quality >= params.least_quality]
    return replace(draft, box=_frame(kept, reference.shape, params)), moves


def find_reference(images: Sequence[NDArray], align: str, *, track: Track = untracked) -> int:
    """Return the most central of ``images`` (C, H, W): that of which the others differ least, by the median.

    They are compared by the magnitudes of their spectra, which a shift does not change, and where ``align`` undoes
    rotations (scales) by the magnitudes of these over the angle (and the log radius), which a rotation (scale) does
    not change either. Of the tenth that is most central, it is the one whose part fills the smallest upright box where
    rotations are undone: the frame is that large. Blank images are left out; FlawlineError if all are."""
    prints, boxes, rows = [], [], []
    for row, image in enumerate(track(images, total=len(images), label="choosing the reference")):
        grey = grey_levels(image)
        if is_blank(grey):
            continue
        small = block_mean(grey, -(-max(grey.shape) // WORK))
        part = find_foreground(small)
        picture = small if part is None else drawn(small, part, BLUR * max(small.shape))
        prints.append(fingerprint(picture, align))
        boxes.append(0 if align == "shift" else _box_area(part, small.size))
        rows.append(row)
    if not rows:
        raise FlawlineError(f"all {len(images)} training images are blank: there is nothing to align. Use others.")
    distance = np.median(cdist(prints, prints), axis=1)  # (n,)
    central = np.argsort(distance, kind="stable")[: max(1, int(CENTRAL * len(rows)))]
    return rows[min(central, key=lambda place: boxes[place])]


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


def _found_and_hull(aligner: Aligner, image: NDArray) -> tuple[tuple[Transform, float], NDArray | None]:
    look, _ = aligner.look(image)
    if look is None:
        return (IDENTITY, 0.0), None
    found = look.find()
    return found, look.hull(found[0])


def _check_alike(qualities: Sequence[float], params: RegistrationParams, name: str) -> None:
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


def _box_area(part: NDArray[np.bool_] | None, otherwise: int) -> int:
    if part is None:
        return otherwise
    points = np.argwhere(part)
    return int(np.prod(np.ptp(points, axis=0) + 1))


# --- small help ------------------------------------------------------------------------------------------------------
def _is_whole(move: Transform) -> bool:
    return move.angle == 0 and move.scale == 1 and float(move.shift_y).is_integer() and float(move.shift_x).is_integer()


def _inside(places: NDArray, size: Sequence[int]) -> NDArray[np.bool_]:
    return np.all((places >= 0) & (places < np.array(size)), axis=1)


def _brightened(pixels: NDArray, alignment: Alignment, dtype: np.dtype) -> NDArray:
    highest = np.iinfo(dtype).max
    levels = pixels * np.float32(alignment.gain) + np.float32(alignment.offset * highest / 255)
    return np.rint(np.clip(levels, 0, highest)).astype(dtype)


def _bounded(wanted: float, there: float) -> float:
    """Return the gain from ``there`` to ``wanted``; 1 where either is too dark to tell."""
    if min(wanted, there) < 1:
        return 1.0
    return round(float(np.clip(wanted / there, 1 / GAIN, GAIN)), 6)
