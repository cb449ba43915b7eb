"""Rigid parts brought into the frame of a reference: what an aligner holds, finds in an image and does with it.

``flawline.vision.fitting`` makes an aligner from normal training images. The geometry is that of
``flawline.vision.transform``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self, get_args

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.params import RegistrationParams
from flawline.vision.brightness import brightened, gain_between
from flawline.vision.foreground import (
    Outline,
    block_mean,
    find_foreground,
    find_outline,
    neighbourhood,
    render_foreground,
)
from flawline.vision.levels import grey_levels
from flawline.vision.matching import WORK, Matcher, is_blank
from flawline.vision.reading import Lines, Splines
from flawline.vision.transform import IDENTITY, Transform

if TYPE_CHECKING:
    from torch import Tensor

MODES = get_args(RegistrationParams.model_fields["align"].annotation)
BRIGHTNESS = get_args(RegistrationParams.model_fields["brightness"].annotation)
SAME = 0.9  # correlation of a part with itself turned, from which the two look the same
BLUR = 0.02  # share of the reference's longer side within which texture is told from shade
BLANK = "is blank"  # why an image cannot be compared
LEVELS = 8_000  # pixels of the frame of which the brightness is measured, at least
HIDDEN = 0.02  # share of the part that may lie beyond a photograph's rim
LARGER = 2.0  # times the reference's side that an image may have, or the other way round

Box = tuple[int, int, int, int]  # top, left, and past the bottom and the right, in pixels of the reference


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

    def brighten(self, pixels: NDArray, dtype: np.dtype) -> NDArray:
        """Return pixels with the gain and offset, rounded to ``dtype`` (uint8 or uint16)."""
        return brightened(pixels, dtype, gain=self.gain, offset=self.offset)


@dataclass(frozen=True, eq=False)
class Aligner:
    """A reference photograph (H, W), as grey levels, and the frame in it that every image is brought into.

    ``likeness`` holds the highest and the median correlation of the reference's part with itself turned. ``at_rim`` is
    true where parts of the training photographs lie at the rim, so that one which does is nothing special."""

    reference: NDArray[np.float32] = field(repr=False)
    mode: str
    box: Box
    least_quality: float
    brightness: str
    likeness: tuple[float, float]
    at_rim: bool = False

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
        """Return how ``image`` (C, H, W) uint8 or uint16 lies; ``known`` holds move and quality where they are found
        already."""
        compared, reason = self.compared(image)
        if compared is None:
            return Alignment(quality=0.0, aligned=False, reason=reason)
        move, quality = known or self.move_of(compared)
        quality = round(quality, 6)
        if quality < self.least_quality:
            reason = f"correlates {quality:.2f} with the reference, wanted {self.least_quality:g}"
            return Alignment(quality=quality, aligned=False, reason=reason)
        if reason := self.cut_by_rim(move, compared):
            return Alignment(quality=quality, aligned=False, reason=reason)
        gain, offset = self._gain(compared.grey, move)
        return Alignment(move, quality, gain=gain, offset=offset, outside=compared.outside(move))

    def move_of(self, compared: "Compared") -> tuple[Transform, float]:
        """Return move and quality of a photograph by what is compared of it, in its own pixels."""
        move, quality = self.matcher.find(compared.picture)
        return move.enlarged(self.factor, self.reference.shape, compared.grey.shape).rounded(), quality

    def warp(self, image: NDArray, alignment: Alignment) -> NDArray:
        """Return the frame (C, h, w) of ``image`` (C, H, W), its move undone and its brightness brought to the
        reference's, in its own type: one interpolation by cubic splines, the border going on outside the photograph.
        Moves by whole pixels copy."""
        move = alignment.move
        first = self._first_pixel(move, image.shape[1:])
        if _only_shifts(move) and np.all(first == np.rint(first)):
            rows, columns = (_inside_of(*each) for each in zip(first, self.size, image.shape[1:], strict=True))
            pixels = image[:, rows[:, None], columns]  # (C, h, w)
            same = (alignment.gain, alignment.offset) == (1.0, 0.0)
            return pixels if same else alignment.brighten(pixels, image.dtype)
        splines = Splines(image)
        if _only_shifts(move):
            return alignment.brighten(splines.window(first, self.size), image.dtype)  # (C, h, w)
        pixels = splines.at(_grid(move, first, self.size)).reshape(len(image), *self.size)  # (C, h, w)
        return alignment.brighten(pixels, image.dtype)

    def warp_mask(self, mask: NDArray[np.bool_], alignment: Alignment) -> NDArray[np.bool_]:
        """Return the frame (h, w) of ``mask`` (H, W), moved as its image is. A pixel of the mask is never lost
        between those of the frame."""
        move = alignment.move
        offset = self._first_pixel(move, mask.shape)
        share = mask.astype(np.float32)
        moved = scipy.ndimage.affine_transform(share, move.matrix, offset, self.size, order=1, mode="constant")
        marked = moved >= 0.5
        pixels = np.rint(self._in_frame(np.argwhere(mask), move, mask.shape)).astype(int)  # (n, 2)
        rows, columns = pixels[_inside(pixels, self.size)].T
        lost = ~scipy.ndimage.binary_dilation(marked, np.ones((3, 3), bool))[rows, columns]
        marked[rows[lost], columns[lost]] = True
        return marked

    def unwarp(self, plane: NDArray, alignment: Alignment, size: Sequence[int]) -> NDArray[np.float32]:
        """Return a plane (h, w) of the frame as it lies in the photograph (H, W) of ``size``, by linear interpolation:
        the move that `warp` undid is done. Where the frame does not reach, it has its lowest value."""
        (first,) = self._in_frame(np.zeros((1, 2)), alignment.move, size)
        return scipy.ndimage.affine_transform(
            plane.astype(np.float32), np.linalg.inv(alignment.move.matrix), first, tuple(size),
            order=1, mode="constant", cval=float(plane.min(initial=0)),
        )  # fmt: skip

    def seen(self, alignment: Alignment, size: Sequence[int]) -> NDArray[np.bool_]:
        """Return which pixels (h, w) of the frame show the photograph of ``size``. The others are made up by `warp`."""
        height, width = self.size
        corners = np.array([(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1)], float)
        if len(self.pixels_in_photograph(corners, alignment, size)) == len(corners):
            return np.ones(self.size, bool)
        points = np.rint(_grid(alignment.move, self._first_pixel(alignment.move, size), self.size))
        return _inside(points.T, size).reshape(self.size)

    def cut_by_rim(self, move: Transform, compared: "Compared") -> str:
        """Return why a photograph that lies so cannot be judged: its rim may cut off some of the part. "" if it can.

        A part that is cut off touches the rim. Where those of the training photographs do so too, all that can be told
        is how much of the reference's would lie beyond."""
        if compared.part is not None and touches_rim(compared.part) and not self.at_rim:
            return "shows a part that touches its rim, which may cut it off"
        hidden = self.hidden_share(move, compared.grey.shape)
        return f"does not show {hidden:.0%} of the part, which its rim cuts off" if hidden > HIDDEN else ""

    def hidden_share(self, move: Transform, size: Sequence[int]) -> float:
        """Return how much of the reference's part lies beyond the rim of a photograph of ``size``; 0 without a part."""
        return 0.0 if self.part is None else self.share_beyond(points_in(self.part, self.factor), move, size)

    def share_beyond(self, points: NDArray, move: Transform, size: Sequence[int]) -> float:
        """Return how many of ``points`` (n, 2) of the reference lie beyond the rim of a photograph of ``size``, as a
        share."""
        return float(1 - _inside(np.rint(move.to_image(points, self.reference.shape, size)), size).mean())

    def in_photograph(self, points: NDArray, alignment: Alignment, size: Sequence[int]) -> NDArray[np.float64]:
        """Return where ``points`` (n, 2) of the frame lie in the photograph of ``size``."""
        return alignment.move.to_image(points + np.array(self.box[:2]), self.reference.shape, size)

    def pixels_in_photograph(self, points: NDArray, alignment: Alignment, size: Sequence[int]) -> NDArray[np.int64]:
        """Return the pixels (m, 2) of the photograph of ``size`` that show ``points`` (n, 2) of the frame, of those
        that lie inside it."""
        pixels = np.rint(self.in_photograph(points, alignment, size)).astype(int)
        return pixels[_inside(pixels, size)]

    def cut_off(self, mask: NDArray[np.bool_], alignment: Alignment) -> int:
        """Return how many pixels of ``mask`` (H, W) lie outside the frame."""
        pixels = np.rint(self._in_frame(np.argwhere(mask), alignment.move, mask.shape))
        return int((~_inside(pixels, self.size)).sum())

    def to_tensors(self) -> "dict[str, Tensor]":
        """Return all that ``from_tensors`` needs, for a file of tensors."""
        import torch  # takes seconds, and only the files need it

        return {
            "reference": torch.from_numpy(self.reference.copy()),
            "mode": torch.tensor(MODES.index(self.mode)),
            "box": torch.tensor(self.box),
            "least_quality": torch.tensor(self.least_quality, dtype=torch.float64),
            "brightness": torch.tensor(BRIGHTNESS.index(self.brightness)),
            "likeness": torch.tensor(self.likeness, dtype=torch.float64),
            "at_rim": torch.tensor(self.at_rim),
        }

    @classmethod
    def from_tensors(cls, tensors: "Mapping[str, Tensor]") -> Self:
        """Return the aligner that ``to_tensors`` took apart."""
        top, left, bottom, right = tensors["box"].tolist()
        highest, median = tensors["likeness"].tolist()
        return cls(
            tensors["reference"].numpy(), MODES[int(tensors["mode"])], (top, left, bottom, right),
            float(tensors["least_quality"]), BRIGHTNESS[int(tensors["brightness"])], (highest, median),
            bool(tensors["at_rim"]),
        )  # fmt: skip

    # how it is done
    @property
    def factor(self) -> int:
        """Pixels of a photograph, each way, that are one where it is compared."""
        return int(np.prod(resolutions(self.reference.shape)))

    @cached_property
    def _outline(self) -> Outline | None:
        """The outline of the reference's part, by which those of other photographs are found."""
        return find_outline(block_mean(self.reference, resolutions(self.reference.shape)[0]))

    @cached_property
    def _own(self) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        return self._drawn(self.reference)

    @property
    def part(self) -> NDArray[np.bool_] | None:
        """The reference's part (H // factor, W // factor); None where none can be told from the background."""
        return self._own[1]

    @property
    def picture(self) -> NDArray[np.float32]:
        """The reference as it is compared with other photographs, (H // factor, W // factor)."""
        return self._own[0]

    def _drawn(self, grey: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Return grey levels (H, W) as they are compared, and the part in them (H // factor, W // factor). Where there
        is a part it is drawn, else they are taken as they are. Its outline is told at a finer resolution."""
        fine, blocks = resolutions(self.reference.shape)
        finer = block_mean(grey, fine)
        share = None if self._outline is None else find_foreground(finer, self._outline, blocks=blocks)
        small = block_mean(finer, blocks)
        if share is None:
            return small, None
        return render_foreground(small, share, BLUR * max(self.reference.shape) / self.factor), share >= 0.5

    @cached_property
    def matcher(self) -> Matcher:
        """What finds the reference's part in other photographs."""
        picture = self.picture
        seen = np.ones(picture.shape, bool) if self.part is None else neighbourhood(self.part)
        return Matcher(picture, seen, scales=self.mode == "similarity", spins=self.spins, drawn=self.part is not None)

    def compared(self, image: NDArray) -> "tuple[Compared | None, str]":
        """Return what is compared of ``image`` (C, H, W), or why it cannot be."""
        sides = np.array(image.shape[1:]) / self.reference.shape
        if sides.min() < 1 / LARGER or sides.max() > LARGER:
            sizes = [" x ".join(map(str, size)) for size in (image.shape[1:], self.reference.shape)]
            return None, f"is {sizes[0]} pixels, the reference {sizes[1]}"
        grey = grey_levels(image)
        if is_blank(grey):
            return None, BLANK
        picture, part = self._drawn(grey) if self.part is not None else (block_mean(grey, self.factor), None)
        if self.part is not None and part is None:
            return None, "shows no part that can be told from the background"
        return Compared(self, grey, part, picture), ""

    def _gain(self, grey: NDArray[np.float32], move: Transform) -> tuple[float, float]:
        """Return gain and offset that bring grey levels (H, W) to the reference's, over the frame."""
        if self.brightness in ("none", "auto"):
            return 1.0, 0.0
        top, left, bottom, right = np.clip(self.box, 0, np.tile(self.reference.shape, 2)).tolist()
        every = self.factor * max(1, int(np.sqrt((bottom - top) * (right - left) / LEVELS)) // self.factor)
        wanted = self.reference[top:bottom:every, left:right:every]
        (first,) = move.to_image(np.array([(top, left)]), self.reference.shape, grey.shape)
        points = _grid(move, first, wanted.shape, every)
        there = Lines(grey[None]).at(points)[0]
        if self.brightness == "gain":
            return gain_between(float(np.median(wanted)), float(np.median(there))), 0.0
        gain = gain_between(float(wanted.std()), float(there.std()))
        return gain, round(float(wanted.mean() - gain * there.mean()), 6)

    def _first_pixel(self, move: Transform, size: Sequence[int]) -> NDArray[np.float64]:
        """Return the point of an image of ``size`` that the frame's first pixel shows."""
        (point,) = move.to_image(np.array([self.box[:2]]), self.reference.shape, size)
        return point

    def _in_frame(self, points: NDArray, move: Transform, size: Sequence[int]) -> NDArray[np.float64]:
        """Return where ``points`` (n, 2) of an image of ``size`` lie in the frame."""
        return move.to_reference(points, self.reference.shape, size) - self.box[:2]


@dataclass(frozen=True, eq=False)
class Compared:
    """What an aligner compares of a photograph: its part (h, w), and the picture (h, w) made of it."""

    aligner: Aligner
    grey: NDArray[np.float32]
    part: NDArray[np.bool_] | None
    picture: NDArray[np.float32]

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """The first and the last pixel of each row of the part (n, 2); every other one lies between these."""
        part = np.zeros((0, 1), bool) if self.part is None else self.part
        rows = np.flatnonzero(part.any(axis=1))
        first, last = part[rows].argmax(axis=1), part.shape[1] - 1 - part[rows, ::-1].argmax(axis=1)
        return np.stack([np.tile(rows, 2), np.concatenate([first, last])], axis=1)

    def outside(self, move: Transform) -> int:
        """Return how many pixels of the part the frame cuts off, one beside its border not counted."""
        if self.part is None or self._in_frame(self.ends, move).all():
            return 0
        return int((~self._in_frame(np.argwhere(self.part), move)).sum()) * self.aligner.factor**2

    def hull(self, move: Transform) -> NDArray[np.float64] | None:
        """Return the lowest and the highest point of the part in the reference (2, 2); None where there is no part."""
        points = self._in_reference(self.ends, move)
        half = (self.aligner.factor - 1) / 2
        return np.stack([points.min(axis=0) - half, points.max(axis=0) + half]) if len(points) else None

    def _in_frame(self, pixels: NDArray, move: Transform) -> NDArray[np.bool_]:
        """Return which ``pixels`` (n, 2) of the part lie in the frame or beside its border (n,)."""
        height, width = self.aligner.size
        points = np.rint(self._in_reference(pixels, move) - self.aligner.box[:2]) + 1
        return _inside(points, (height + 2, width + 2))

    def _in_reference(self, pixels: NDArray, move: Transform) -> NDArray[np.float64]:
        """Return where ``pixels`` (n, 2) of the part lie in the reference (n, 2)."""
        points = of_blocks(pixels, self.aligner.factor)
        return move.to_reference(points, self.aligner.reference.shape, self.grey.shape)


def touches_rim(part: NDArray[np.bool_]) -> bool:
    """Return True if a part (H, W) has a pixel in the first or the last row or column."""
    return bool(part[[0, -1]].any() or part[:, [0, -1]].any())


def of_blocks(pixels: NDArray, factor: int) -> NDArray[np.float64]:
    """Return the middles (n, 2), in pixels of a photograph, of the blocks of ``factor`` pixels each way that ``pixels``
    (n, 2) of its small picture are."""
    return (pixels + 0.5) * factor - 0.5


def points_in(part: NDArray[np.bool_], factor: int) -> NDArray[np.float64]:
    """Return the points (n, 2) of a part (H // factor, W // factor) in pixels of its photograph."""
    return of_blocks(np.argwhere(part), factor)


def resolutions(size: Sequence[int]) -> tuple[int, int]:
    """Return how many pixels of a photograph of ``size`` (H, W), each way, are one where the outline of its part is
    told, and how many of these are one where it is compared."""
    longest = max(size)
    return -(-longest // (2 * WORK)), 1 if longest <= WORK else 2


# --- small help ------------------------------------------------------------------------------------------------------
def _grid(move: Transform, first: NDArray[np.float64], size: Sequence[int], every: int = 1) -> NDArray[np.float32]:
    """Return where ``every`` so many pixels of the reference lie in an image (2, h * w): ``size`` (h, w) of them, of
    which the first lies at the point ``first``."""
    matrix = (every * move.matrix).astype(np.float32)
    rows, columns = (np.arange(side, dtype=np.float32) for side in size)
    points = np.empty((2, *size), np.float32)
    for axis in (0, 1):
        np.add((np.float32(first[axis]) + matrix[axis, 0] * rows)[:, None], matrix[axis, 1] * columns, out=points[axis])
    return points.reshape(2, -1)


def _only_shifts(move: Transform) -> bool:
    """Return True if a move neither turns nor scales."""
    return move.angle == 0 and move.scale == 1


def _inside_of(first: float, length: int, side: int) -> NDArray[np.int64]:
    """Return ``length`` rows or columns of an image from ``first`` on; the border repeats beyond its ``side``."""
    return np.clip(int(first) + np.arange(length), 0, side - 1)


def _inside(points: NDArray, size: Sequence[int]) -> NDArray[np.bool_]:
    """Return which of ``points`` (n, 2), as (y, x), lie in an image of ``size`` (h, w): (n,) bool."""
    return np.all((points >= 0) & (points < np.array(size)), axis=1)
