"""Images, masks and maps of any sizes, memory-mapped."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset
from numpy.typing import NDArray

from flawline.storage.ragged import INDEX, RaggedArray, write_ragged


class RaggedDataset(AbstractDataset[Iterable[NDArray], RaggedArray]):
    """Saves any iterable of arrays, one at a time; loads a read-only ``RaggedArray`` that reads nothing until asked."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = PurePosixPath(filepath)
        self.metadata = metadata

    def load(self) -> RaggedArray:
        return RaggedArray(Path(self._filepath))

    def save(self, data: Iterable[NDArray]) -> None:
        """Write ``data``; nothing if it is what is stored here already."""
        if isinstance(data, RaggedArray) and data.folder == Path(self._filepath):
            return
        write_ragged(Path(self._filepath), data)

    def _exists(self) -> bool:
        return (Path(self._filepath) / INDEX).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
