"""Pictures small enough for a page: of a judged image photograph | reconstruction | anomaly map | verdict; of an
inspected one what was found; of patches what a network makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawline.figures import (
    Region,
    data_uri,
    full_scale,
    heat,
    jpeg,
    mask_png,
    overlay,
    scale_top,
    to_rgb8,
    white_level,
)
from flawline.figures.thumbnails import STRIP, fitted
from flawline.report.contents import JudgedImage, SampleReconstructions, Split
from flawline.report.words import after, mistake

LONGEST = 480  # pixels of a picture's longest side
LONGEST_STRIP = 1600  # of an image more than STRIP times as long as high, whose pictures stand one under the other
MANY = (24, 72)  # beyond so many examples the pictures shrink, or the page grows past a few megabytes
SHRUNK = (1.0, 2 / 3, 1 / 2)
LISTED = 200  # pictures of an inspection's list: with more the page grows past 5 MB
SMALL = 240  # longest side of a thumbnail in an inspection's list, pixels
SMALL_STRIP = 800  # of one more than STRIP times as long as high
PATCH = 128  # pixels of a patch's longest side; the page enlarges smaller ones, every pixel a square
PATCHES = 3  # of a method's sample reconstructions
COLUMNS = 7  # the patch itself, then what was made of it: the first, the last, and even steps between


Size = Sequence[int]  # (height, width)


class Box(NamedTuple):
    """A region in the page's pixels."""

    y: float
    x: float
    height: float
    width: float


@dataclass(frozen=True)
class Picture:
    """One picture of a strip: its address holds the picture itself."""

    caption: str
    uri: str
    height: int
    width: int


@dataclass(frozen=True)
class Strip:
    """An example with its pictures."""

    example: JudgedImage
    pictures: Sequence[Picture]
    wide: bool
    mistake: str  # escape, overkill, or empty


def strips(examples: Sequence[JudgedImage], *, of: int) -> list[Strip]:
    """Return the strips of ``examples``, one colour scale for all, on a page that shows ``of`` examples in all."""
    share = SHRUNK[sum(of > many for many in MANY)]
    small = [shrink(example, page_size(example.image.shape[1:], share=share)) for example in examples]
    top = heat_top(small)
    return [_strip(example, top) for example in small]


def heat_top(examples: Sequence[JudgedImage]) -> float:
    """Return the map value shown brightest: twice the threshold, which is then mid-scale, else the highest value."""
    limits = [e.map_threshold for e in examples if e.map_threshold is not None and 0 < e.map_threshold < np.inf]
    return scale_top(max(limits, default=0), (e.anomaly_map for e in examples))


def page_size(size: Size, *, share: float = 1.0) -> tuple[int, int]:
    """Return the (height, width) at which an image of ``size`` stands on the page: never more than its own."""
    return fitted(size, share * LONGEST, share * LONGEST_STRIP)


def listed_size(size: Size) -> tuple[int, int]:
    """Return the (height, width) at which an image of ``size`` stands in the list of an inspection."""
    return fitted(size, SMALL, SMALL_STRIP)


def shrink(example: JudgedImage, size: tuple[int, int]) -> JudgedImage:
    """Return the example at ``size``, its regions scaled with it, its pictures float in [0, 1], white at 1."""
    full = example.image.shape[1:]
    white = white_level(example.image)
    recon = example.reconstruction
    small_map = example.anomaly_map.astype(np.float32)
    return replace(
        example,
        image=shrink_image(example.image, size, white),
        anomaly_map=shrink_peaks(small_map, size) if small_map.size else small_map,
        reconstruction=None if recon is None else shrink_image(recon, size, white),
        mask=None if example.mask is None else shrink_peaks(example.mask.astype(bool), size),
        regions=[_scaled(region, size[0] / full[0], size[1] / full[1]) for region in example.regions],
    )


def _scaled(region: Region, down: float, across: float) -> Box:
    """Scale a region by ``down`` in height and ``across`` in width."""
    return Box(region.y * down, region.x * across, region.height * down, region.width * across)


def shrink_image(image: NDArray, size: tuple[int, int], white: float) -> NDArray[np.float32]:
    """Average an image (C, H, W) down to (C, *size), ``white`` of its full scale at 1; one channel at a time."""
    scale = full_scale(image.dtype) * white
    channels = [Image.fromarray(channel.astype(np.float32)) for channel in image]
    small = [c.resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=3) for c in channels]
    return np.clip(np.stack([np.asarray(c) for c in small]) / np.float32(scale), 0, 1)  # (C, *size)


def shrink_peaks(values: NDArray, size: tuple[int, int]) -> NDArray:
    """Shrink (H, W) to ``size`` keeping each block's highest value: the mean would wash a small flaw out.

    Missing values give way to others of their block. A map coarser than ``size`` is enlarged by repetition.
    """
    for axis, (wanted, got) in enumerate(zip(size, values.shape, strict=True)):
        starts = np.arange(wanted) * got // wanted
        ends = np.maximum(np.append(starts[1:], got), starts + 1)
        highest = values.take(starts, axis=axis)
        # All blocks at once, a place in them at a time: a page of thousands of maps has to wait for it.
        for place in range(1, int((ends - starts).max())):
            np.fmax(highest, values.take(np.minimum(starts + place, ends - 1), axis=axis), out=highest)
        values = highest
    return values  # size


