"""What unfinished work has made so far, on disk: whole or not at all, and never taken up by work it does not belong
to."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from flawline.storage.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

KEY = "key"


class UnfinishedFile:
    """One safetensors file, replaced with every step; its ``key`` is a digest of everything that shapes the work."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def read(self, key: str) -> "tuple[dict[str, Tensor], dict[str, Any]] | None":
        """Return the tensors and the rest of what was written, if that is whole and its key is ``key``; a file of other
        work is left alone."""
        with contextlib.suppress(FileNotFoundError, SafetensorError):
            tensors, meta = read_tensors(self.path)
            if meta.pop(KEY, None) == key:
                return tensors, meta
        return None

    def write(self, key: str, tensors: "Mapping[str, Tensor]", meta: Mapping[str, Any]) -> None:
        write_tensors(self.path, tensors, {KEY: key, **meta})

    def clear(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
