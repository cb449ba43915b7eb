"""What every one-class scorer shares: what it sees of an image, what it says of it, how it is asked."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.metrics.reductions import Reduction
from flawline.params import ImageScoreParams
from flawline.training.runtime import TORCH_ON_CPU, Runtime

State = dict[str, Tensor]  # what a scorer learned, as safetensors can hold it
LEVEL = "level"  # in a state: from which the map's values count, where the image score needs one
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
    the method has none. ``columns`` of the map are judged; the others are zeros that say nothing."""

    score: float
    map: NDArray[np.float16]
    columns: slice = field(default_factory=lambda: slice(None))


class OneClassScorer(ABC):
    """A model of normal images. What it learned is apart from it, so that it can be stored.

    ``views`` names what it sees of an image, in order; ``runtime`` is where it computes, and what runs its network."""

    by_map: ClassVar[bool] = False  # the image score is made from the map, so that regions can be left out: MapScorer
    learns: ClassVar[bool] = True  # ``fit`` learns something from normal images
    embeds: ClassVar[bool] = False  # ``embed`` is needed before ``fit`` and ``score``
    sees_maps: ClassVar[bool] = False  # its view is a residual image that is a map (H, W) already
    one_size: ClassVar[bool] = True  # images are compared grid position by grid position, so all have one size

    def __init__(self, params: Any, views: Sequence[str] = (IMAGE,), *, runtime: Runtime = TORCH_ON_CPU):
        self.params, self.views, self.runtime = params, tuple(views), runtime

    @property
    def device(self) -> str:
        return self.runtime.device

    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.floating]:
        """Return the embeddings (n, ...) of n images, each view (n, C, H, W) float32."""
        raise TypeError(f"{type(self).__name__} sees pixels and embeds nothing")

    def check(self, count: int) -> None:
        """Raise FlawlineError if ``count`` normal images are too few to learn from, before anything long starts."""
        check_learns(count, int(self.learns), type(self).__name__)

    def check_sizes(self, shapes: Sequence[tuple[int, ...]], method: str) -> None:
        """Raise FlawlineError, which names the ``method``, if images (C, H, W) have several sizes and the scorer takes
        one."""
        if self.one_size:
            check_one_size(shapes, method)

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn from normal images. Raise FlawlineError if there are too few."""
        return {}

    def learns_by(self) -> dict[str, Any]:
        """Return the parameters that ``fit`` depends on: scorers of a class that differ in others alone learn the
        same."""
        return self.params.model_dump(mode="json")

    def is_monotone(self, count: int) -> bool:
        """Return True if no image's score rises when one more normal image is learned from, of ``count`` at most."""
        return False

    def ready(self, state: State) -> State:
        """Return what ``fit`` returned in the form in which it is used, to score many images with: it may be larger.
        Scores are the same."""
        return state

    @abstractmethod
    def score(self, state: State, inputs: Inputs) -> Scored:
        """Return score and map of one image, from what ``fit`` or ``ready`` returned."""


class MapScorer(OneClassScorer):
    """A scorer whose image score is made from its map, in the way that its parameter ``image_score`` says."""

    by_map = True

    @abstractmethod
    def anomaly_map(self, state: State, inputs: Inputs) -> NDArray[np.float16]:
        """Return the map (H, W) of one image, from what ``fit`` or ``ready`` returned."""

    def score(self, state: State, inputs: Inputs) -> Scored:
        """Return score and map of one image; the score is NaN as long as the state lacks the level that it is made
        with, which is learned from maps."""
        found, reduction = self.anomaly_map(state, inputs), reduction_in(self.params.image_score, state)
        return Scored(reduction(found) if reduction.is_learned else math.nan, found)


def reduction_in(params: ImageScoreParams, state: State) -> Reduction:
    """Return how maps become scores, with the level that the scorer's state holds, if it does."""
    return Reduction(params, float(state[LEVEL]) if LEVEL in state else None)


def level_state(reduction: Reduction) -> State:
    """Return what a scorer's state holds of how maps become scores: the level, where there is one."""
    return {} if reduction.level is None else {LEVEL: torch.tensor(reduction.level, dtype=torch.float64)}


def embedding_of(inputs: Inputs) -> NDArray:
    """Return the embedding of an image; raise ValueError if it was not made: a scorer that embeds needs it."""
    if inputs.embedding is None:
        raise ValueError("the inputs have no embedding: give what the scorer's embed made of their views")
    return inputs.embedding


def embeddings_of(inputs: Sequence[Inputs]) -> tuple[list[NDArray], list[tuple[int, ...]]]:
    """Return the embeddings of images and the shapes of their first views; raise ValueError as `embedding_of`."""
    found = [(embedding_of(each), each.views[0].shape) for each in inputs]  # once: it is made when asked for
    return [embedding for embedding, _ in found], [shape for _, shape in found]


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
