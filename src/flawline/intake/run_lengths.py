"""Run-length encoded masks (RLE) as COCO writes them: the lengths of runs of unmarked and marked pixels in turn, column
by column.

pycocotools decodes them too, but does not check that the runs fill the image: where they end early it returns memory
that nobody has written, so a broken file would get an arbitrary mask."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST = ord("0")  # the character of value 0
WIDEST = 35  # bits of a count: no image has as many pixels
MOST_PIXELS = 1_000_000_000  # of an image whose mask is made before its file is seen


def run_lengths(counts: Any, size: tuple[int, int]) -> tuple[int, ...]:
    """Return the runs that ``counts`` (a list, or a string in COCO's compressed form) holds for an image of ``size``
    (h, w). Raise ValueError if they are none, or do not fill the image."""
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise ValueError(f"wanted the lengths of runs, got {str(counts)[:60]}")
    if sum(runs) != size[0] * size[1]:
        raise ValueError(f"a run-length mask of {sum(runs)} pixels for an image of {size[0]} x {size[1]}")
    return tuple(runs)


def marked_by_runs(runs: tuple[int, ...], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the marked pixels (H, W) of an image of ``size`` (h, w); the first run is unmarked."""
    columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # (W * H,)
    return columns.reshape(size, order="F")  # (H, W)


def runs_of(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the runs of a mask (H, W): the opposite of ``marked_by_runs``."""
    columns = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(columns)) + 1
    lengths = np.diff(np.concatenate([[0], ends, [columns.size]])).tolist()
    return tuple([0, *lengths] if columns.size and columns[0] else lengths)


def _decompressed(text: str) -> list[int]:
    """Return the runs of COCO's compressed form.

    A character holds five bits of a number, the lowest first; its sixth bit says that more follow, and the highest of
    the last five is the sign. From the fourth on, a number is the difference to the run two before."""
    runs: list[int] = []
    value = shift = 0
    for bits in (ord(character) - FIRST for character in text):
        if not 0 <= bits < 64 or shift > WIDEST:
            raise ValueError(f"wanted a compressed run-length mask, got {text[:60]}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        signed = value - (1 << shift) if bits & 16 else value
        runs.append(signed + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError(f"the compressed run-length mask {text[:60]} ends within a number")
    return runs
