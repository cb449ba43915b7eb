"""What a one-class method is made of: what it sees of an image, and the head that learns normal ones and scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError

State = dict[str, Tensor]  # what a head learned, as safetensors can hold it
IMAGE = "image"  # the view that is the image itself; the others are how it differs from a reconstruction


@dataclass(frozen=True)
class Look:
    """What a head sees of one image: ``views`` (C, H, W) float32 in [0, 1], the image and/or how it differs from its
    reconstruction; and ``embedding``, what the head's ``embed`` made of them, if it has one."""

    views: tuple[NDArray[np.float32], ...]
    embedding: NDArray | None = None


@dataclass(frozen=True)
class Scored:
    """What a method says of one image: its score, higher is more anomalous, and its map (H, W), empty (0, 0) where
    the method has none."""

    score: float
    map: NDArray[np.float16]


class Head(Protocol):
    """A one-class model. What it learned is apart from it, so that it can be stored."""

    by_map: bool  # the score is the map's largest value, so regions can be left out
    embeds: bool  # ``embed`` is needed before ``fit`` and ``score``

    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.floating]:
        """Return the embeddings (n, ...) of n images, each view (n, C, H, W) float32 in [0, 1]."""
        ...

    def check(self, count: int) -> None:
        """Raise FlawlineError if ``count`` normal images are too few to learn from, before they are embedded."""
        ...

    def fit(self, looks: Sequence[Look], *, seed: int) -> State:
        """Learn from normal images. Raise FlawlineError if there are too few."""
        ...

    def score(self, state: State, look: Look) -> Scored: ...


class NoEmbedding:
    """What a head that looks at pixels says to being asked for an embedding."""

    embeds = False

    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.floating]:
        raise TypeError(f"{type(self).__name__} looks at pixels and embeds nothing")

    def check(self, count: int) -> None:
        """Pass: nothing long comes before ``fit``, which checks."""


NO_MAP: NDArray[np.float16] = np.zeros((0, 0), np.float16)


def embedding_of(look: Look) -> NDArray:
    """Return the embedding of ``look``; raise ValueError if it was not made: a head that embeds needs it."""
    if look.embedding is None:
        raise ValueError("the look has no embedding: give what the head's embed made of its views")
    return look.embedding


def check_learns(count: int, least: int, method: str) -> None:
    """Raise FlawlineError if there are fewer than ``least`` images to learn from."""
    if count < least:
        raise FlawlineError(
            f"{method} needs at least {least} normal images to learn from, got {count}. Add normal images."
        )


def check_one_size(shapes: Sequence[tuple[int, ...]], method: str) -> None:
    """Raise FlawlineError unless all images (C, H, W) have the same size: a place means nothing otherwise."""
    sizes = sorted({tuple(shape[-2:]) for shape in shapes})
    if len(sizes) > 1:
        told = ", ".join(f"{height} x {width}" for height, width in sizes[:3])
        raise FlawlineError(
            f"{method} compares images place by place, so all must have one size; there are {len(sizes)}: {told}. "
            f"Photograph them alike, or align them: registration.align = rigid."
        )
