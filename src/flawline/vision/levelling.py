"""Images turned to one orientation, without a search for a reference: in closed form by the structure tensor, or by a
localiser that was trained on the normal images.

Every image is turned until its lines, or the outline of its part, lie as the reference's do. Half a turn is left open:
a screw may point either way. A part is also brought to where the reference's lies, by its centroid. What has no
orientation (a blank image, a round part, a weave that looks the same after a quarter turn) is left as it is, and
said."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from flawline.vision.alignment import BLANK, Aligner, Alignment, Compared, points_in
from flawline.vision.localiser import Localiser
from flawline.vision.orientation import HALF_TURN, orientations_of
from flawline.vision.transform import Transform

if TYPE_CHECKING:
    from flawline.vision.alignment import Box

OUTLINE_BLUR = 2.0  # pixels of a compared picture: a part's outline is a hard edge
BLURS = (0.7, 1.0, 1.5, 2.0, 3.0)  # pixels of a photograph, of which the one that suits a texture is taken
LEAST_COHERENCE = 0.05  # from which an orientation counts
VIEW = 128  # side of what the localiser sees, pixels
HEAD = "double"
LOCALISER = "localiser."  # before the names of its weights

Told = tuple[float, float]  # orientation in degrees, [0, 180), and how clear it is, 0 to 1


@dataclass(frozen=True, eq=False)
class Leveller(Aligner):
    """An aligner that turns images until they lie as its reference does. ``blur`` is that of the structure tensor, in
    pixels of the photograph, or of a part's outline where that is compared; a ``localiser`` tells angles instead."""

    blur: float = OUTLINE_BLUR
    localiser: Localiser | None = None

    def align(self, image: NDArray, known: tuple[Transform, float] | None = None) -> Alignment:
        """Return how ``image`` (C, H, W) uint8 or uint16 lies; its quality is how clear its orientation is. An image
        without one is aligned as it is, with the reason."""
        compared, reason = self.compared(image)
        if compared is None:
            blank = reason == BLANK  # it has no orientation: left as it is
            return Alignment(quality=0.0, aligned=blank, reason=f"{reason}: not turned" if blank else reason)
        move, clear = known or self.move_of(compared)
        gain, offset = self._gain(compared.grey, move)
        if reason := self.cut_by_rim(move, compared):
            return Alignment(quality=round(clear, 6), aligned=False, reason=reason)
        said = "" if clear >= LEAST_COHERENCE else f"has no clear orientation ({clear:.2f}): not turned"
        return Alignment(move, round(clear, 6), reason=said, gain=gain, offset=offset, outside=compared.outside(move))

    def warp(self, image: NDArray, alignment: Alignment) -> NDArray:
        """Return the frame (C, h, w) of ``image`` (C, H, W). Outside the photograph of a texture lies its mirror image,
        outside that of a part its border goes on."""
        if self.part is None:
            margin = max(0, math.ceil(math.hypot(*self.size) / 2 - min(image.shape[1:]) / 2))
            image = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
        return super().warp(image, alignment)

    def hidden_share(self, move: Transform, size: Sequence[int]) -> float:
        """Return how much of the reference's part lies beyond the rim of a photograph of ``size``, whichever way the
        part points."""
        if self.part is None:
            return 0.0
        points = points_in(self.part, self.factor)
        turned = 2 * points.mean(axis=0) - points  # by half a turn about its centroid, which lies on the image's
        return min(self.share_beyond(each, move, size) for each in (points, turned))

    def orientation(self) -> str:
        """Return in a sentence how images are turned."""
        angle, clear = self.own
        if clear < LEAST_COHERENCE:
            return f"The reference has no clear orientation (coherence {clear:.2f}): no image is turned."
        how = "a localiser trained on the normal images" if self.localiser else "the structure tensor"
        return (
            f"Every image is turned until it lies as the reference does ({angle:.0f} degrees from the horizontal, "
            f"coherence {clear:.2f}), by {how}. Half a turn is left open."
        )

    def to_tensors(self) -> "dict[str, Tensor]":
        """Return all that ``from_tensors`` needs, for a file of tensors."""
        learned = {} if self.localiser is None else self.localiser.state_dict()
        return super().to_tensors() | {"blur": torch.tensor(self.blur)} | {
            f"{LOCALISER}{name}": value for name, value in learned.items()
        }  # fmt: skip

    @classmethod
    def from_tensors(cls, tensors: "Mapping[str, Tensor]") -> Self:
        """Return the leveller that ``to_tensors`` took apart."""
        learned = {name.removeprefix(LOCALISER): tensors[name] for name in tensors if name.startswith(LOCALISER)}
        plain = super().from_tensors(tensors)
        return replace(plain, blur=float(tensors["blur"]), localiser=localiser_of(learned) if learned else None)

    # how it is done
    @cached_property
    def own(self) -> Told:
        """Orientation and coherence of the reference."""
        return self.orientation_in(Compared(self, self.reference, self.part, self.picture))

    def move_of(self, compared: Compared) -> tuple[Transform, float]:
        """Return the move that brings an image to lie as the reference does, and the coherence that it goes by."""
        angle, clear = self.orientation_in(compared)
        clear = min(clear, self.own[1])
        turn = Transform(apart(angle, self.own[0]) if clear >= LEAST_COHERENCE else 0.0)
        if compared.part is None or self.part is None:
            return turn.rounded(), clear
        wanted, there = (centroid(part) * self.factor for part in (self.part, compared.part))
        (lies,) = turn.to_image(wanted[None], self.reference.shape, compared.grey.shape)
        down, right = there - lies
        return replace(turn, shift_y=float(down), shift_x=float(right)).rounded(), clear

    def orientation_in(self, compared: Compared) -> Told:
        """Return orientation and coherence of what is compared of an image."""
        if self.localiser is not None:
            return by_localiser(self.localiser, views_of(compared))
        if compared.part is not None:
            return by_structure_tensor(compared.part.astype(np.float32), self.blur)
        return by_structure_tensor(compared.grey / 255, self.blur)


