"""What heads that look at single pixels share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from flawline.checks import FlawlineError
from flawline.methods.heads import Look, check_learns, check_one_size
from flawline.methods.maps import LARGEST


def as_map(values: NDArray, smoothing: float) -> NDArray[np.float16]:
    """Return ``values`` (H, W), smoothed by a Gaussian of ``smoothing`` pixels, borders reflected, as a map."""
    raw = values.astype(np.float32, copy=False)
    smoothed = gaussian_filter(raw, smoothing, mode="reflect") if smoothing else raw
    return smoothed.clip(-LARGEST, LARGEST).astype(np.float16)


def difference_map(difference: NDArray, smoothing: float) -> NDArray[np.float16]:
    """Return the map (H, W) of a difference (C, H, W): its square, averaged over the channels and smoothed."""
    return as_map(np.square(difference).mean(axis=0), smoothing)


def learned_shape(looks: Sequence[Look], method: str) -> tuple[int, ...]:
    """Return the shape (C, H, W) of all looks' first view. Raise FlawlineError if there are none or several sizes."""
    check_learns(len(looks), 1, method)
    shapes = [look.views[0].shape for look in looks]
    check_one_size(shapes, method)
    return shapes[0]


def check_like_learned(shape: tuple[int, ...], learned: tuple[int, ...], method: str) -> None:
    """Raise FlawlineError unless an image (C, H, W) has the shape of those that were learned."""
    if tuple(shape) != tuple(learned):
        raise FlawlineError(
            f"{method} learned images of {' x '.join(map(str, learned))} (channels, height, width), this one is "
            f"{' x '.join(map(str, shape))}. Photograph it as they were."
        )
