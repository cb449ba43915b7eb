"""The geometry of one photograph against another, once for all.

Points are (y, x), and the first pixel's centre is (0, 0). The middle of an image (H, W) is the pixel (H // 2, W // 2).
A ``Transform`` takes the point p of the reference to the point of the image

    q = middle_image + (shift_y, shift_x) + scale * R(angle) (p - middle_reference)

where R turns counter-clockwise as the eye sees it. So an image whose part was turned by 10 degrees to the left and
shifted 3 pixels down has angle 10 and shift_y 3; to undo that, pixel p of the result is sampled at q. The identity
lays the middle of the image on that of the reference, whatever their sizes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

DIGITS = 4  # decimals that angle, shift and scale are rounded to


@dataclass(frozen=True)
class Transform:
    """How the part of an image is turned (degrees, counter-clockwise), shifted (pixels) and scaled against the
    reference's; the module's docstring says about which point."""

    angle: float = 0.0
    shift_y: float = 0.0
    shift_x: float = 0.0
    scale: float = 1.0

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix scale * R(angle), which acts on points (y, x)."""
        turn = np.deg2rad(self.angle)
        return self.scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def to_image(self, points: NDArray, reference: Sequence[int], image: Sequence[int]) -> NDArray[np.float64]:
        """Return where ``points`` (n, 2) of the reference lie in the image; both sizes are (H, W)."""
        return (points - middle(reference)) @ self.matrix.T + middle(image) + (self.shift_y, self.shift_x)

    def to_reference(self, points: NDArray, reference: Sequence[int], image: Sequence[int]) -> NDArray[np.float64]:
        """Return where ``points`` (n, 2) of the image lie in the reference."""
        moved = points - middle(image) - (self.shift_y, self.shift_x)
        return moved @ np.linalg.inv(self.matrix).T + middle(reference)

    def enlarged(self, factor: int, reference: Sequence[int], image: Sequence[int]) -> "Transform":
        """Return this transform of two downsized pictures, whose pixels are the means of blocks of ``factor`` pixels
        each way, as that of the whole reference and the whole image, whose sizes are (H, W)."""
        small_reference, small_image = ([side // factor for side in size] for size in (reference, image))
        first = (np.zeros((1, 2)) + 0.5) / factor - 0.5  # the whole reference's first pixel, in blocks
        (point,) = (self.to_image(first, small_reference, small_image) + 0.5) * factor - 0.5
        shift = point - middle(image) + self.matrix @ middle(reference)
        return replace(self, shift_y=float(shift[0]), shift_x=float(shift[1]))

    def rounded(self) -> "Transform":
        """Return the transform with its numbers rounded to DIGITS decimals and its angle in [-180, 180)."""
        angle = (self.angle + 180) % 360 - 180
        values = (angle, self.shift_y, self.shift_x, self.scale)
        return Transform(*(round(float(value), DIGITS) + 0.0 for value in values))


IDENTITY = Transform()


def middle(size: Sequence[int]) -> NDArray[np.float64]:
    """Return the middle (y, x) of an image of ``size`` (H, W)."""
    return np.array([size[0] // 2, size[1] // 2], float)