# --- orientations ----------------------------------------------------------------------------------------------------
def by_structure_tensor(plane: NDArray[np.floating], blur: float) -> Told:
    """Return orientation and coherence of a plane (H, W) in [0, 1]; (0, 0) of a blank one."""
    angle, coherence = orientations_of(torch.from_numpy(np.ascontiguousarray(plane, np.float32))[None], blur)
    return (0.0, 0.0) if angle.isnan() else (float(angle), float(coherence))


@torch.no_grad()
def by_localiser(localiser: Localiser, views: Tensor) -> Told:
    """Return the mean orientation that a localiser tells of views (n, 1, VIEW, VIEW), and how much these agree: the
    length of the mean of their directions, angles doubled."""
    doubled = torch.deg2rad(2 * -localiser(views).double())  # it tells by how much a view is to be turned
    down, right = doubled.sin().mean(), doubled.cos().mean()
    return float(torch.rad2deg(torch.atan2(down, right)) / 2 % HALF_TURN), float(torch.hypot(down, right))


def views_of(compared: Compared) -> Tensor:
    """Return what a localiser sees of an image, float32 (n, 1, VIEW, VIEW) in [0, 1]: of a part its outline, whole, on
    an even ground; of a texture squares at its own scale, where its weave is not lost."""
    if compared.part is not None:
        return _on_square(torch.from_numpy(compared.part.astype(np.float32)))[None]
    return squares_of(torch.from_numpy(compared.grey / 255))


def squares_of(grey: Tensor) -> Tensor:
    """Return five squares (5, 1, VIEW, VIEW) of a texture (H, W), at its corners and in its middle; of one that is
    smaller a single view, an even ground around it."""
    if min(grey.shape) < VIEW:
        return _on_square(grey)[None]
    down, right = (length - VIEW for length in grey.shape)
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    return torch.stack([grey[y : y + VIEW, x : x + VIEW] for y, x in corners])[:, None]


def _on_square(plane: Tensor) -> Tensor:
    """Return a plane (H, W), downsized where it is larger than VIEW, in the middle of (1, VIEW, VIEW), which has its
    median level around it."""
    longest = max(plane.shape)
    if longest > VIEW:
        size = [max(1, round(length * VIEW / longest)) for length in plane.shape]
        plane = interpolate(plane[None, None], size=size, mode="bilinear", antialias=True)[0, 0]
    square = plane.median().expand(VIEW, VIEW).clone()
    top, left = ((VIEW - length) // 2 for length in plane.shape)
    square[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
    return square[None]


def apart(angle: float, wanted: float) -> float:
    """Return by how many degrees an orientation is larger than another one, in [-90, 90): half a turn is nothing."""
    return (angle - wanted + HALF_TURN / 2) % HALF_TURN - HALF_TURN / 2


def centroid(part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean point (y, x) of a part (H, W)."""
    return np.argwhere(part).mean(axis=0)


def blur_that_agrees(greys: Sequence[NDArray[np.float32]]) -> float:
    """Return the one of BLURS with which the two halves of each image (H, W), grey levels of 255, have orientations
    that differ least, by the median: the scale at which the weave shows. No label takes part."""
    halves = [
        [np.array_split(grey / 255, 2, axis=int(grey.shape[1] > grey.shape[0]))[k] for grey in greys] for k in (0, 1)
    ]

    def disagreement(blur: float) -> float:
        first, second = ([by_structure_tensor(half, blur)[0] for half in some] for some in halves)
        return float(np.median([abs(apart(*pair)) for pair in zip(first, second, strict=True)]))

    return min(BLURS, key=disagreement)


def localiser_of(weights: "dict[str, Tensor]") -> Localiser:
    """Return the localiser with trained ``weights``, ready to work."""
    localiser = Localiser(HEAD, channels=1, size=VIEW)
    localiser.load_state_dict(weights)
    return localiser.eval()


# --- the frame -------------------------------------------------------------------------------------------------------
def corners_of(move: Transform, size: Sequence[int], reference: Sequence[int]) -> NDArray[np.float64]:
    """Return the lowest and the highest point (2, 2), in pixels of the reference (H, W), of an image of ``size`` once
    its move is undone."""
    height, width = size
    corners = np.array([(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1)], float)
    points = move.to_reference(corners, reference, size)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def box_around(hulls: Sequence[NDArray], *, margin: int, multiple: int) -> "Box":
    """Return the box around all ``hulls`` (2, 2), lowest and highest points, with a margin; its sides are multiples of
    ``multiple``. It may go beyond the reference: a part that lies aslant can be longer than its photograph is wide."""
    low = np.floor(np.min(hulls, axis=0)[0]).astype(int) - margin
    high = np.ceil(np.max(hulls, axis=0)[1]).astype(int) + 1 + margin
    lengths = -(-(high - low) // multiple) * multiple
    top, left = (low - (lengths - (high - low)) // 2).tolist()
    down, right = lengths.tolist()
    return top, left, top + down, left + right
