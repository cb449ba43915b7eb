"""Spots and bars: how far the responses of simple filters are from what they are on normal material.

A pulled yarn or a bead is a bar or a spot of unusual contrast, often too faint for a network that has seen
photographs. Pixels are taken relative to the brightness and contrast around them, since these differ between strips."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor
from torch.nn.functional import conv2d

from flawline.params import FilterBankParams


class Normal(NamedTuple):
    """What a bank is like on normal material: mean and deviation (M,) of each filter's responses, and the usual
    ``contrast``, the median deviation of an image's pixels."""

    mean: Tensor
    deviation: Tensor
    contrast: Tensor


def make_bank(params: FilterBankParams) -> Tensor:
    """Return the filters (M, 1, k, k), each summing to 1: Gaussian spots of some deviations, and bars, Gaussians of one
    deviation across and another along, at ``angles`` even angles. Pixels."""
    reach = torch.arange(params.side, dtype=torch.float32) - params.side // 2
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    filters = [torch.exp(-(x.square() + y.square()) / (2 * spot**2)) for spot in params.spots]
    for across, along in params.bars:
        for k in range(params.angles):
            cos, sin = math.cos(math.pi * k / params.angles), math.sin(math.pi * k / params.angles)
            u, v = y * cos - x * sin, x * cos + y * sin  # across and along the bar
            filters.append(torch.exp(-(u / across).square() / 2 - (v / along).square() / 2))
    bank = torch.stack(filters)[:, None]  # (M, 1, k, k)
    return bank / bank.sum(dim=(2, 3), keepdim=True)


def standardised(image: Tensor, contrast: Tensor | float, params: FilterBankParams) -> Tensor:
    """Return an image (H, W) less the brightness around each pixel, over the contrast there, softened by a share of the
    usual ``contrast``: of an image no larger than ``window`` its median and deviation, else the mean and deviation of
    that many pixels around, borders reflected."""
    soft = params.soft * float(contrast)
    if max(image.shape) <= params.window:
        return (image - image.median()) / (image.std(correction=0) + soft)
    pixels = image.numpy()
    mean = uniform_filter(pixels, params.window, mode="reflect")
    variance = uniform_filter(pixels * pixels, params.window, mode="reflect") - mean * mean
    return torch.from_numpy((pixels - mean) / (np.sqrt(variance.clip(0)) + soft))


def responses(image: Tensor, bank: Tensor) -> Tensor:
    """Return the response (M, H, W) of each filter to an image (H, W), borders reflected."""
    around = np.pad(image.numpy(), bank.shape[-1] // 2, mode="reflect")  # as often as a small image needs it
    return conv2d(torch.from_numpy(around)[None, None], bank)[0]


def learn_normal(images: list[Tensor], bank: Tensor, params: FilterBankParams) -> Normal:
    """Return what the bank is like on normal ``images`` (H, W) each."""
    contrast = torch.tensor(float(np.median([float(image.std(correction=0)) for image in images])))
    count, total, squares = 0, torch.zeros(len(bank), dtype=torch.float64), torch.zeros(len(bank), dtype=torch.float64)
    for image in images:
        found = responses(standardised(image, contrast, params), bank).double().flatten(1)  # (M, n)
        count += found.shape[1]
        total += found.sum(dim=1)
        squares += found.square().sum(dim=1)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(1e-12).sqrt()
    return Normal(mean.float(), deviation.float(), contrast)


def bank_map(image: Tensor, bank: Tensor, normal: Normal, params: FilterBankParams) -> Tensor:
    """Return the largest absolute deviation (H, W) of any filter from its normal response, in its deviations."""
    found = responses(standardised(image, normal.contrast, params), bank)  # (M, H, W)
    return found.sub_(normal.mean[:, None, None]).div_(normal.deviation[:, None, None]).abs_().amax(dim=0)
