"""A folder of pictures for people, versioned."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version
from numpy.typing import NDArray

from flawline.storage.ragged import writing_folder

Pictures = Mapping[str, Callable[[], NDArray]]  # name -> a function that makes (H, W, 3) uint8
LONGEST = 255  # bytes of a file's name


class PictureFolderDataset(AbstractVersionedDataset[Pictures, list[Path]]):
    """Saves pictures one at a time as PNG files below one folder; loads the list of their paths."""

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> list[Path]:
        return sorted(Path(self._get_load_path()).rglob("*.png"))

    def save(self, data: Pictures) -> None:
        from PIL import Image

        with writing_folder(Path(self._get_save_path())) as partial:
            for name, make in data.items():
                path = partial / _file_name(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(make()).save(path)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


def _file_name(name: str) -> PurePosixPath:
    """Return NAME.png, or a digest where the file system would refuse that as too long."""
    path = PurePosixPath(f"{name}.png")
    if len(path.name.encode()) <= LONGEST:
        return path
    return path.with_name(f"{hashlib.sha256(name.encode()).hexdigest()}.png")
