"""Anomaly maps: patches through a network, and smoothing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from flawline.checks import FlawlineError
from flawline.params import ComputeParams, PatchParams
from flawline.training.compute import pick_device
from flawline.training.windows import to_unit
from flawline.vision.patches import cut

Residual = Callable[[Tensor, Tensor], Tensor]  # (patches, reconstructions) (n, C, s, s) -> (n, s, s)
BATCH = 64
LARGEST = float(np.finfo(np.float16).max)


def smooth(raw: NDArray, sigma: float) -> NDArray[np.float16]:
    """Return the anomaly map (H, W): ``raw`` smoothed by a Gaussian of standard deviation ``sigma`` pixels, borders
    reflected; 0: not at all. Values beyond float16 become its largest."""
    values = raw.astype(np.float32, copy=False)
    smoothed = gaussian_filter(values, sigma, mode="reflect") if sigma else values
    return smoothed.clip(-LARGEST, LARGEST).astype(np.float16)


def within(anomaly: NDArray, seen: NDArray[np.bool_] | None) -> NDArray:
    """Return a map (H, W) that says nothing of pixels that are not ``seen`` (H, W): they have the lowest value of those
    that are, so that they neither raise a score nor make a region. None: all are seen; a map may be empty (0, 0)."""
    if seen is None or not anomaly.size or seen.all() or not seen.any():
        return anomaly
    return np.where(seen, anomaly, anomaly[seen].min())


@torch.no_grad()
def reconstruct_patches(
    model: nn.Module, image: NDArray, positions: NDArray, size: int
) -> Iterator[tuple[Tensor, Tensor, NDArray[np.int64]]]:
    """Yield (patches, reconstructions (n, C, s, s), positions (n, 2)), a batch at a time."""
    model.eval()
    device = device_of(model)
    for start in range(0, len(positions), BATCH):
        at = positions[start : start + BATCH]
        x = to_unit(cut(image, at, size), device)
        yield x, model(x), at


@torch.no_grad()
def encode_patches(
    model: nn.Module, encode: Callable[[Tensor], Tensor], image: NDArray, positions: NDArray, size: int
) -> Iterator[Tensor]:
    """Yield what ``encode``, a part of ``model``, makes of the patches at ``positions`` (n, 2), a batch at a time."""
    model.eval()
    for start in range(0, len(positions), BATCH):
        yield encode(to_unit(cut(image, positions[start : start + BATCH], size), device_of(model)))


def device_of(model: nn.Module) -> torch.device:
    """Return where a model's tensors are; one without any runs on the CPU."""
    return next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))


@torch.no_grad()
def reconstruction_error(model: nn.Module, patches: Tensor, residual: Residual) -> float:
    """Return the mean residual of ``model`` on patches (N, C, s, s)."""
    model.eval()
    device = device_of(model)
    sums = [float(residual(x, model(x)).double().sum()) for x in (batch.to(device) for batch in patches.split(BATCH))]
    return sum(sums) / (len(patches) * patches.shape[2] * patches.shape[3])


def as_numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()


def as_half(tensor: Tensor) -> NDArray[np.float16]:
    """Return ``tensor`` as float16; values beyond it become its largest."""
    return tensor.clamp(-LARGEST, LARGEST).half().cpu().numpy()


def check_patches_fit(shapes: Sequence[tuple[int, ...]], *, patches: PatchParams, **others: Any) -> None:
    """Raise FlawlineError if a patch is larger than one of the images (C, H, W); ``others`` are ignored."""
    small = [shape for shape in shapes if min(shape[-2:]) < patches.size]
    if small:
        height, width = small[0][-2:]
        raise FlawlineError(
            f"patches.size = {patches.size} is larger than {len(small)} of {len(shapes)} images (first: {height} x "
            f"{width}). Set patches.size of every method that runs to a multiple of 16 that fits the smallest image."
        )


def load_model(model: nn.Module, weights: dict[str, Tensor], compute: ComputeParams) -> nn.Module:
    """Put ``weights`` into ``model`` and the model where it runs, ready to score."""
    model.load_state_dict(weights)
    device = pick_device(compute)
    return model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it
