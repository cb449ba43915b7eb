"""What a mask marks, to compare by hand."""

import numpy as np


def marked(mask):
    """Return the marked pixels as a set of (x, y)."""
    return {(int(x), int(y)) for y, x in np.argwhere(mask)}


def rectangle(x1, y1, x2, y2):
    """Return the pixels from (x1, y1) to (x2, y2), both included."""
    return {(x, y) for x in range(x1, x2 + 1) for y in range(y1, y2 + 1)}
