"""What patch scorers share that know no positions: features of every place of images of any size, a model of them, and
held-out distances by which those of a new image are told.

A place is a cell (row, column) of the coarsest layer taken, of the image enlarged ``scale`` times. Embeddings are
(h, w, D); what was learned of one place counts for all others, so textures and parts that lie anywhere suit."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import interpolate

from flawline.checks import FlawlineError
from flawline.methods.maps import as_half
from flawline.methods.one_class import (
    Inputs,
    MapScorer,
    State,
    check_learns,
    check_one_size,
    embedding_of,
    embeddings_of,
)
from flawline.methods.patch_scorer import held_out, patch_features, positions_to_map
from flawline.methods.pretrained import PretrainedScorer

NEIGHBOURS = 1.0  # cells: deviation of the Gaussian that smooths the figures of a place over its neighbours
SMALL = 128  # pixels of the shorter side below which an image is enlarged twice where that is left open
FLOOR = 0.1  # of the mean deviation, which the deviation of no place is held below
TOLD_BY = {"all": "held_out", "place": "held_out_place"}  # where a state holds mean and deviation of the distances


class FreePatchScorer(PretrainedScorer, MapScorer):
    """A model of normal features, whatever their place, and each place's distance from it. A distance says something
    beside those of images that were held out, so at least two images are needed."""

    one_size = False
    name: str

    @abstractmethod
    def learn(self, points: Tensor) -> State:
        """Return the model of normal features (n, D)."""

    @abstractmethod
    def distances(self, state: State, features: Tensor) -> Tensor:
        """Return the distances (n,) of features (n, D) from the model."""

    @torch.no_grad()
    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.float16]:
        """Return the features of every place (n, h, w, D) of the photographs, the first view."""
        images, *_ = views
        return as_half(patch_features(self._extractor(enlarged(images, self.params.scale))))

    def check_count(self, count: int) -> None:
        check_learns(count, 2, self.name)

    def _model_of(self, embeddings: Sequence[NDArray], *, seed: int) -> State:
        return self.learn(draw_features(embeddings, self.params.pool, seed=seed))

    def _at_places(self, state: State, embedding: NDArray[np.float16]) -> Tensor:
        """Return the distance (h, w) of each place of an image (h, w, D)."""
        seen = torch.from_numpy(np.array(embedding, np.float32)).to(self.device)
        return self.distances(state, seen.flatten(0, 1)).view(seen.shape[:2]).cpu()


class HeldOutScorer(FreePatchScorer):
    """The map is each place's distance, less the mean distance of normal images that were held out, in their
    deviations; with ``normalise`` = place, those of the same place. Of images of one size both are learned."""

    def check_sizes(self, shapes: Sequence[tuple[int, ...]], method: str) -> None:
        if self.params.normalise == "place":
            check_one_size(shapes, f"{method} with scorer.normalise = place")

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn from normal images. Raise FlawlineError if there are too few, or their figures are to be told place by
        place and they differ in size."""
        self.check(len(inputs))
        embeddings, shapes = embeddings_of(inputs)
        self.check_sizes(shapes, self.name)
        folds = held_out(embeddings, self._model_of, self.ready, seed=seed)
        found = [self._at_places(model, each) for model, each in folds]
        ways = [way for way in TOLD_BY if way == "all" or len({each.shape for each in found}) == 1]
        figures: State = {}
        for way in ways:
            mean, deviation = held_out_figures(found, by_place=way == "place")
            figures |= {f"{TOLD_BY[way]}_mean": mean, f"{TOLD_BY[way]}_deviation": deviation}
        return self._model_of(embeddings, seed=seed) | figures

    def learns_by(self) -> dict[str, Any]:
        return self.params.model_dump(mode="json", exclude={"normalise", "smoothing", "image_score"})

    def anomaly_map(self, state: State, inputs: Inputs) -> NDArray[np.float16]:
        found = self._at_places(state, embedding_of(inputs))  # (h, w)
        told_by = TOLD_BY[self.params.normalise]
        mean, deviation = state[f"{told_by}_mean"].cpu(), state[f"{told_by}_deviation"].cpu()
        if mean.ndim and mean.shape != found.shape:
            raise FlawlineError(
                f"{self.name} with scorer.normalise = place learned images of {mean.shape[0]} x {mean.shape[1]} "
                f"places, this one has {found.shape[0]} x {found.shape[1]}. Photograph it as they were."
            )
        return positions_to_map((found - mean) / deviation, inputs.views[0].shape[-2:], self.params.smoothing)


def enlarged(images: Tensor, scale: int | str) -> Tensor:
    """Return ``images`` (n, C, H, W) in [0, 1], ``scale`` times as large: bicubic, align_corners=False. With ``auto``
    small ones are twice as large: of a patch the network would give out a few places only."""
    times = times_enlarged(images.shape[2:], scale)
    if times == 1:
        return images
    return interpolate(images, scale_factor=times, mode="bicubic", align_corners=False).clamp(0, 1)


def times_enlarged(size: Sequence[int], scale: int | str) -> int:
    """Return how many times as large an image of ``size`` (h, w) is looked at."""
    return (2 if min(size) < SMALL else 1) if scale == "auto" else int(scale)


def draw_features(embeddings: Sequence[NDArray], count: int, *, seed: int) -> Tensor:
    """Return at most ``count`` features (n, D) of all places of ``embeddings`` (h, w, D) each, drawn at random."""
    places = np.array([each.shape[0] * each.shape[1] for each in embeddings])
    ends = np.cumsum(places)
    chosen = np.sort(np.random.default_rng(seed).permutation(ends[-1])[:count])
    owners = np.searchsorted(ends, chosen, side="right")
    found = [
        embeddings[i].reshape(places[i], -1)[chosen[owners == i] - (ends[i] - places[i])] for i in np.unique(owners)
    ]
    return torch.from_numpy(np.concatenate(found).astype(np.float32))


def held_out_figures(distances: Sequence[Tensor], *, by_place: bool) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of held-out ``distances`` (h, w) each: () of all places, or (h, w), smoothed over
    neighbours, where images are alike; no deviation is 0, nor that of a place far below their mean."""
    if not by_place:
        every = torch.cat([each.flatten() for each in distances]).double()
        deviation = float(every.std(correction=0))
        return every.mean().float(), torch.tensor(deviation if deviation > 0 else 1.0)
    stack = np.stack([each.numpy() for each in distances]).astype(np.float64)  # (n, h, w)
    mean, square = (gaussian_filter(each.mean(axis=0), NEIGHBOURS, mode="reflect") for each in (stack, stack**2))
    deviation = np.sqrt((square - mean**2).clip(0))
    least = FLOOR * deviation.mean() or 1.0
    return torch.from_numpy(mean).float(), torch.from_numpy(deviation.clip(least)).float()
