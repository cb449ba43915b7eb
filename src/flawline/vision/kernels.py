"""Gaussians and separable filters in torch, for what is learned by or computed in batches."""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

REACH = 4  # standard deviations to which a Gaussian is cut


def gaussian(sigma: float, *, like: Tensor, radius: int | None = None) -> Tensor:
    """Return a Gaussian (k,) of standard deviation ``sigma`` pixels that sums to 1, ``radius`` pixels to each side of
    its middle; None: four deviations."""
    places = offsets(math.ceil(REACH * sigma) if radius is None else radius, like=like)
    bell = torch.exp(-0.5 * (places / sigma) ** 2)
    return bell / bell.sum()


def offsets(radius: int, *, like: Tensor) -> Tensor:
    """Return the places (2 radius + 1,) of a filter's pixels against its middle."""
    return torch.arange(-radius, radius + 1, dtype=like.dtype, device=like.device)


def separable(x: Tensor, down: Tensor, across: Tensor, *, outside: str = "replicate") -> Tensor:
    """Return every plane of ``x`` (n, C, H, W) filtered by ``down`` (k,) along its columns and ``across`` (k,) along
    its rows; ``outside`` is what pad knows: replicate, reflect, or constant for zeros."""
    reach = len(down) // 2
    planes = pad(x.flatten(0, 1)[:, None], (reach, reach, reach, reach), mode=outside)  # (n * C, 1, ...)
    filtered = conv2d(conv2d(planes, down[None, None, :, None]), across[None, None, None, :])
    return filtered.view_as(x)
