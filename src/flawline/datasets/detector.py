"""The finished detector, versioned."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version

if TYPE_CHECKING:
    from flawline.detector.file import Detector


class DetectorDataset(AbstractVersionedDataset["Detector", "Detector"]):
    """A ``Detector`` in one safetensors file; every save is a version of its own."""

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> "Detector":
        from flawline.detector.file import load_detector

        path = Path(self._get_load_path())
        return load_detector(path, version=path.parent.name if self._version else "")

    def save(self, data: "Detector") -> None:
        from flawline.detector.file import save_detector

        save_detector(Path(self._get_save_path()), data)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
