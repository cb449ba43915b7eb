"""Rigid parts brought into the frame of a reference: what an aligner holds, finds in an image and does with it.

``flawline.vision.fitting`` makes an aligner from normal training images. The geometry is that of
``flawline.vision.transform``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self, get_args

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.params import RegistrationParams
from flawline.vision.brightness import brightened, gain_between
from flawline.vision.foreground import block_mean, find_foreground, neighbourhood, render_foreground
from flawline.vision.levels import grey_levels
from flawline.vision.matching import WORK, Matcher, is_blank
from flawline.vision.transform import IDENTITY, Transform

if TYPE_CHECKING:
    from torch import Tensor

MODES = get_args(RegistrationParams.model_fields["align"].annotation)
BRIGHTNESS = get_args(RegistrationParams.model_fields["brightness"].annotation)
SAME = 0.9  # correlation of a part with itself turned, from which the two look the same
BLUR = 0.02  # share of the reference's longer side within which texture is told from shade
BLANK = "is blank"  # why an image cannot be compared
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

    ``likeness`` holds the highest and the median correlation of the reference's part with itself turned."""

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
        """Return how ``image`` (C, H, W) uint8 or uint16 lies; ``known`` holds move and quality where they are found
        already."""
        compared, reason = self.compared(image)
        if compared is None:
            return Alignment(quality=0.0, aligned=False, reason=reason)
        move, quality = known or compared.find()
        quality = round(quality, 6)
        if quality < self.least_quality:
            reason = f"correlates {quality:.2f} with the reference, wanted {self.least_quality:g}"
            return Alignment(quality=quality, aligned=False, reason=reason)
        gain, offset = self._gain(compared.grey, move)
        return Alignment(move, quality, gain=gain, offset=offset, outside=compared.outside(move))

    def find(self, image: NDArray) -> tuple[Transform, float]:
        """Return move and quality of ``image`` (C, H, W), whatever the frame; quality 0 where it cannot be told."""
        compared, _ = self.compared(image)
        return (IDENTITY, 0.0) if compared is None else compared.find()

    def warp(self, image: NDArray, alignment: Alignment) -> NDArray:
        """Return the frame (C, h, w) of ``image`` (C, H, W), its move undone and its brightness brought to the
        reference's, in its own type: one interpolation by cubic splines, the border going on outside the photograph.
        Moves by whole pixels copy."""
        move = alignment.move
        if _is_whole(move):
            rows, columns = self._whole_pixels(move, image.shape[1:])
            pixels = image[:, rows[:, None], columns]  # (C, h, w)
            same = (alignment.gain, alignment.offset) == (1.0, 0.0)
            return pixels if same else alignment.brighten(pixels, image.dtype)
        offset = self._first_pixel(move, image.shape[1:])
        warp = partial(scipy.ndimage.affine_transform, matrix=move.matrix, offset=offset, output_shape=self.size)
        planes = [warp(plane.astype(np.float32), order=3, mode="nearest") for plane in image]
        return alignment.brighten(np.stack(planes), image.dtype)  # (C, h, w)

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
        }

    @classmethod
    def from_tensors(cls, tensors: "dict[str, Tensor]") -> Self:
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
        return small if part is None else render_foreground(small, part, BLUR * max(self.reference.shape) / self.factor)

    @property
    def picture(self) -> NDArray[np.float32]:
        """The reference as it is compared with other photographs, (H // factor, W // factor)."""
        return self._picture(block_mean(self.reference, self.factor), self.part)

    @cached_property
    def matcher(self) -> Matcher:
        """What finds the reference's part in other photographs."""
        picture = self.picture
        seen = np.ones(picture.shape, bool) if self.part is None else neighbourhood(self.part)
        return Matcher(picture, seen, scales=self.mode == "similarity", spins=self.spins)

    def compared(self, image: NDArray) -> "tuple[Compared | None, str]":
        """Return what is compared of ``image`` (C, H, W), or why it cannot be."""
        sides = np.array(image.shape[1:]) / self.reference.shape
        if sides.min() < 1 / LARGER or sides.max() > LARGER:
            sizes = [" x ".join(map(str, size)) for size in (image.shape[1:], self.reference.shape)]
            return None, f"is {sizes[0]} pixels, the reference {sizes[1]}"
        grey = grey_levels(image)
        if is_blank(grey):
            return None, BLANK
        small = block_mean(grey, self.factor)
        part = None if self.part is None else find_foreground(small)
        if self.part is not None and part is None:
            return None, "shows no part that can be told from the background"
        return Compared(self, grey, part, self._picture(small, part)), ""

    def _gain(self, grey: NDArray[np.float32], move: Transform) -> tuple[float, float]:
        """Return gain and offset that bring grey levels (H, W) to the reference's, over the frame."""
        if self.brightness in ("none", "auto"):
            return 1.0, 0.0
        top, left, bottom, right = self.box
        grid = np.mgrid[top : bottom : self.factor, left : right : self.factor].reshape(2, -1).T  # (n, 2)
        points = move.to_image(grid, self.reference.shape, grey.shape)
        wanted = self.reference[tuple(grid.T)]
        there = scipy.ndimage.map_coordinates(grey, points.T, order=1, mode="nearest")
        if self.brightness == "gain":
            return gain_between(float(np.median(wanted)), float(np.median(there))), 0.0
        gain = gain_between(float(wanted.std()), float(there.std()))
        return gain, round(float(wanted.mean() - gain * there.mean()), 6)

    def _first_pixel(self, move: Transform, size: Sequence[int]) -> NDArray[np.float64]:
        """Return the point of an image of ``size`` that the frame's first pixel shows."""
        (point,) = move.to_image(np.array([self.box[:2]]), self.reference.shape, size)
        return point

    def _whole_pixels(self, move: Transform, size: Sequence[int]) -> list[NDArray[np.int64]]:
        """Return the rows and the columns of an image of ``size`` that the frame shows; borders repeat."""
        first = np.rint(self._first_pixel(move, size)).astype(int)
        return [
            np.clip(start + np.arange(length), 0, side - 1)
            for start, length, side in zip(first, self.size, size, strict=True)
        ]

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

    def find(self) -> tuple[Transform, float]:
        """Return move and quality of the photograph, in its own pixels."""
        move, quality = self.aligner.matcher.find(self.picture)
        return move.enlarged(self.aligner.factor, self.aligner.reference.shape, self.grey.shape).rounded(), quality

    def points(self, move: Transform) -> NDArray[np.float64]:
        """Return where the pixels of the part lie in the reference (n, 2); none where there is no part."""
        if self.part is None:
            return np.zeros((0, 2))
        points = (np.argwhere(self.part) + 0.5) * self.aligner.factor - 0.5
        return move.to_reference(points, self.aligner.reference.shape, self.grey.shape)

    def outside(self, move: Transform) -> int:
        """Return how many pixels of the part the frame cuts off, one beside its border not counted."""
        height, width = self.aligner.size
        points = np.rint(self.points(move) - self.aligner.box[:2]) + 1
        return int((~_inside(points, (height + 2, width + 2))).sum()) * self.aligner.factor**2

    def hull(self, move: Transform) -> NDArray[np.float64] | None:
        """Return the lowest and the highest point of the part in the reference (2, 2)."""
        points = self.points(move)
        half = (self.aligner.factor - 1) / 2
        return np.stack([points.min(axis=0) - half, points.max(axis=0) + half]) if len(points) else None


# --- small help ------------------------------------------------------------------------------------------------------
def _is_whole(move: Transform) -> bool:
    """Return True if a move only shifts, by whole pixels."""
    return move.angle == 0 and move.scale == 1 and float(move.shift_y).is_integer() and float(move.shift_x).is_integer()


def _inside(points: NDArray, size: Sequence[int]) -> NDArray[np.bool_]:
    """Return which of ``points`` (n, 2), as (y, x), lie in an image of ``size`` (h, w): (n,) bool."""
    return np.all((points >= 0) & (points < np.array(size)), axis=1)
