"""Features of every position against those of the same position and its neighbours in normal images."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.methods.one_class import State
from flawline.methods.patch_scorer import (
    Embeddings,
    PatchScorer,
    check_grid,
    least_over_neighbourhood,
    neighbours,
    position_blocks,
)

READY = 2**24  # values of the memory held as float32 at most, 64 MiB; a larger one is converted for each image
CACHED = 2**19  # values converted at a time, 2 MiB: they stay in a core's cache
FOUND = 2**22  # squared distances held at a time, 16 MiB, where nothing is converted


class Memory(NamedTuple):
    """What is kept of one view: ``codes`` (h, w, M, D), worth codes * scale + offset, and ``squared_norms`` (h, w, M),
    the squared norms of codes * scale; ``scale`` and ``offset`` (D,)."""

    codes: Tensor
    scale: Tensor
    offset: Tensor
    squared_norms: Tensor


class PatchMemory(PatchScorer):
    """The distance of a position is that of its features to the nearest ones kept of the same position and its
    neighbours.

    After the patch memory of PatchCore (Roth et al. 2022), but knowing positions, as suits parts that lie alike."""

    name = "patch_memory"
    least = 1

    def is_monotone(self, count: int) -> bool:
        """As of any nearest neighbour, as long as all features are kept; but for the rounding of ``bits``."""
        keeps_all = self.params.size is None or count <= self.params.size
        return keeps_all and not self._fused and self.params.image_score.reduction != "region_mass"

    def learn(self, embeddings: Embeddings, *, seed: int) -> State:
        """Return the kept features of each view, stacked; the seed has no part in it."""
        memories = [self._remember(embeddings, view) for view in range(len(embeddings[0]))]
        return {name: torch.stack([getattr(one, name) for one in memories]) for name in Memory._fields}

    def ready(self, state: State) -> State:
        """Return the state with the codes as the numbers that they are multiplied as, in the order in which a matrix
        product reads them, if these are not too many."""
        codes = state["codes"]
        return {**state, "codes": codes.float().mT.contiguous().mT} if codes.numel() <= READY else state

    def distances(self, state: State, embedding: NDArray[np.float16]) -> Tensor:
        check_grid(embedding, tuple(state["codes"].shape[1:3]), self.name)
        seen = torch.from_numpy(np.array(embedding, np.float32)).to(self.device)  # (V, h, w, D)
        stored = (state[name].to(self.device) for name in Memory._fields)
        memories = (Memory(*parts) for parts in zip(*stored, strict=True))
        return torch.stack([nearest_distances(one, memory, self.params.search_radius)
                            for one, memory in zip(seen, memories, strict=True)])  # fmt: skip

    def _remember(self, embeddings: Embeddings, view: int) -> Memory:
        kept = torch.cat([coreset(block, self.params.size).half() for block in position_blocks(embeddings, view)])
        codes, scale, offset = quantise(kept.unflatten(0, embeddings[0].shape[1:3]), self.params.bits)
        squared_norms = torch.stack([(row.float() * scale).square().sum(dim=-1) for row in codes])  # a row: less memory
        return Memory(codes, scale, offset, squared_norms)


def coreset(points: Tensor, size: int | None) -> Tensor:
    """Return ``size`` of the ``points`` (P, N, D) of every position (P, size, D); all if there are no more or for
    None."""
    if size is None or size >= points.shape[1]:
        return points
    return points.take_along_dim(greedy_coreset(points, size)[:, :, None], dim=1)


def greedy_coreset(points: Tensor, size: int) -> Tensor:
    """Return which of ``points`` (P, N, D) to keep (P, size): first the one nearest to the mean, then, again and again,
    the one farthest from all that are kept. No point is then farther from the kept than twice the least possible.

    Source: Gonzalez 1985, greedy k-center."""
    centred = points - points.mean(dim=1, keepdim=True)
    squared_norms = centred.square().sum(dim=2)  # (P, N)
    chosen = [squared_norms.argmin(dim=1, keepdim=True)]  # (P, 1)
    nearest = torch.full_like(squared_norms, torch.inf)
    for _ in range(size - 1):
        last = centred.take_along_dim(chosen[-1][:, :, None], dim=1)  # (P, 1, D)
        squared = squared_norms + squared_norms.gather(1, chosen[-1]) - 2 * torch.bmm(centred, last.mT).squeeze(2)
        nearest = torch.minimum(nearest, squared.clamp_min(0)).scatter(1, chosen[-1], -1.0)  # never again
        chosen.append(nearest.argmax(dim=1, keepdim=True))
    return torch.cat(chosen, dim=1)


def quantise(values: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return (codes, scale, offset) of ``values`` (..., D), worth codes * scale + offset, both (D,).

    8 bits: 256 even steps from the least to the largest value of each feature. 16: floating point, scale 1."""
    depth = values.shape[-1]
    if bits != 8:
        return values.to(torch.float16), torch.ones(depth), torch.zeros(depth)
    rows = values.flatten(0, -2)
    low, high = rows.amin(dim=0).float(), rows.amax(dim=0).float()
    scale = torch.where(high > low, (high - low) / 255, 1.0)
    offset = low + 128 * scale
    codes = torch.empty(values.shape, dtype=torch.int8)
    for row, code in zip(values, codes, strict=True):  # a row: less memory
        code.copy_(((row.float() - offset) / scale).round_().clamp_(-128, 127))
    return codes, scale, offset


def nearest_distances(seen: Tensor, memory: Memory, search_radius: int) -> Tensor:
    """Return the Euclidean distance (h, w) of what is ``seen`` (h, w, D) at a position to the nearest features kept of
    a position at most ``search_radius`` rows and columns away.

    The memory is read once: what is kept of a position meets what is seen at all its neighbours, in one matrix
    product."""
    shifted = seen - memory.offset
    around = neighbours(shifted * memory.scale, search_radius)  # (P, K, D)
    codes, squared_norms = memory.codes.flatten(0, 1), memory.squared_norms.flatten(0, 1)  # (P, M, D), (P, M)
    converted = codes.dtype != torch.float32
    step = max(1, CACHED // codes[0].numel() if converted else FOUND // (around.shape[1] * codes.shape[1]))
    blocks = zip(around.split(step), codes.split(step), squared_norms.split(step), strict=True)
    least = torch.cat([_least(*block) for block in blocks])  # (P, K)
    squared = shifted.square().sum(dim=2) + least_over_neighbourhood(least, seen.shape[:2], search_radius)
    return squared.clamp_min(0).sqrt()


def _least(around: Tensor, codes: Tensor, squared_norms: Tensor) -> Tensor:
    """Return the least |z|^2 - 2 z q (p, K) over all z in ``codes`` (p, M, D), for every q in ``around`` (p, K, D)."""
    return torch.baddbmm(squared_norms[:, None, :], around, codes.float().mT, alpha=-2).amin(dim=2)
