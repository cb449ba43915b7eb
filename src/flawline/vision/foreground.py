"""Where the part lies in a photograph, and where the background: the part's pixels, their neighbourhood, and a drawing
of the part alone."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

RING = 0.03  # share of the shorter side: the border from which the background is told
LEAST_BORDER = 1000  # pixels of it, where there are more
CERTAIN = 3.0  # robust standard deviations of the border that the part must differ by
LEAST_LEVELS = 6.0  # grey levels that the part must differ by, at least
NEAR_OTSU = (0.6, 0.8, 1.0, 1.2, 1.4)  # thresholds tried
NEARLY = 0.9  # of the steepest outline: those at other thresholds count from there
MOST = 0.6  # share of the part at Otsu's threshold that another one must keep
BAND = 4  # pixels beside the outline within which a pixel's share is told by its level
SMALLEST = 0.003  # share of the image that a part fills at least
BESIDE = 0.8  # of the part's share of the image: its share of the border is less, or it is a texture, not a part
DUST = 0.1  # of the largest piece: smaller ones are not the part
INK = 128.0  # level of a drawn silhouette
TEXTURE = 0.5  # how strong its texture is beside that
REACH = 0.03  # share of the shorter side: how far the neighbourhood of a part reaches


class Outline(NamedTuple):
    """Where a part's outline is steepest: the distance from the background there, and how that changes from pixel to
    pixel, both in units of Otsu's threshold. That is the same in all photographs of a product."""

    distance: float
    slope: float


def find_outline(grey: NDArray[np.float32]) -> Outline | None:
    """Return the steepest of the outlines that the part in grey levels (H, W) has at thresholds near Otsu's, but for
    those that lose much of it: a soft shadow that the part throws is not the part. None where no part can be told from
    the background.

    It is the mean of those that are nearly as steep, the steeper the more: so a small change does not make it leap."""
    distance, otsu = _distance(grey)
    if otsu == 0:
        return None
    slope = _slope(distance)
    parts = [_whole(distance > otsu * multiple) for multiple in NEAR_OTSU]
    most = MOST * parts[NEAR_OTSU.index(1.0)].sum()
    steepness = np.array([_on_outline(slope, part) if part.sum() >= most else 0.0 for part in parts])
    steepest = float(steepness.max())
    weights = np.maximum(steepness - NEARLY * steepest, 1e-9)
    return Outline(float(np.average(NEAR_OTSU, weights=weights)), max(steepest, 1e-6) / otsu)


