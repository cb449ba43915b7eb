"""What scorers of single pixels share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.methods.maps import smooth
from flawline.methods.one_class import Inputs, check_learns, check_one_size


def squared_map(residual: NDArray) -> NDArray[np.float32]:
    """Return the residual map (H, W) of a ``residual`` image (C, H, W): the mean over channels of its square.

    Source: Saeedi & Giusti 2022, Eq. 2."""
    return np.square(residual.astype(np.float32)).mean(axis=0)  # (H, W)


def residual_map(residual: NDArray, smoothing: float) -> NDArray[np.float16]:
    """Return the map (H, W) of a residual image (C, H, W): its `squared_map`, smoothed."""
    return smooth(squared_map(residual), smoothing)


def learned_shape(inputs: Sequence[Inputs], method: str) -> tuple[int, ...]:
    """Return the shape (C, H, W) of all inputs' first view. Raise FlawlineError if there are none or several sizes."""
    check_learns(len(inputs), 1, method)
    shapes = [each.views[0].shape for each in inputs]
    check_one_size(shapes, method)
    return shapes[0]


def check_like_learned(shape: tuple[int, ...], learned: tuple[int, ...], method: str) -> None:
    """Raise FlawlineError unless an image (C, H, W) has the shape of those that were learned."""
    if tuple(shape) != tuple(learned):
        raise FlawlineError(
            f"{method} learned images of {' x '.join(map(str, learned))} (channels, height, width), this one is "
            f"{' x '.join(map(str, shape))}. Photograph it as they were."
        )
