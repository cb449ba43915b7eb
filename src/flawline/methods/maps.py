"""From a trained autoencoder to anomaly maps: cut into overlapping patches, redraw them, average what differs."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from flawline.checks import FlawlineError
from flawline.params import ComputeParams, PatchParams
from flawline.training.compute import pick_device
from flawline.training.windows import to_unit
from flawline.vision.patches import OverlapAverage, cut, reassemble

Residual = Callable[[Tensor, Tensor], Tensor]  # (patches, reconstructions) (n, C, s, s) -> (n, s, s)
BATCH = 64
LARGEST = float(np.finfo(np.float16).max)


def anomaly_map(
    model: nn.Module, image: NDArray, positions: NDArray, patches: PatchParams, smoothing: float, *, residual: Residual
) -> NDArray[np.float16]:
    """Return the anomaly map (H, W) of ``image`` (C, H, W): its `residual_map`, smoothed by ``smoothing`` pixels."""
    return smooth(residual_map(model, image, positions, patches, residual=residual), smoothing)


def residual_map(
    model: nn.Module, image: NDArray, positions: NDArray, patches: PatchParams, *, residual: Residual
) -> NDArray[np.float16]:
    """Return the raw map (H, W) of ``image`` (C, H, W): residuals of the patches at ``positions`` (n, 2), the dense
    grid, averaged where they overlap. Larger is more anomalous; stored as float16."""
    pairs = ((as_numpy(residual(x, y)), at) for x, y, at in redrawn(model, image, positions, patches.size))
    whole = reassemble(pairs, *image.shape[1:], size=patches.size, stride=patches.stride)  # (H, W)
    return np.minimum(whole, LARGEST).astype(np.float16)


def smooth(raw: NDArray, sigma: float) -> NDArray[np.float16]:
    """Return the anomaly map (H, W): ``raw`` smoothed by a Gaussian of standard deviation ``sigma`` pixels, borders
    reflected; 0: not at all. Values beyond float16 become its largest."""
    values = raw.astype(np.float32, copy=False)
    smoothed = gaussian_filter(values, sigma, mode="reflect") if sigma else values
    return smoothed.clip(-LARGEST, LARGEST).astype(np.float16)


def reconstruction(model: nn.Module, image: NDArray, positions: NDArray, patches: PatchParams) -> NDArray[np.uint8]:
    """Return ``image`` (C, H, W) as the autoencoder redraws it, patches averaged where they overlap, uint8."""
    height, width = image.shape[1:]
    planes = [OverlapAverage(height, width, size=patches.size, stride=patches.stride) for _ in image]
    for _, y, at in redrawn(model, image, positions, patches.size):
        for channel, plane in enumerate(planes):
            plane.add(as_numpy(y[:, channel]), at)
    whole = np.stack([plane.result() for plane in planes])  # (C, H, W)
    return np.rint(whole.clip(0, 1) * 255).astype(np.uint8)


@torch.no_grad()
def redrawn(
    model: nn.Module, image: NDArray, positions: NDArray, size: int
) -> Iterator[tuple[Tensor, Tensor, NDArray[np.int64]]]:
    """Yield (patches, reconstructions (n, C, s, s), positions (n, 2)), a batch at a time."""
    model.eval()
    device = next(model.parameters()).device
    for start in range(0, len(positions), BATCH):
        at = positions[start : start + BATCH]
        x = to_unit(cut(image, at, size)).to(device)
        yield x, model(x), at


@torch.no_grad()
def reconstruction_error(model: nn.Module, patches: Tensor, residual: Residual) -> float:
    """Return the mean residual of ``model`` on patches (N, C, s, s)."""
    model.eval()
    device = next(model.parameters()).device
    sums = [float(residual(x, model(x)).double().sum()) for x in (batch.to(device) for batch in patches.split(BATCH))]
    return sum(sums) / (len(patches) * patches.shape[2] * patches.shape[3])


def as_numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()


def image_score(anomaly: NDArray) -> float:
    """Return the score of an image: the largest value of its anomaly map. Higher is more anomalous."""
    return float(anomaly.max())


def check_fits(shapes: list[tuple[int, ...]], patches: PatchParams) -> None:
    """Raise FlawlineError if a patch is larger than one of the images (C, H, W)."""
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