def find_foreground(
    grey: NDArray[np.float32], outline: Outline | None = None, *, blocks: int = 1
) -> NDArray[np.float32] | None:
    """Return the share, from 0 to 1, of each block of ``blocks`` x ``blocks`` pixels (H // blocks, W // blocks) that
    the part covers in grey levels (H, W), holes filled; None where no part can be told from the background.

    The background is the plane through the border's pixels; the part is what is far from it, as far as the ``outline``
    of another photograph's part; None: as far as its own."""
    outline = outline or find_outline(grey)
    distance, otsu = _distance(grey)
    if outline is None or otsu == 0:
        return None
    threshold = np.float32(otsu * outline.distance)
    whole = _whole(_block_max(distance, blocks) > threshold)
    share = np.clip((distance - threshold) / np.float32(otsu * outline.slope) + np.float32(0.5), 0, 1)
    share = np.clip(block_mean(share, blocks), ~_grown(~whole, BAND // blocks), _grown(whole, BAND // blocks))
    if share.mean() < SMALLEST or share.ravel()[_border(share.shape)[0]].mean() > BESIDE * share.mean():
        return None
    return share


def neighbourhood(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a part and those around it, so that its outline is seen too."""
    steps = max(2, round(REACH * min(part.shape)))
    return scipy.ndimage.binary_dilation(part, iterations=steps)


def render_foreground(grey: NDArray[np.float32], inside: NDArray[np.float32], blur: float) -> NDArray[np.float32]:
    """Return a drawing (H, W) of the part alone, of which each pixel's share is ``inside`` (H, W): its silhouette,
    which weighs most, with its texture on it.

    The texture is what differs from the part's own levels within ``blur`` pixels; so neither the light, nor a shadow
    beside the part, nor the background is in it."""
    texture = (grey - _shade(grey * inside, inside, blur)) * inside
    count = inside.sum()
    mean = texture.sum() / count
    spread = 2.5 * float(np.sqrt(np.vdot(texture, texture) / count - mean**2)) + 1e-3
    shade = np.clip((texture - mean) / spread, -1, 1)
    return INK * soften(inside) * (1 + TEXTURE * shade)


def block_mean(grey: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Return the means of blocks of ``factor`` x ``factor`` pixels (H // factor, W // factor)."""
    if factor == 1:
        return grey
    height, width = (side // factor * factor for side in grey.shape)
    rows = np.add.reduce([grey[k:height:factor] for k in range(factor)])  # (H // factor, W): of whole rows, the fastest
    return np.add.reduce([rows[:, k:width:factor] for k in range(factor)]) / np.float32(factor**2)


def enlarged(small: NDArray[np.float32], factor: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return levels (H, W) of ``shape`` that lie on the lines between those in the middles of blocks of ``factor``
    pixels each way (h, w); beyond the first and the last block they go on."""
    down, right = (_between(side, blocks, factor) for side, blocks in zip(shape, small.shape, strict=True))
    return (down @ small @ right.T).astype(np.float32)


@lru_cache(maxsize=16)
def _between(length: int, blocks: int, factor: int) -> NDArray[np.float32]:
    """Return the weights (length, blocks) that make values of pixels from those in the middles of blocks of ``factor``
    pixels, by lines between them; the first and the last go on."""
    places = (np.arange(length) + 0.5) / factor - 0.5
    middles = np.eye(blocks)
    return np.stack([np.interp(places, np.arange(blocks), row) for row in middles], axis=1).astype(np.float32)


def soften(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return grey levels (H, W) smoothed by the binomial weights 1 4 6 4 1 each way: a Gaussian of 1 pixel."""
    smooth = np.pad(grey, 2, mode="symmetric")
    for _ in range(4):
        smooth = smooth[1:] + smooth[:-1]
    for _ in range(4):
        smooth = smooth[:, 1:] + smooth[:, :-1]
    return smooth / np.float32(256)


@lru_cache(maxsize=8)
def _border(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the numbers (n,) of pixels along the border of an image of ``shape`` (H, W), counted row by row, and the
    terms of a plane there (3, n). Every fourth will do: they are 2,000 of 256 x 256."""
    wide = max(2, round(RING * min(shape)))
    ring = np.ones(shape, bool)
    ring[wide:-wide, wide:-wide] = False
    places = np.flatnonzero(ring)[:: 4 if ring.sum() > 4 * LEAST_BORDER else 1]
    rows, columns = np.divmod(places, shape[1])
    terms = np.stack([np.ones(len(places)), rows / shape[0], columns / shape[1]])
    return places, terms.astype(np.float32)


def _background(grey: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return the plane (H, W) through the border's pixels, those of a part that touches it left out, and the border's
    robust standard deviation from it."""
    places, terms = _border(grey.shape)
    levels = grey.ravel()[places]
    rest = levels - _median(levels)
    spread = _robust_deviation(rest)
    for _ in range(3):
        kept = terms * (np.abs(rest) <= 4 * spread + 1)  # (3, n)
        plane = np.linalg.solve((kept @ terms.T).astype(np.float64) + 1e-9 * np.eye(3), kept @ levels)
        rest = levels - plane.astype(np.float32) @ terms
        spread = _robust_deviation(rest)
    down, right = (slope * np.arange(side) / side for slope, side in zip(plane[1:], grey.shape, strict=True))
    return (plane[0] + down)[:, None].astype(np.float32) + right.astype(np.float32), spread


def _robust_deviation(rest: NDArray) -> float:
    """Return the standard deviation of normal values with the median of ``rest``'s distances from 0."""
    return 1.4826 * _median(np.abs(rest))


def _median(values: NDArray) -> float:
    """Return the middle one of ``values`` (n,), or the higher of the two: numpy's median takes eight times as long."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def _otsu(distance: NDArray[np.float32]) -> float:
    """Return Otsu's threshold of values (H, W) from 0 up, on 256 steps."""
    from skimage.filters import threshold_otsu

    low, high = float(distance.min()), float(distance.max())
    step = (high - low) / 256
    if step < 1e-6:
        return 0.0
    counts = np.bincount(((distance - low) * np.float32(0.99999 / step)).astype(np.int64).ravel(), minlength=256)
    return float(threshold_otsu(hist=(counts, low + step * (np.arange(256) + 0.5))))


def _distance(grey: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return how far levels (H, W) are from the background, smoothed, and Otsu's threshold of that; 0 where it tells no
    part from the background."""
    background, spread = _background(grey)
    distance = soften(np.abs(grey - background))
    otsu = _otsu(distance)
    return distance, 0.0 if otsu < max(CERTAIN * spread, LEAST_LEVELS) else otsu


def _block_max(grey: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Return the largest levels of blocks of ``factor`` x ``factor`` pixels (H // factor, W // factor): what is thin
    stays whole."""
    if factor == 1:
        return grey
    height, width = (side // factor * factor for side in grey.shape)
    rows = np.maximum.reduce([grey[k:height:factor] for k in range(factor)])
    return np.maximum.reduce([rows[:, k:width:factor] for k in range(factor)])


def _slope(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how steep grey levels (H, W) are at each pixel, levels a pixel, by Sobel's weights."""
    around = np.pad(grey, 1, mode="symmetric")
    sums, steps = around[1:] + around[:-1], around[2:] - around[:-2]
    across, down = sums[1:] + sums[:-1], steps[:, 1:] + steps[:, :-1]
    across, down = across[:, 2:] - across[:, :-2], down[:, 1:] + down[:, :-1]
    return np.sqrt(across**2 + down**2) / np.float32(8)


def _grown(part: NDArray[np.bool_], steps: int = 1) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a part and those up to ``steps`` beside it, each step to four neighbours."""
    for _ in range(steps):
        grown = part.copy()
        grown[1:] |= part[:-1]
        grown[:-1] |= part[1:]
        grown[:, 1:] |= part[:, :-1]
        grown[:, :-1] |= part[:, 1:]
        part = grown
    return part


def _whole(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the part (H, W) with its holes filled, and without its pieces smaller than DUST of the largest one."""
    around, count = scipy.ndimage.label(~part)
    if count > 1:
        outside = np.zeros(count + 1, bool)
        outside[np.concatenate([around[0], around[-1], around[:, 0], around[:, -1]])] = True
        outside[0] = False
        part = ~outside[around]
    pieces, count = scipy.ndimage.label(part)
    if count <= 1:
        return part
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (sizes >= max(1, DUST * sizes.max()))[pieces]


def _on_outline(slope: NDArray[np.float32], part: NDArray[np.bool_]) -> float:
    """Return the mean of ``slope`` (H, W) over the pixels of the part that touch what is outside it."""
    outline = np.flatnonzero(part & _grown(~part))
    return float(slope.ravel()[outline].mean()) if len(outline) else 0.0


def _shade(levels: NDArray[np.float32], weights: NDArray[np.float32], blur: float) -> NDArray[np.float32]:
    """Return the weighted means (H, W) of levels that were multiplied by their ``weights`` (H, W), within ``blur``
    pixels of each.

    They are smooth, so they are made of block means some third as wide as the blur and drawn between them by lines.
    Both steps weigh rows and then columns: they are products with matrices, a tenth of the time of a Gaussian of every
    pixel."""
    factor = max(1, int(blur / 1.2))
    down, right = (_smoothing(side, factor, blur) for side in levels.shape)
    sums, shares = (down @ each @ right.T for each in (levels, weights))
    return enlarged((sums / (shares + 1e-3)).astype(np.float32), factor, levels.shape)


@lru_cache(maxsize=16)
def _smoothing(length: int, factor: int, blur: float) -> NDArray[np.float32]:
    """Return the weights (ceil(length / factor), length) that make the means of blocks of ``factor`` pixels, smoothed
    by a Gaussian of ``blur`` pixels, from values of pixels."""
    pixels = np.pad(np.eye(length), [(0, -length % factor), (0, 0)])
    means = pixels.reshape(-1, factor, length).mean(axis=1)
    return scipy.ndimage.gaussian_filter1d(means, blur / factor, axis=0, truncate=3.0).astype(np.float32)
