"""The patches that are learned from: random windows of images, the same for the same seed, and those held out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.params import PatchParams
from flawline.vision.patches import cut_windows, random_windows, window_means

Device = torch.device | str  # where patches are made ready
CPU = "cpu"
VALIDATION_STREAM = 1  # keeps the random numbers of different uses apart
PSEUDO_STREAM = 3  # 2 is that of the losses
MAX_VALIDATION = 256  # windows; enough for a loss, few enough to cost little
MAX_LOOK = 512  # windows looked at before training; enough for a spectrum and 100 principal components


@dataclass(frozen=True)
class Windows:
    """Random windows of some images (C, H, W): ``epoch(e)`` is the same for the same seed, whatever ran before.

    Where the images are no larger than a patch, there is nothing to draw: an epoch is all of them, in random order."""

    images: Sequence[NDArray]
    shapes: Sequence[tuple[int, ...]]
    patches: PatchParams
    seed: int

    def epoch(self, number: int) -> NDArray[np.int64]:
        """Return the windows (n, 3) as (image, y, x) of epoch ``number`` (from 0)."""
        return self._draw(self.patches.per_epoch, [self.seed, 0, number])

    def fixed(self) -> NDArray[np.int64]:
        """Return windows (n, 3) that stay the same in all epochs, for validation."""
        count = min(self.patches.per_epoch, MAX_VALIDATION)
        return self._draw(count, [self.seed, VALIDATION_STREAM])[:MAX_VALIDATION]

    def _draw(self, count: int, seed: list[int]) -> NDArray[np.int64]:
        generator = np.random.default_rng(seed)
        if any(tuple(shape[-2:]) != (self.patches.size, self.patches.size) for shape in self.shapes):
            return random_windows(self.shapes, count, self.patches.size, generator)
        order = generator.permutation(len(self.shapes))
        return np.column_stack([order, np.zeros((len(order), 2), np.int64)])  # (n, 3)

    def first(self) -> NDArray[np.int64]:
        """Return the first windows (n, 3) that training will see, enough to look at."""
        return self.epoch(0)[:MAX_LOOK]

    def cut(self, windows: NDArray, device: Device = CPU) -> Tensor:
        """Return the patches of ``windows`` as float32 (n, C, s, s) in [0, 1], on ``device``, where they are also made
        ready: what travels there is a byte a value."""
        return to_unit(cut_windows(self.images, windows, self.patches.size), device)

    def shown(self, patches: Tensor) -> Tensor:
        """Return what a person is shown of patches (n, C, s, s) as ``cut`` makes them: their channels."""
        return patches


@dataclass(frozen=True)
class PseudoWindows:
    """Windows of pseudo-defective images, which of their pixels are defective, and the images before the damage."""

    windows: Windows
    masks: Sequence[NDArray]  # (H, W) bool, an image each
    originals: Sequence[NDArray] = ()  # (C, H, W), an image each

    def defective(self, count: int) -> NDArray[np.int64]:
        """Return ``count`` windows (n, 3) with a defective pixel in each, from the images in turn; the same every time.
        Where there are no images, none."""
        size, found = self.windows.patches.size, np.zeros((count, 3), np.int64)
        if not len(self.masks):
            return found[:0]
        generator = np.random.default_rng([self.windows.seed, PSEUDO_STREAM])
        for i, row in enumerate(found):
            image = i % len(self.masks)
            mask = self.masks[image]
            point = generator.choice(np.argwhere(mask))  # (2,) as (y, x)
            room = np.array(mask.shape) - size
            first = np.maximum(0, point - size + 1)
            row[:] = image, *generator.integers(first, np.minimum(point, room), endpoint=True)
        return found

    def shares(self, windows: NDArray) -> NDArray[np.float64]:
        """Return the share (n,) of defective pixels in each of ``windows`` (n, 3) as (image, y, x)."""
        shares = np.zeros(len(windows))
        for i in np.unique(windows[:, 0]):
            own = windows[:, 0] == i
            shares[own] = window_means(self.masks[i], windows[own, 1:3], self.windows.patches.size)
        return shares


def windows_of(images: Sequence[NDArray], rows: Sequence[int], patches: PatchParams, *, seed: int) -> Windows:
    """Return the windows of the images at ``rows``.

    Raise FlawlineError if there is none, a patch does not fit, or 8 and 16 bit are mixed."""
    chosen = pick_images(images, rows)
    windows = Windows(chosen, [image.shape for image in chosen], patches, seed)
    windows.fixed()
    return windows


def pick_images(images: Sequence[NDArray], rows: Sequence[int]) -> list[NDArray]:
    """Return the images at ``rows``. Raise FlawlineError if there is none, or 8 and 16 bit are mixed."""
    if not rows:
        raise FlawlineError("no image to cut windows from")
    chosen = [images[i] for i in rows]  # views of a memory map: no pixel is read yet
    types = sorted({str(image.dtype) for image in chosen})
    if len(types) > 1:
        raise FlawlineError(f"images must all have the same depth, got {' and '.join(types)}")
    return chosen


def to_unit(patches: NDArray, device: Device = CPU) -> Tensor:
    """Return uint8 or uint16 ``patches`` as a float32 tensor in [0, 1] on ``device``, channels last in memory."""
    if patches.dtype == np.uint8:
        tensor = torch.from_numpy(np.require(patches, requirements="W")).to(device).float().div_(255)
    else:
        tensor = torch.from_numpy(patches.astype(np.float32)).to(device).div_(65535)
    return tensor.contiguous(memory_format=torch.channels_last)
