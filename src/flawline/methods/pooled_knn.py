"""One vector an image, and how far its nearest normal neighbours are (Saeedi & Giusti 2022, section 3.2)."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.methods.features import load_extractor, max_pool, three_way_pool
from flawline.methods.heads import IMAGE, NO_MAP, Look, Scored, State, check_learns, embedding_of
from flawline.methods.pixels import difference_map
from flawline.params import PooledKNNParams

POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {"three_way": three_way_pool, "max": max_pool}


class PooledKNN:
    """The mean distance to the k nearest normal embeddings. Its map is the squared difference; of an image alone it has
    none.

    Source: Saeedi & Giusti 2022, section 3.2, Fig. 3, Eq. 4."""

    by_map = False
    embeds = True

    def __init__(
        self, params: PooledKNNParams, views: Sequence[str] = (IMAGE,),
        extractor: Callable[[Tensor], list[Tensor]] | None = None,
    ):  # fmt: skip
        self._params, self._maps, self._given = params, views[-1] != IMAGE, extractor

    @cached_property
    def _extractor(self) -> Callable[[Tensor], list[Tensor]]:
        return self._given or load_extractor(self._params.features)

    @torch.no_grad()
    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.float32]:
        """Return what the last layer sees of each view (n, C, H, W), pooled, one behind the other: (n, D)."""
        pool = POOLINGS[self._params.pooling]
        return torch.cat([pool(self._extractor(view)[-1]) for view in views], dim=1).float().cpu().numpy()

    def check(self, count: int) -> None:
        """Raise FlawlineError if ``count`` normal images are fewer than k."""
        check_learns(count, 1, "a nearest neighbour")
        check_k(self._params.k, count)

    def fit(self, looks: Sequence[Look], *, seed: int) -> State:
        """Learn the embeddings, normalised. Raise FlawlineError if there are fewer than k."""
        self.check(len(looks))
        embeddings = torch.from_numpy(np.stack([embedding_of(look) for look in looks])).float()
        mean, deviation = feature_scale(embeddings, self._params.deviation_floor)
        return {"mean": mean, "deviation": deviation, "bank": (embeddings - mean) / deviation}

    def score(self, state: State, look: Look) -> Scored:
        embedding = torch.from_numpy(np.array(embedding_of(look), np.float32))
        normalised = (embedding - state["mean"]) / state["deviation"]
        score = mean_nearest(normalised, state["bank"], self._params.k)
        return Scored(score, difference_map(look.views[-1], self._params.smoothing) if self._maps else NO_MAP)


def feature_scale(embeddings: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (D,) of ``embeddings`` (N, D), the deviation at least ``least`` times the root
    mean square of all; 1 for a feature that is the same in all, where ``least`` is 0.

    A feature that hardly any training image makes fire has a deviation near 0, and would alone decide the distance of
    an image that does."""
    deviation, mean = torch.std_mean(embeddings.double(), dim=0, correction=0)
    deviation = torch.where(embeddings.amax(0) > embeddings.amin(0), deviation, 0.0)
    raised = deviation.clamp(min=least * deviation.square().mean().sqrt())
    return mean.float(), torch.where(raised > 0, raised, 1.0).float()


def mean_nearest(embedding: Tensor, bank: Tensor, k: int) -> float:
    """Return the mean Euclidean distance of ``embedding`` (D,) to the k nearest of ``bank`` (N, D). Source: Eq. 4."""
    distances = torch.linalg.vector_norm(bank - embedding, dim=1)  # (N,)
    return float(distances.topk(k, largest=False).values.mean())


def check_k(k: int, count: int) -> None:
    """Raise FlawlineError if k neighbours are asked for among fewer images."""
    if k > count:
        raise FlawlineError(
            f"head.k = {k} neighbours are asked for, but there are {count} normal images to learn from (train and "
            f"validation). Set head.k to {count} or less, or add normal images."
        )
