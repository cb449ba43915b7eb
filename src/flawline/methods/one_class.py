"""What every one-class scorer shares: what it sees of an image, what it says of it, how it is asked."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError

State = dict[str, Tensor]  # what a scorer learned, as safetensors can hold it
IMAGE = "image"  # the view that is the photograph itself; the others are residual images of a reconstructor
NO_MAP: NDArray[np.float16] = np.zeros((0, 0), np.float16)


@dataclass(frozen=True)
class Inputs:
    """What a scorer sees of one image: ``views`` (C, H, W) float32, the photograph in [0, 1] and/or its residual image;
    and ``embedding``, what the scorer's ``embed`` made of them, if it embeds."""

    views: tuple[NDArray[np.float32], ...]
    embedding: NDArray | None = None


@dataclass(frozen=True)
class Scored:
    """What a method says of one image: its score, higher is more anomalous, and its map (H, W), empty (0, 0) where
    the method has none."""

    score: float
    map: NDArray[np.float16]


class OneClassScorer(ABC):
    """A model of normal images. What it learned is apart from it, so that it can be stored.

    ``views`` names what it sees of an image, in order; ``device`` is where it computes."""

    by_map: ClassVar[bool] = True  # the image score is the map's maximum, so regions can be left out
    learns: ClassVar[bool] = True  # ``fit`` learns something from normal images
    embeds: ClassVar[bool] = False  # ``embed`` is needed before ``fit`` and ``score``
    sees_maps: ClassVar[bool] = False  # its view is a residual image that is a map (H, W) already
    one_size: ClassVar[bool] = True  # images are compared grid position by grid position, so all have one size

    def __init__(self, params: Any, views: Sequence[str] = (IMAGE,), *, device: str = "cpu"):
        self.params, self.views, self.device = params, tuple(views), device

    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.floating]:
        """Return the embeddings (n, ...) of n images, each view (n, C, H, W) float32."""
        raise TypeError(f"{type(self).__name__} sees pixels and embeds nothing")

    def check(self, count: int) -> None:
        """Raise FlawlineError if ``count`` normal images are too few to learn from, before anything long starts."""
        check_learns(count, int(self.learns), type(self).__name__)

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn from normal images. Raise FlawlineError if there are too few."""
        return {}

    @abstractmethod
    def score(self, state: State, inputs: Inputs) -> Scored:
        """Return score and map of one image, from what ``fit`` returned."""


def embedding_of(inputs: Inputs) -> NDArray:
    """Return the embedding of an image; raise ValueError if it was not made: a scorer that embeds needs it."""
    if inputs.embedding is None:
        raise ValueError("the inputs have no embedding: give what the scorer's embed made of their views")
    return inputs.embedding


def check_learns(count: int, least: int, method: str) -> None:
    """Raise FlawlineError if there are fewer than ``least`` images to learn from."""
    if count < least:
        raise FlawlineError(
            f"{method} needs at least {least} normal images to learn from, got {count}. Add normal images."
        )


def check_one_size(shapes: Sequence[tuple[int, ...]], method: str) -> None:
    """Raise FlawlineError unless all images (C, H, W) have the same size: a grid position means nothing otherwise."""
    sizes = sorted({tuple(shape[-2:]) for shape in shapes})
    if len(sizes) > 1:
        told = ", ".join(f"{height} x {width}" for height, width in sizes[:3])
        raise FlawlineError(
            f"{method} compares images position by position, so all must have one size; there are {len(sizes)}: "
            f"{told}. Photograph them alike or, if they show one rigid part, align them: registration.align = rigid."
        )
