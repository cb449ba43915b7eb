"""Patches that may be turned by any angle: what lies around them, which pixels count, and how they are drawn and cut.

Two sizes: a *patch* of side s is what an autoencoder reconstructs; its *frame* of side F >= s is what a network is
given, with one more plane that is 1 where pixels count. Frames are made of windows of S pixels, S being the diagonal of
the patch, that are cut out of the image, reflected at its rim. With the padding ``surroundings`` the window is the
frame, all of it counts, and the patch is the middle of the frame, turned or not: nothing is padded and nothing shrinks.
With ``zeros``, the paper's way, the middle s pixels of the window are surrounded with zeros to S and resized to s:
frame and patch are the same, and about half of it counts.

Source: Rádli & Czúni 2022, section 7: patches of 128, padded to 181, resized to 128. Here S is 182, so that the patch
lies in the middle to the pixel; the surroundings are ours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from flawline.checks import FlawlineError
from flawline.params import FramePatchParams
from flawline.training.windows import CPU, MAX_VALIDATION, VALIDATION_STREAM, Device, Windows, pick_images, to_unit
from flawline.vision.downsizing import downsized_shape
from flawline.vision.turning import frame_side, turn

COUNTS = 0.999  # share of a pixel that must be inside to count


# --- geometry --------------------------------------------------------------------------------------------------------
def window_side(patches: FramePatchParams) -> int:
    """Return S, the side of the windows that frames are made of."""
    return frame_side(patches.size)


def margin_of(patches: FramePatchParams) -> int:
    """Return by how many pixels an image is reflected at its rim before windows are cut: so that the first patch begins
    with the image, less what its rim loses as it shrinks, or with the surroundings, so that the disk that is seen at
    every angle reaches the image's corner."""
    if patches.padding == "zeros":
        lost = math.ceil(window_side(patches) / patches.size)  # a small pixel at the rim is zeros in part
        return (window_side(patches) - patches.size) // 2 + lost
    return math.ceil(window_side(patches) / 2 - patches.size / math.sqrt(8))


def cut_reflected(image: NDArray, positions: NDArray, side: int, margin: int) -> NDArray:
    """Copy windows (n, C, side, side) out of ``image`` (C, H, W), reflected ``margin`` pixels beyond its rim, which
    ``positions`` (n, 2) as (y, x) count from; same type."""
    rows, columns = (reflected(np.arange(length + 2 * margin) - margin, length) for length in image.shape[1:])
    return np.stack([image[:, rows[y : y + side]][:, :, columns[x : x + side]] for y, x in positions])


