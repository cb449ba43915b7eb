"""How things are timed, and the rows of the table."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from flawline.conf import read_parameters

PROJECT = Path(__file__).parents[2]
BASE = read_parameters(PROJECT)


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, how fast, the floor (what the machine can do), the share of it."""

    what: str
    absolute: str
    floor: str = ""
    share: float | None = None

    def __str__(self) -> str:
        share = "" if self.share is None else f"{100 * self.share:.0f} %"
        return f"{self.what:<62} {self.absolute:>22} {self.floor:>18} {share:>7}"


def seconds(work: Callable[[], object], *, least: float = 0.5) -> float:
    """Return the seconds of the fastest call of ``work``, called until ``least`` seconds are over, at least twice."""
    work()
    took: list[float] = []
    end = time.perf_counter() + least
    while len(took) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def matmul_rate(dtype: torch.dtype, *, side: int = 1024) -> float:
    """Return the FLOP/s of a square matrix product with the threads that torch uses now."""
    a, b = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    out = torch.empty(side, side, dtype=dtype)
    return 2 * side**3 / seconds(lambda: torch.mm(a, b, out=out))


def copy_rate(count: int) -> float:
    """Return the bytes/s that copying ``count`` bytes moves, read and write counted once each."""
    source, target = np.ones(count, np.uint8), np.empty(count, np.uint8)
    return 2 * count / seconds(lambda: np.copyto(target, source))
