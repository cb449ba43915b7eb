"""The denoising autoencoder with deleted blocks (Rádli & Czúni 2021, told in section 3 of the paper of 2022): what it
sees has holes, and it learns to fill them from around."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from flawline.methods.ae import difference, weighted_mean
from flawline.params import DAEModelParams
from flawline.training.objective import Objective, Phase, one_stage


def deleted_blocks(like: Tensor, generator: torch.Generator, *, blocks: int, block: int) -> Tensor:
    """Return 1 (n, 1, s, s) in ``blocks`` squares of side ``block``, each at a random place in a patch of ``like``
    (n, C, s, s), else 0. Blocks may overlap; one that is larger than the patch covers it."""
    count, _, height, width = like.shape
    block = min(block, height, width)
    starts = [torch.randint(side - block + 1, (count, blocks), generator=generator) for side in (height, width)]
    down, across = (
        (torch.arange(side) >= first[..., None]) & (torch.arange(side) < first[..., None] + block)
        for first, side in zip(starts, (height, width), strict=True)
    )  # (n, blocks, H), (n, blocks, W)
    deleted = (down[..., :, None] & across[..., None, :]).any(dim=1, keepdim=True)  # (n, 1, H, W)
    return deleted.to(like)


def denoising_loss(
    model: Any, x: Tensor, generator: torch.Generator | None = None, *,
    loss: str, blocks: int, block: int, deleted_weight: float,
) -> Tensor:  # fmt: skip
    """Return the mean `difference` of the uncorrupted patches in frames ``x`` (n, C + 1, F, F) and D(E(C(x))), what is
    made of them with blocks deleted; a deleted pixel weighs ``deleted_weight``. Rádli & Czúni 2022, Eq. 4.

    Without a ``generator`` nothing is deleted: what is watched is how whole patches are reconstructed."""
    look = model.look(x)
    if generator is None:
        holes = torch.zeros_like(look.inside)
    else:
        holes = deleted_blocks(look.seen, generator, blocks=blocks, block=block)
    made = model.draw(look.seen * (1 - holes))
    weights = look.inside * (1 + (deleted_weight - 1) * holes)
    return weighted_mean(difference(look.seen, made, look.inside, loss), weights[:, 0])


def dae_objective(params: DAEModelParams) -> Objective:
    """Return how the autoencoder learns: to reconstruct patches without the blocks that were deleted from them."""
    loss = partial(
        denoising_loss, loss=params.loss, blocks=params.blocks, block=params.block, deleted_weight=params.deleted_weight
    )
    return one_stage((Phase("train", loss),), loss)
