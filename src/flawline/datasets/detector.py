"""Finished detectors: those of the catalog, versioned, and those that MLflow keeps."""

from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version

from flawline.datasets.handles import Handle
from flawline.datasets.model_registry import (
    KEPT,
    alias_of,
    fetched,
    is_of_catalog,
    pinned,
    read_registered,
    registered_name,
    version_to_promote,
)

if TYPE_CHECKING:
    from flawline.detector.file import Detector


class FetchedDetector:
    """A detector of MLflow's: what it is called there is asked once, so that it is the same for all who load it."""

    def __init__(self, uri: str, folder: Path, category: str, method: str):
        self._uri, self._folder, self._of = uri, folder, (category, method)

    @cached_property
    def _path(self) -> Path:
        return fetched(self._uri, self._folder, name=registered_name(*self._of))

    def read(self) -> "Detector":
        return read_registered(self._uri, self._path, *self._of)


class DetectorDataset(AbstractVersionedDataset["Detector", "Detector"]):
    """A ``Detector`` in one safetensors file; every save is a version of its own.

    ``given`` names the one to load: a version of the catalog, or what `flawline.datasets.model_registry` knows of
    MLflow's, which must be ``of`` that category and method."""

    def __init__(
        self, *, filepath: str, given: str | None = None, of: dict[str, Any] | None = None,
        version: Version | None = None, metadata: dict[str, Any] | None = None,
    ):  # fmt: skip
        if version is not None and given is not None and is_of_catalog(given):
            version = Version(given, version.save)
        super().__init__(PurePosixPath(filepath), version)
        self.given, self._of, self.metadata = given, of or {}, metadata

    @property
    def stamped(self) -> bool:
        """Whether what is loaded has a stamp: of the catalog's versions each has one."""
        return self.given is None or is_of_catalog(self.given)

    def settle(self) -> None:
        """Find the detector now, if it is MLflow's. Raise FlawlineError if it is not there, or another is wanted."""
        if not self.stamped:
            self._fetched.read()

    @cached_property
    def _fetched(self) -> FetchedDetector:
        category, method = str(self._of["category"]), str(self._of["method"])
        uri = pinned(str(self.given), category, method)
        return FetchedDetector(uri, Path(self._filepath).parent / KEPT, category, method)

    def load(self) -> "Detector":
        from flawline.detector.file import load_detector

        if not self.stamped:
            return self._fetched.read()
        path = Path(self._get_load_path())
        return load_detector(path, version=path.parent.name if self._version else "")

    def save(self, data: "Detector") -> None:
        from flawline.detector.file import save_detector

        save_detector(Path(self._get_save_path()), data)

    def _exists(self) -> bool:
        return not self.stamped or Path(self._get_load_path()).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version, "given": self.given}


class RegisteredDetectorDataset(Handle):
    """Loads a detector that is registered for a category and method, as it is kept in the folder ``filepath``: the
    version of an ``alias``, None where it names none; without one the version that is ``given``, else the newest."""

    def __init__(
        self, *, filepath: str, of: dict[str, Any], given: str | None = None, alias: str | None = None,
        metadata: dict[str, Any] | None = None,
    ):  # fmt: skip
        self._folder, self._of = Path(filepath), (str(of["category"]), str(of["method"]))
        self._given, self._alias, self.metadata = given, alias, metadata

    def settle(self) -> None:
        """Find the detector now. Raise FlawlineError if it is not there."""
        if self._fetched is not None:
            self._fetched.read()

    @cached_property
    def _fetched(self) -> FetchedDetector | None:
        uri = (
            alias_of(self._alias, registered_name(*self._of))
            if self._alias
            else version_to_promote(self._given, *self._of)
        )
        return None if uri is None else FetchedDetector(uri, self._folder, *self._of)

    def load(self) -> "Detector | None":
        return None if self._fetched is None else self._fetched.read()

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder), "given": self._given, "alias": self._alias}
