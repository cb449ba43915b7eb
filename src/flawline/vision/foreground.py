"""Where the part lies in a photograph, and where the background: the part's pixels, their neighbourhood, and a drawing
of the part alone."""

import numpy as np
import scipy
from numpy.typing import NDArray

SIDE = 256  # pixels of the longer side on which the part is sought, roughly
RING = 0.03  # share of the shorter side: the border from which the background is told
CERTAIN = 3.0  # robust standard deviations of the border that the part must differ by
LEAST_LEVELS = 6.0  # grey levels that the part must differ by, at least
NEAR_OTSU = (0.6, 0.8, 1.0, 1.2, 1.4)  # thresholds tried
MOST = 0.6  # share of the part at Otsu's threshold that another one must keep
SMALLEST = 0.003  # share of the image that a part fills at least
BESIDE = 0.8  # of the part's share of the image: its share of the border is less, or it is a texture, not a part
DUST = 0.1  # of the largest piece: smaller ones are not the part
INK = 128.0  # level of a drawn silhouette
TEXTURE = 0.5  # how strong its texture is beside that
REACH = 0.03  # share of the shorter side: how far the neighbourhood of a part reaches


def find_foreground(grey: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Return the pixels (H, W) of the part in grey levels (H, W), holes filled; None where none can be told from the
    background.

    The background is the plane through the border's pixels; the part is what is far from it. The threshold is Otsu's,
    or one near it where the outline is steeper: a soft shadow that the part throws is not the part."""
    from skimage.filters import threshold_otsu

    factor = max(1, round(max(grey.shape) / SIDE))
    small = block_mean(grey, factor)
    ring = _ring(small.shape)
    background, spread = _background(small, ring)
    distance = scipy.ndimage.gaussian_filter(np.abs(small - background), 1.0)
    threshold = float(threshold_otsu(distance))
    if threshold < max(CERTAIN * spread, LEAST_LEVELS):
        return None
    part = _steepest(distance, threshold)
    if part.mean() < SMALLEST or part[ring].mean() > BESIDE * part.mean():
        return None
    return _blown_up(part, factor, grey.shape)


def neighbourhood(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a part and those around it, so that its outline is seen too."""
    steps = max(2, round(REACH * min(part.shape)))
    return scipy.ndimage.binary_dilation(part, iterations=steps)


def render_foreground(grey: NDArray[np.float32], part: NDArray[np.bool_], blur: float) -> NDArray[np.float32]:
    """Return a drawing (H, W) of the part alone: its silhouette, which weighs most, with its texture on it.

    The texture is what differs from the part's own levels within ``blur`` pixels; so neither the light, nor a shadow
    beside the part, nor the background is in it."""
    inside = part.astype(np.float32)
    around = scipy.ndimage.gaussian_filter(grey * inside, blur) / (scipy.ndimage.gaussian_filter(inside, blur) + 1e-3)
    texture = grey - around
    spread = 2.5 * float(texture[part].std()) + 1e-3
    shade = np.clip((texture - texture[part].mean()) / spread, -1, 1)
    return (INK * scipy.ndimage.gaussian_filter(inside, 1.0) * (1 + TEXTURE * shade)).astype(np.float32)


def block_mean(grey: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Return the means of blocks of ``factor`` x ``factor`` pixels (H // factor, W // factor)."""
    from skimage.measure import block_reduce

    if factor == 1:
        return grey
    height, width = (side // factor * factor for side in grey.shape)
    return block_reduce(grey[:height, :width], factor, np.mean)  # (H // factor, W // factor)


def _ring(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels of an image of ``shape`` (H, W) along its border."""
    wide = max(2, round(RING * min(shape)))
    ring = np.ones(shape, bool)
    ring[wide:-wide, wide:-wide] = False
    return ring


def _background(grey: NDArray[np.float32], ring: NDArray[np.bool_]) -> tuple[NDArray[np.float32], float]:
    """Return the plane (H, W) through the ring's pixels, those of a part that touches it left out, and the ring's
    robust standard deviation from it."""
    rows, columns = np.indices(grey.shape, dtype=np.float32)
    terms = np.stack([np.ones_like(grey), rows / grey.shape[0], columns / grey.shape[1]], axis=-1)  # (H, W, 3)
    points, levels = terms[ring], grey[ring]
    keep = np.abs(levels - np.median(levels)) <= 4 * _robust_deviation(levels - np.median(levels)) + 1
    for _ in range(3):
        plane, *_ = np.linalg.lstsq(points[keep], levels[keep], rcond=None)
        rest = levels - points @ plane
        spread = _robust_deviation(rest)
        keep = np.abs(rest) <= 4 * spread + 1
    return terms @ plane, spread


def _robust_deviation(rest: NDArray) -> float:
    """Return the standard deviation of normal values with the median of ``rest``'s distances from 0."""
    return 1.4826 * float(np.median(np.abs(rest)))


def _steepest(distance: NDArray, otsu: float) -> NDArray[np.bool_]:
    """Return the part whose outline is steepest, among those at thresholds near Otsu's that keep most of its part."""
    slope = scipy.ndimage.gaussian_gradient_magnitude(distance, 0.7)
    parts = [_without_dust(scipy.ndimage.binary_fill_holes(distance > otsu * factor)) for factor in NEAR_OTSU]
    whole = parts[NEAR_OTSU.index(1.0)].sum()
    return max((part for part in parts if part.sum() >= MOST * whole), key=lambda part: _on_outline(slope, part))


def _on_outline(slope: NDArray, part: NDArray[np.bool_]) -> float:
    """Return the mean of ``slope`` (H, W) over the pixels of the part that touch what is outside it."""
    outline = part & ~scipy.ndimage.binary_erosion(part, border_value=1)
    return float(slope[outline].mean()) if outline.any() else 0.0


def _without_dust(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the part (H, W) without its pieces smaller than DUST of the largest one."""
    pieces, count = scipy.ndimage.label(part)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    return (sizes >= max(1, DUST * sizes.max()))[pieces]


def _blown_up(part: NDArray[np.bool_], factor: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Upsample the foreground mask ``part`` (h, w) by the integer ``factor`` to ``shape`` (H, W); the last rows and
    columns are repeated to fill it."""
    if factor == 1:
        return part
    large = part.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.pad(large, [(0, whole - there) for whole, there in zip(shape, large.shape, strict=True)], mode="edge")
