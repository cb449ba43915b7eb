"""Arrays kept on disk for as long as a piece of work goes on."""

import math
import tempfile
import threading
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError


class Spill:
    """Arrays by name in a temporary file, which is gone with them: they take disk instead of memory. Several threads
    can use it at once."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # open as long as the arrays are wanted
        self._lock = threading.Lock()  # the file has one position for all
        self._places: dict[Hashable, tuple[int, np.dtype, tuple[int, ...]]] = {}

    def __contains__(self, name: Hashable) -> bool:
        return name in self._places

    def __setitem__(self, name: Hashable, array: NDArray) -> None:
        """Keep an array; raise FlawlineError if the disk is full."""
        left = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        with self._lock:
            start = self._file.seek(0, 2)
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError as error:
                self._file.truncate(start)
                raise FlawlineError(
                    f"{array.nbytes / 1e6:.0f} MB do not fit into the temporary folder {tempfile.gettempdir()}, which "
                    f"has {start / 1e6:.0f} MB of this work already ({error}). Free space there, or name another in "
                    f"TMPDIR."
                ) from None
            self._places[name] = (start, array.dtype, array.shape)

    def __getitem__(self, name: Hashable) -> NDArray:
        """Return an array, mapped into memory, that cannot be changed; raise KeyError if there is none of that
        name."""
        start, kind, shape = self._places[name]
        if math.prod(shape) == 0:
            return np.zeros(shape, kind)
        with self._lock:
            return np.memmap(self._file, kind, "r", offset=start, shape=shape)