def _strip(example: JudgedImage, top: float) -> Strip:
    """Make the pictures of an example already at the page's size."""
    height, width = example.image.shape[1:]
    pictures = _whole(example) if not example.anomaly_map.size else _pictures(example, top)
    return Strip(example, pictures, wide=width > STRIP * height, mistake=mistake(example.label, example.verdict))


def _whole(example: JudgedImage) -> list[Picture]:
    """Return the pictures of an example without a map: the photograph, and the mask where there is one."""
    photograph = picture("photograph", to_rgb8(example.image))
    return [photograph, *([] if example.mask is None else [black_and_white("marked by hand", example.mask)])]


def _pictures(example: JudgedImage, top: float) -> list[Picture]:
    """Return the pictures of an example with a map."""
    limit = np.inf if example.map_threshold is None else example.map_threshold
    seen = overlay(example.image, example.anomaly_map, limit, example.regions, mask=example.mask)
    pictures = [picture("photograph", to_rgb8(example.image))]
    if example.reconstruction is not None:
        pictures.append(picture("reconstruction", to_rgb8(example.reconstruction)))
    pictures.append(picture("anomaly map", heat(example.anomaly_map, top=top)))
    pictures.append(picture("verdict", seen))
    return pictures


def mark(judged: JudgedImage) -> NDArray[np.uint8]:
    """Return a judged image as the list of an inspection shows it, (H, W, 3): the photograph, small, with what was
    found tinted and boxed; the lines are drawn at that size, so they stay sharp."""
    small = shrink(judged, listed_size(judged.image.shape[1:]))
    limit = np.inf if small.map_threshold is None else small.map_threshold
    seen = small.anomaly_map if small.anomaly_map.size else np.zeros(small.image.shape[1:], np.float32)
    return overlay(small.image, seen, limit, small.regions)


def shrink_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average a picture (H, W, 3) down to the size that the list of an inspection has; a smaller one stays."""
    height, width = listed_size(pixels.shape[:2])
    if (height, width) == pixels.shape[:2]:
        return pixels
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small)  # (height, width, 3)


def picture(caption: str, pixels: NDArray[np.uint8]) -> Picture:
    """Put a picture (H, W, 3) into an address."""
    return Picture(caption, data_uri(jpeg(pixels, quality=80)), *pixels.shape[:2])


def black_and_white(caption: str, marked: NDArray) -> Picture:
    """Put a mask (H, W) into an address, white where it is true."""
    return Picture(caption, data_uri(mask_png(marked)), *marked.shape)


def sample_columns(
    sample_reconstructions: SampleReconstructions, *, patches: int = PATCHES, longest: int = PATCH
) -> list[list[Picture]]:
    """Return a column of pictures for the first ``patches`` as they are, then one for each of some numbers of epochs.

    All are on one scale: [0, 1], or up to the brightest patch where that is below an eighth, as of a 12-bit camera's
    images in 16 bits. None is larger than ``longest`` pixels; without a patch there is no column."""
    brightest = float(np.max(sample_reconstructions.patches, initial=0))
    white = brightest if 0 < brightest < 1 / 8 else 1.0
    epochs = sorted(sample_reconstructions.reconstructions)
    ranks = np.linspace(0, len(epochs) - 1, min(len(epochs), COLUMNS - 1)).round().astype(int)
    drawn = [
        ("input", sample_reconstructions.patches),
        *((after(epochs[rank]), sample_reconstructions.reconstructions[epochs[rank]]) for rank in ranks),
    ]
    columns = [
        [_patch_picture(caption, patch, longest, white) for patch in column[:patches]] for caption, column in drawn
    ]
    return [column for column in columns if column]


def split_columns(split: Split, *, longest: int = PATCH) -> list[list[Picture]]:
    """Return a column of pictures each for X, L and S, a row a patch: X and L on the scale [0, 1], S up to its largest
    value."""
    largest = float(np.max(split.s, initial=0)) or 1.0
    drawn = (("X", split.x, 1.0), ("L", split.l, 1.0), ("S", split.s, largest))
    return [[_patch_picture(name, patch, longest, white) for patch in patches] for name, patches, white in drawn]


def _patch_picture(caption: str, patch: NDArray, longest: int, white: float) -> Picture:
    """Make the picture of a patch (C, s, s) of floats, averaged down to ``longest`` pixels where it is larger."""
    share = min(1.0, longest / max(patch.shape[1:]))
    size = (max(1, round(patch.shape[1] * share)), max(1, round(patch.shape[2] * share)))
    return picture(caption, to_rgb8(shrink_image(patch, size, white)))
