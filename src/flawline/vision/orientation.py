"""The orientation of a picture in closed form, by its structure tensor, and how much orientations differ.

Convention: images are (H, W), angles in degrees, counter-clockwise as the eye sees it, as `flawline.vision.transform`
has them. An orientation is that of lines, along which an image changes least, against the horizontal: 0 for lines from
left to right, 45 for /, 90 for upright ones. It is known up to half a turn, so it lies in [0, 180): a picture turned by
10 degrees has an orientation larger by 10, modulo 180. A pattern that looks the same after a quarter turn, such as an
even plain weave, has none that stands out: its coherence is near 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError, check_range, check_shape
from flawline.vision.kernels import gaussian, offsets, separable

HALF_TURN = 180.0
BLANK = 1e-4  # RMS gradient, of the full range a pixel, below which there is nothing to see


@dataclass(frozen=True)
class Orientation:
    """The orientation of an image: ``angle_degrees`` in [0, 180), None where the image is blank, and ``coherence``:
    from 0, where no direction stands out and the angle means little, to 1, where all lines are parallel."""

    angle_degrees: float | None
    coherence: float

    @property
    def is_blank(self) -> bool:
        """True where nothing changes in the image, so that it has no angle."""
        return self.angle_degrees is None


def orientation_of(image: NDArray[np.float32], blur: float = 1.0) -> Orientation:
    """Return the dominant orientation of ``image`` (H, W) in [0, 1], in the largest disk about its middle.

    ``blur`` is the standard deviation, in pixels, of the Gaussian whose derivatives are the gradients. Raise
    FlawlineError if the image is no plane, holds values that are not finite, or ``blur`` is not above 0. Source of the
    structure tensor: Bigun & Granlund 1987; of its coherence: Jahne 2005, section 13.3."""
    check_shape("image", image, ("H", "W"))
    if not np.isfinite(image).all():
        raise FlawlineError(f"image must be finite, got {int((~np.isfinite(image)).sum())} pixels that are not")
    angle, coherence = orientations_of(torch.from_numpy(np.ascontiguousarray(image, np.float32))[None], blur)
    return Orientation(None if angle.isnan() else float(angle), float(coherence))


def orientations_of(images: Tensor, blur: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return angles (n,) in [0, 180), NaN of a blank image, and coherences (n,) of images (n, H, W): the batched
    `orientation_of`."""
    check_range("blur", blur, low=1e-3)
    down, across = gradients(images[:, None], blur)  # (n, 1, H, W) each
    inside = disk(images.shape[-2:], like=images)
    xx, yy, xy = ((part * inside).sum(dim=(1, 2, 3)) / inside.sum() for part in (across**2, down**2, across * down))
    energy = xx + yy
    blank = energy.sqrt() < BLANK
    steepest = torch.rad2deg(torch.atan2(2 * xy, xx - yy)) / 2  # of the gradient, in (x, y) with y down
    angle = torch.where(blank, torch.nan, (90 - steepest) % HALF_TURN)  # across it, counter-clockwise
    coherence = torch.hypot(xx - yy, 2 * xy) / energy.clamp_min(1e-30)
    return angle % HALF_TURN, torch.where(blank, 0.0, coherence)


def gradients(x: Tensor, blur: float) -> tuple[Tensor, Tensor]:
    """Return the derivatives (n, 1, H, W) down and across of images (n, 1, H, W), both smoothed by a Gaussian of
    standard deviation ``blur``; borders repeat."""
    smooth = gaussian(blur, like=x)
    places = offsets(len(smooth) // 2, like=x)
    slope = places * smooth
    slope = slope / (slope * places).sum()  # of a ramp that rises by 1 a pixel it makes 1
    return separable(x, slope, smooth), separable(x, smooth, slope)


def disk(size: Sequence[int], *, like: Tensor) -> Tensor:
    """Return 1 inside the largest disk about the middle of an image (H, W), else 0: what stays the same pixels,
    however the image is turned."""
    ys, xs = (torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2 for side in size)
    return (ys[:, None] ** 2 + xs**2 <= (min(size) / 2) ** 2).to(like)


def angle_spread(degrees: NDArray, *, period: float = HALF_TURN) -> float:
    """Return the circular standard deviation, in degrees, of angles (n,) that are known modulo ``period``; those that
    are NaN are left out, and of none it is NaN. Source: Mardia & Jupp 2000, Eq. 2.3.11."""
    known = np.asarray(degrees, float)
    known = known[~np.isnan(known)]
    if not len(known):
        return math.nan
    length = abs(np.exp(2j * np.pi * known / period).mean())
    return float(period / (2 * np.pi) * np.sqrt(max(0.0, -2 * np.log(max(length, 1e-12)))))