def reflected(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return where ``places`` lie once a line of ``length`` pixels is reflected at its first and last one."""
    folded = np.abs(places)
    return np.where(folded >= length, 2 * (length - 1) - folded, folded)


def framed(windows: Tensor, patches: FramePatchParams) -> Tensor:
    """Return the frames (n, C + 1, F, F) of windows (n, C, S, S), the last plane 1 where pixels count."""
    counted = torch.cat([windows, torch.ones_like(windows[:, :1])], dim=1)
    if patches.padding == "surroundings":
        return counted
    padded = widened(middle_of(counted, patches.size), window_side(patches))  # (n, C + 1, S, S)
    small = interpolate(padded, size=patches.size, mode="bilinear", align_corners=False, antialias=True)
    return torch.cat([small[:, :-1], (small[:, -1:] > COUNTS).to(small)], dim=1)


def unframed(values: Tensor, patches: FramePatchParams) -> Tensor:
    """Return planes (n, k, F, F) of frames as those of windows (n, k, S, S)."""
    side = window_side(patches)
    if values.shape[-1] == side:
        return values
    return interpolate(values, size=side, mode="bilinear", align_corners=False)


def split_counts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the channels (n, C, F, F) of frames, and the plane that says which pixels count (n, 1, F, F)."""
    return x[:, :-1], x[:, -1:]


def middle_of(x: Tensor, side: int) -> Tensor:
    """Return the middle (n, C, side, side) of squares (n, C, F, F)."""
    first = (x.shape[-1] - side) // 2
    return x[..., first : first + side, first : first + side]


def widened(x: Tensor, side: int, *, outside: str = "constant") -> Tensor:
    """Return squares (n, C, s, s) in the middle of (n, C, side, side): `middle_of` undone, with zeros outside, or with
    the rim (replicate)."""
    first = (side - x.shape[-1]) // 2
    last = side - x.shape[-1] - first
    return pad(x, (first, last, first, last), mode=outside)


# --- windows to learn from -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class FrameWindows(Windows):
    """Random frames of images, already downsized, each a window (image, y, x, degrees): turned by so many whole
    degrees, as an augmentation. The place is that in the image reflected at its rim, as where images are scored."""

    patches: FramePatchParams

    def epoch(self, number: int) -> NDArray[np.int64]:
        """Return the windows (n, 4) as (image, y, x, degrees) of epoch ``number`` (from 0)."""
        return self._draw(self.patches.per_epoch, [self.seed, 0, number])

    def fixed(self) -> NDArray[np.int64]:
        """Return windows (n, 4) that stay the same in all epochs, for validation."""
        return self._draw(min(self.patches.per_epoch, MAX_VALIDATION), [self.seed, VALIDATION_STREAM])

    def cut(self, windows: NDArray, device: Device = CPU) -> Tensor:
        """Return the frames of ``windows``: float32 (n, C + 1, F, F), channels in [0, 1], turned on ``device``."""
        side, margin = window_side(self.patches), margin_of(self.patches)
        cuts = [cut_reflected(self.images[int(i)], np.array([[y, x]]), side, margin) for i, y, x, _ in windows]
        x = to_unit(np.concatenate(cuts), device)
        if self.patches.turned:
            x = turn(x, torch.from_numpy(windows[:, 3]).to(device), "fourier").clamp(0, 1)
        return framed(x, self.patches).contiguous(memory_format=torch.channels_last)

    def shown(self, patches: Tensor) -> Tensor:
        """Return the channels (n, C, F, F) of frames."""
        return split_counts(patches)[0].contiguous()

    def _draw(self, count: int, seed: list[int]) -> NDArray[np.int64]:
        generator = np.random.default_rng(seed)
        spare = 2 * margin_of(self.patches) - window_side(self.patches) + 1
        room = np.array([[height + spare, width + spare] for *_, height, width in self.shapes])
        chances = room.prod(axis=1) / room.prod(axis=1).sum()
        images = generator.choice(len(self.shapes), size=count, p=chances)
        offsets = (generator.random((count, 2)) * room[images]).astype(np.int64)
        degrees = generator.integers(0, 360, count) if self.patches.turned else np.zeros(count, np.int64)
        return np.column_stack([images, offsets, degrees])  # (n, 4)


def frame_windows(
    images: Sequence[NDArray], rows: Sequence[int], patches: FramePatchParams, *, seed: int
) -> FrameWindows:
    """Return the windows of the downsized images at ``rows``.

    Raise FlawlineError if there is none, a patch does not fit, or 8 and 16 bit are mixed."""
    chosen = pick_images(images, rows)
    shapes = [image.shape for image in chosen]
    check_frames(shapes, patches=patches)
    return FrameWindows(chosen, shapes, patches, seed)


def check_frames(shapes: Sequence[tuple[int, ...]], *, patches: FramePatchParams, **others: Any) -> None:
    """Raise FlawlineError if a patch is larger than one of the images (C, H, W) once downsized; ``others`` are
    ignored. An image need not be square: only patches are turned, which are."""
    sizes = [downsized_shape(shape, patches.side) for shape in shapes]
    small = [size for size in sizes if min(size) < patches.size]
    if small:
        height, width = small[0]
        raise FlawlineError(
            f"patches.size = {patches.size} is larger than {len(small)} of {len(sizes)} images once downsized to "
            f"patches.side = {patches.side} pixels (first: {height} x {width}). Set patches.size to a multiple of 16 "
            f"that fits the smallest image, or patches.side to more; images are never enlarged."
        )
