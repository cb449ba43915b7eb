"""The material in a strip: the columns without the bare, bright background at an end and the selvedge beside it.

Made for line-scan strips of fabric in front of a bright background (AITEX). Columns are judged by the median of their
pixels, so that a flaw, which covers few rows or lies away from the ends, is never taken for background."""

import numpy as np
from numpy.typing import NDArray

from flawline.vision.levels import grey_levels

BRIGHTER = 1.6  # times the material's level: background
SPECKLED = 0.02  # share of a column's pixels that may be as bright as background where the edge is wavy
REACH = 96  # pixels beside a bare end in which a wavy edge and a selvedge may lie
DEVIATES = 4.0  # robust standard deviations from the material's level that make a column selvedge
LEAST_SPREAD = 2.0  # grey levels
MATERIAL = 25  # percent of the columns, the darkest, that are material in any strip


def material_span(image: NDArray) -> tuple[int, int]:
    """Return the columns (first, past the last) of ``image`` (C, H, W) that show material; all where no end is bare."""
    grey = grey_levels(image)  # (H, W)
    columns = np.median(grey, axis=0)  # (W,)
    level = float(np.percentile(columns, MATERIAL))
    left = _end(grey, columns, level)
    right = _end(grey[:, ::-1], columns[::-1], level)
    return (left, grey.shape[1] - right) if left + right < grey.shape[1] else (0, grey.shape[1])


def _end(grey: NDArray[np.float32], columns: NDArray, level: float) -> int:
    """Return how many columns at the left end are background or selvedge."""
    bare = _bare_columns(grey, columns, level)
    return bare + _selvedge_columns(columns[bare:]) if bare else 0


def _bare_columns(grey: NDArray[np.float32], columns: NDArray, level: float) -> int:
    """Return the length of the run of bright columns at the left end, the wavy edge of the material included.

    An edge that does not end within REACH is none: a bright flaw runs into it."""
    run = _first(columns <= BRIGHTER * level)
    if not run:
        return 0
    halfway = (level + float(np.median(columns[:run]))) / 2
    wavy = (grey[:, run : run + REACH] > halfway).mean(axis=0) > SPECKLED
    return run if wavy.all() else run + _first(~wavy)


def _selvedge_columns(columns: NDArray) -> int:
    """Return the columns up to the last within REACH that is far from the level of the material behind it."""
    behind = columns[REACH : 3 * REACH]
    if not len(behind):
        return 0
    level = np.median(behind)
    spread = max(1.4826 * float(np.median(np.abs(behind - level))), LEAST_SPREAD)
    deviant = np.flatnonzero(np.abs(columns[:REACH] - level) > DEVIATES * spread)
    return int(deviant[-1]) + 1 if len(deviant) else 0


def _first(true: NDArray[np.bool_]) -> int:
    """Return the index of the first True, the length if there is none."""
    return int(np.argmax(true)) if true.any() else len(true)
