"""A raw folder to fill and to list."""

from pathlib import Path

import pytest
from base_params import BASE

from flawline.intake.layouts import RawFile, detect_layout, list_raw_folder
from flawline.intake.notes import Note

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"


class RawFolder:
    def __init__(self, path: Path):
        self.path = path

    def touch(self, *paths: str) -> None:
        """Make empty files."""
        for path in paths:
            self.write(path, b"")

    def write(self, path: str, content: str | bytes) -> None:
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def list(self, category: str = "", **params) -> list[RawFile]:
        return list_raw_folder(self.path, BASE.ingestion.but(**params), category=category).files

    def notes(self, category: str = "", **params) -> tuple[Note, ...]:
        """Return what is said of the folder."""
        return tuple(list_raw_folder(self.path, BASE.ingestion.but(**params), category=category).notes)

    def detect(self, **params) -> str:
        return detect_layout(self.path, BASE.ingestion.but(**params))

    def files(self, category: str = "", **params) -> dict[str, RawFile]:
        """Return the listed files by path."""
        files = self.list(category, **params)
        assert len({file.path for file in files}) == len(files)
        return {file.path: file for file in files}

    def unusable(self, category: str = "", **params) -> dict[str, str]:
        """Return why files cannot be used, by path."""
        return {file.path: file.unusable for file in self.list(category, **params) if file.unusable}


@pytest.fixture
def raw(tmp_path) -> RawFolder:
    return RawFolder(tmp_path)


@pytest.fixture
def real_data():
    """A function from the name of a data set to its raw folder."""
    return lambda name: RawFolder(REAL_DATA / name)
