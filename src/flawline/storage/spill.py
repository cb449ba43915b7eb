"""Arrays kept on disk for as long as a piece of work goes on."""

import math
import tempfile
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray


class Spill:
    """Arrays by name in a temporary file, which is gone with them: they take disk instead of memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # open as long as the arrays are wanted
        self._places: dict[Hashable, tuple[int, np.dtype, tuple[int, ...]]] = {}

    def __contains__(self, name: Hashable) -> bool:
        return name in self._places

    def __setitem__(self, name: Hashable, array: NDArray) -> None:
        start = self._file.seek(0, 2)
        np.ascontiguousarray(array).tofile(self._file)
        self._places[name] = (start, array.dtype, array.shape)

    def __getitem__(self, name: Hashable) -> NDArray:
        """Return a copy of an array; raise KeyError if there is none of that name."""
        start, kind, shape = self._places[name]
        self._file.seek(start)
        return np.fromfile(self._file, kind, math.prod(shape)).reshape(shape)
