"""One vector an image, and how far its nearest normal neighbours are (Saeedi & Giusti 2022, section 3.2)."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.methods.features import max_pool, three_way_pool
from flawline.methods.one_class import IMAGE, NO_MAP, Inputs, Scored, State, check_learns, embedding_of
from flawline.methods.pixel_scorers import residual_map
from flawline.methods.pretrained import PretrainedScorer

POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {"three_way": three_way_pool, "max": max_pool}


class PooledKNN(PretrainedScorer):
    """The mean distance to the k nearest normal embeddings. Its map is the squared residual; of an image alone it has
    none.

    Source: Saeedi & Giusti 2022, section 3.2, Fig. 3, Eq. 4."""

    one_size = False

    @torch.no_grad()
    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.float32]:
        """Return what the last layer sees of each view (n, C, H, W), pooled, one behind the other: (n, D)."""
        pool = POOLINGS[self.params.pooling]
        return torch.cat([pool(self._extractor(view)[-1]) for view in views], dim=1).float().cpu().numpy()

    def check_count(self, count: int) -> None:
        """Raise FlawlineError if ``count`` normal images are fewer than k."""
        check_learns(count, 1, "a nearest neighbour")
        check_k(self.params.k, count)

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn the embeddings, normalised. Raise FlawlineError if there are fewer than k."""
        self.check(len(inputs))
        embeddings = torch.from_numpy(np.stack([embedding_of(each) for each in inputs])).float()
        mean, deviation = feature_scale(embeddings, self.params.deviation_floor)
        return {"mean": mean, "deviation": deviation, "bank": (embeddings - mean) / deviation}

    def score(self, state: State, inputs: Inputs) -> Scored:
        embedding = torch.from_numpy(np.array(embedding_of(inputs), np.float32)).to(self.device)
        mean, deviation, bank = (state[name].to(self.device) for name in ("mean", "deviation", "bank"))
        score = mean_nearest((embedding - mean) / deviation, bank, self.params.k)
        has_map = self.views[-1] != IMAGE
        return Scored(score, residual_map(inputs.views[-1], self.params.smoothing) if has_map else NO_MAP)


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
            f"scorer.k = {k} neighbours are asked for, but there are {count} normal images to learn from (train and "
            f"validation). Set scorer.k to {count} or less, or add normal images."
        )
