"""The regions of an anomaly map: connected pixels above a threshold, which say where the flaws are."""

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_range, check_shape

EIGHT = np.ones((3, 3), bool)  # neighbours that connect: corners too


@dataclass(frozen=True)
class Region:
    """A region's bounding box, from its top left pixel (y, x), its area and its largest map value. Pixels."""

    y: int
    x: int
    height: int
    width: int
    area: int
    peak: float


def find_regions(
    anomaly_map: NDArray, threshold: float, *, min_area: float = 0.0, ignore: NDArray[np.bool_] | None = None
) -> list[Region]:
    """Return the 8-connected regions of ``anomaly_map`` (H, W) larger than ``threshold``, the largest area first.

    Pixels where ``ignore`` (H, W) is True are left out, and so are regions of fewer than ``min_area`` pixels. Raises
    FlawlineError for NaN in the map or the threshold (no region would pass for no flaw), shapes that differ, a mask
    that is not bool, or a negative ``min_area``."""
    check_inputs(anomaly_map, threshold, ignore)
    check_range("min_area", min_area, low=0)
    above = pixels_above(anomaly_map, threshold, ignore)
    if not above.any():
        return []
    # regionprops takes a tenth of a millisecond a region, and a noisy map has thousands.
    labels, regions = scipy.ndimage.label(above, EIGHT)  # (H, W)
    ids = labels[above]  # (n,)
    areas, peaks = np.bincount(ids), np.full(regions + 1, -np.inf)
    np.maximum.at(peaks, ids, anomaly_map[above])
    boxes = enumerate(scipy.ndimage.find_objects(labels), start=1)
    found = [boxed(box, int(areas[i]), float(peaks[i])) for i, box in boxes if areas[i] >= min_area]
    return sorted(found, key=lambda region: -region.area)


def small_regions(
    anomaly_map: NDArray, threshold: float, *, min_area: float, ignore: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of the regions that `find_regions` leaves out: those of fewer than ``min_area``
    pixels."""
    check_inputs(anomaly_map, threshold, ignore)
    labels, _ = scipy.ndimage.label(pixels_above(anomaly_map, threshold, ignore), EIGHT)  # (H, W)
    small = np.bincount(labels.ravel()) < min_area
    small[0] = False  # what is in no region
    return small[labels]


def pixels_above(anomaly_map: NDArray, threshold: float, ignore: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Return which pixels (H, W) are larger than ``threshold`` and not ignored."""
    above = anomaly_map > np.float64(threshold)  # a plain float would be rounded to the map's float16 first
    return above if ignore is None else above & ~ignore


def boxed(box: tuple[slice, ...], area: int, peak: float) -> Region:
    """Return the region within ``box``, its slices of rows and columns."""
    rows, columns = box
    return Region(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start, area, peak)


def placed(region: Region, pixels: NDArray[np.int64]) -> Region:
    """Return a region with the box around the ``pixels`` (n, 2) of another picture that show it, at least one."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    (y, x), (height, width) = low.tolist(), (high - low + 1).tolist()
    return replace(region, y=y, x=x, height=height, width=width)


def points_of(region: Region, anomaly_map: NDArray, threshold: float) -> NDArray[np.int64]:
    """Return the pixels (n, 2) above ``threshold`` in the box of a region of ``anomaly_map`` (H, W)."""
    rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
    return np.argwhere(pixels_above(anomaly_map[rows, columns], threshold, None)) + np.array([region.y, region.x])


def check_inputs(anomaly_map: NDArray, threshold: float, ignore: NDArray | None) -> None:
    """Raise FlawlineError for shapes that differ, ``ignore`` not bool, or NaN in the map or the threshold."""
    check_shape("anomaly_map", anomaly_map, ("H", "W"))
    if ignore is not None and ignore.shape != anomaly_map.shape:
        raise FlawlineError(f"ignore must have the shape of anomaly_map, {anomaly_map.shape}, got {ignore.shape}")
    if ignore is not None and ignore.dtype != np.bool_:
        raise FlawlineError(f"ignore must be bool, got {ignore.dtype}")
    if math.isnan(threshold):
        raise FlawlineError("threshold must be a number, got nan")
    if bad := int(np.isnan(anomaly_map).sum()):
        raise FlawlineError(f"anomaly_map must hold numbers, got {bad} of {anomaly_map.size} pixels that are NaN")
