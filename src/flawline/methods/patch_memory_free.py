"""A patch memory that knows no positions: features of every place against normal ones of any place."""

import torch
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.methods.free_patches import FreePatchScorer, HeldOutScorer
from flawline.methods.one_class import State
from flawline.methods.patch_gaussian import packed_whitening, shrunk_covariance
from flawline.methods.patch_memory import greedy_coreset, quantise

CHUNK = 2**22  # distances worked on at a time, 16 MiB
PROJECTED = 64  # directions in which a coreset is chosen
LEAST = 1e-6  # added to the variances before whitening, as a share of their mean


class FreeMemory(FreePatchScorer):
    """The distance of a place is that of its features to the nearest ones kept of any place, one greedy coreset for
    all.

    The patch memory of PatchCore (Roth et al. 2022). With ``whiten``, distances are Mahalanobis'."""

    def learn(self, points: Tensor) -> State:
        """Return the kept features (M, D), and what whitens features (D, D).

        Raise FlawlineError if they take more memory than ``scorer.budget`` allows."""
        kept = min(self.params.size, len(points))
        check_budget(kept, points.shape[1], self.params.bits, self.params.budget)
        whitening = whitening_of(points) if self.params.whiten else torch.eye(points.shape[1])
        points = points @ whitening.mT
        (chosen,) = greedy_coreset(projected(points)[None], kept)
        codes, scale, offset = quantise(points[chosen], self.params.bits)
        return {"codes": codes, "scale": scale, "offset": offset, "whitening": whitening}

    def ready(self, state: State) -> State:
        """Return the state with the features that its codes stand for, "kept" (M, D), and their "squared_norms"
        (M,)."""
        codes, scale, offset = (state[name].to(self.device) for name in ("codes", "scale", "offset"))
        kept = codes.float() * scale + offset
        return {**state, "kept": kept, "squared_norms": kept.square().sum(dim=1)}

    def distances(self, state: State, features: Tensor) -> Tensor:
        ready = state if "kept" in state else self.ready(state)
        whitened = features @ ready["whitening"].to(self.device).mT
        return nearest_distances(whitened, ready["kept"], ready["squared_norms"])


class PatchMemoryFree(HeldOutScorer, FreeMemory):
    """The memory alone: its distances, told by those of images that were held out."""

    name = "patch_memory_free"


def projected(points: Tensor) -> Tensor:
    """Return points (n, D) in at most 64 random directions, the same every time: distances stay about what they
    are (Johnson & Lindenstrauss 1984), and a coreset is chosen in a fraction of the time. As PatchCore does."""
    depth = points.shape[1]
    if depth <= PROJECTED:
        return points
    directions = torch.randn(depth, PROJECTED, generator=torch.Generator().manual_seed(0))
    return points @ directions / PROJECTED**0.5


def nearest_distances(features: Tensor, memory: Tensor, squared_norms: Tensor) -> Tensor:
    """Return the Euclidean distance (n,) of each of ``features`` (n, D) to the nearest of ``memory`` (M, D), whose
    ``squared_norms`` are (M,)."""
    step = max(1, CHUNK // len(memory))
    least = [torch.addmm(squared_norms[None], some, memory.mT, alpha=-2).amin(dim=1) for some in features.split(step)]
    return (torch.cat(least) + features.square().sum(dim=1)).clamp_min(0).sqrt()


def whitening_of(points: Tensor) -> Tensor:
    """Return W (D, D), such that W z has the identity as its covariance over ``points`` z (n, D): the inverse of the
    lower Cholesky factor of their shrunk covariance (Ledoit & Wolf 2004)."""
    centred = (points - points.mean(dim=0))[None]
    covariance = shrunk_covariance(centred)  # (1, D, D)
    diagonal = covariance.diagonal(dim1=1, dim2=2)
    diagonal.add_(max(LEAST * float(diagonal.mean()), LEAST))
    depth = points.shape[1]
    rows, columns = torch.tril_indices(depth, depth)
    whitening = torch.zeros(depth, depth)
    whitening[rows, columns] = packed_whitening(covariance).squeeze(1)
    return whitening


def check_budget(kept: int, depth: int, bits: int, budget: float) -> None:
    """Raise FlawlineError if ``kept`` features of ``depth`` numbers take more than ``budget`` megabytes."""
    needed = kept * depth * bits / 8 / 1e6
    if needed > budget:
        raise FlawlineError(
            f"the memory of {kept} features of {depth} numbers takes {needed:.3g} MB, more than scorer.budget = "
            f"{budget:g} MB. Keep fewer (scorer.size), take fewer layers, 8 instead of 16 bits, or allow more."
        )
