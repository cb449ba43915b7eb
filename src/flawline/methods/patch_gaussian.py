"""Features of every position against one Gaussian a position, with full, shrunk covariance."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.methods.one_class import State
from flawline.methods.patch_scorer import (
    Embeddings,
    PatchScorer,
    check_grid,
    least_over_neighbourhood,
    neighbours,
    position_blocks,
)

# Added to every variance, as a share of their mean over all positions: a position that hardly varied in the images
# learned from is held to a third of the usual deviation, or the largest distances would be those of its noise.
FLOOR = 0.1
LEAST = 1e-6  # where nothing varies at all; what whitens stays within float16


class PatchGaussian(PatchScorer):
    """The distance of a position is Mahalanobis', from the normal mean of the position or a neighbour, whichever is
    nearer: parts do not lie alike to the pixel.

    After PaDiM (Defard et al. 2021), with Ledoit and Wolf's shrinkage in the place of a constant on the diagonal."""

    name = "patch_gaussian"
    least = 2

    def learn(self, embeddings: Embeddings, *, seed: int) -> State:
        """Return the chosen features (D,), and for each view the means (V, h, w, D) and packed whitenings (V, T, P)."""
        chosen = choose(embeddings[0].shape[-1], self.params.dimensions, seed=seed)
        views = [learn_view(embeddings, view, chosen) for view in range(len(embeddings[0]))]
        means, whitenings = zip(*views, strict=True)
        return {"chosen": chosen, "mean": torch.stack(means), "whitening": torch.stack(whitenings)}

    def distances(self, state: State, embedding: NDArray[np.float16]) -> Tensor:
        means, whitenings = state["mean"].to(self.device), state["whitening"].to(self.device)
        check_grid(embedding, tuple(means.shape[1:3]), self.name)
        chosen = state["chosen"].cpu().numpy()
        seen = torch.from_numpy(embedding[..., chosen].astype(np.float32)).to(self.device)  # (V, h, w, D)
        search_radius = self.params.search_radius
        found = []
        for one, mean, whitening in zip(seen, means, whitenings, strict=True):
            around = neighbours(one, search_radius) - mean.flatten(0, 1)[:, None]  # (P, K, D)
            found.append(least_over_neighbourhood(mahalanobis(around, whitening), one.shape[:2], search_radius))
        return torch.stack(found)


def choose(count: int, wanted: int | None, *, seed: int) -> Tensor:
    """Return which of ``count`` features are taken, ``wanted`` at random, in order; None: all."""
    if wanted is None:
        return torch.arange(count)
    if wanted > count:
        raise FlawlineError(
            f"scorer.dimensions = {wanted} features are asked for, but the layers taken have {count}. Set "
            f"scorer.dimensions to {count} or less (null: all), or take more of scorer.features.layers."
        )
    return torch.from_numpy(np.sort(np.random.default_rng(seed).choice(count, wanted, replace=False)))


def learn_view(embeddings: Embeddings, view: int, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means (h, w, D) of a view at every position and its packed whitenings (T, P) float16, as
    `packed_whitening`."""
    floor = max(FLOOR * mean_variance(embeddings, view, chosen), LEAST)
    means, whitenings = [], []
    for block in position_blocks(embeddings, view):
        points = block[:, :, chosen]  # (positions, N, D)
        mean = points.mean(dim=1, keepdim=True)
        covariance = shrunk_covariance(points - mean)
        covariance.diagonal(dim1=1, dim2=2).add_(floor)
        means.append(mean.squeeze(1))
        whitenings.append(packed_whitening(covariance).half())
    return torch.cat(means).unflatten(0, embeddings[0].shape[1:3]), torch.cat(whitenings, dim=1)


def mean_variance(embeddings: Embeddings, view: int, chosen: Tensor) -> float:
    """Return the variance of the chosen features of a view, averaged over features and positions."""
    blocks = (block[:, :, chosen] for block in position_blocks(embeddings, view))
    total = sum(float(block.var(dim=1, correction=0).mean(dim=1).sum()) for block in blocks)
    return total / (embeddings[0].shape[1] * embeddings[0].shape[2])


def shrunk_covariance(centred: Tensor) -> Tensor:
    """Return the covariances (P, D, D) of ``centred`` (P, N, D), shrunk towards the identity times the mean variance by
    as much as leaves the least expected squared error.

    Source: Ledoit & Wolf 2004, Lemma 3.2 to 3.4 (doi:10.1016/S0047-259X(03)00096-4)."""
    _, count, depth = centred.shape
    sample = torch.bmm(centred.mT, centred) / count  # S_n (P, D, D)
    m = sample.diagonal(dim1=1, dim2=2).mean(dim=1)
    length = sample.square().sum(dim=(1, 2)) / depth  # |S_n|^2, by the paper's norm
    d2 = (length - m.square()).clamp_min(0)  # |S_n - m I|^2
    fourth = centred.square().sum(dim=2).square().sum(dim=1) / depth  # sum of |x x^T|^2
    b2 = ((fourth / count - length) / count).clamp_min(0).minimum(d2)
    share = torch.where(d2 > 0, b2 / d2, 0.0)  # weight of the scaled identity
    shrunk = (1 - share)[:, None, None] * sample
    shrunk.diagonal(dim1=1, dim2=2).add_((share * m)[:, None])
    return shrunk


def packed_whitening(covariance: Tensor) -> Tensor:
    """Return the inverses of the lower Cholesky factors of ``covariance`` (P, D, D), their lower triangles row by row
    (T, P), T = D (D + 1) / 2: half the size, and read in order."""
    factors = torch.linalg.cholesky(covariance)
    whitening = torch.linalg.solve_triangular(factors, torch.eye(covariance.shape[1]), upper=False)
    rows, columns = torch.tril_indices(*covariance.shape[1:])
    return whitening[:, rows, columns].mT.contiguous()


def mahalanobis(centred: Tensor, whitening: Tensor) -> Tensor:
    """Return the lengths (P, K) of ``centred`` (P, K, D) after whitening by (T, P), as `packed_whitening` makes it."""
    differences = centred.permute(2, 1, 0).contiguous()  # (D, K, P)
    squared = torch.zeros(differences.shape[1:], device=centred.device)
    rows = whitening.split(list(range(1, len(differences) + 1)))  # (row + 1, P) each
    for row in rows:
        squared += torch.linalg.vecdot(row.float()[:, None], differences[: len(row)], dim=0).square()
    return squared.sqrt().mT
