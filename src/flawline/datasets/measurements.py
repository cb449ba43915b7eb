"""What ingestion measured of every file, so that an unchanged one need not be decoded again."""

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from flawline.datasets.handles import Handle
from flawline.storage.ragged import RaggedArray, write_ragged, writing_folder

if TYPE_CHECKING:
    from flawline.intake.measuring import Measurements

TABLE, THUMBNAILS, KEY = "table.parquet", "thumbnails", "key.json"


def read_measurements(folder: Path) -> "Measurements":
    """Read what ``MeasurementsDataset`` saved; thumbnails are mapped, not read."""
    import pandas as pd

    from flawline.intake.measuring import Measurements

    key = json.loads((folder / KEY).read_text())["key"]
    return Measurements(pd.read_parquet(folder / TABLE), RaggedArray(folder / THUMBNAILS), key)


class MeasurementsDataset(AbstractDataset["Measurements", "Measurements"]):
    """One folder with the table, the memory-mapped thumbnails and what they were decoded with."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = PurePosixPath(filepath)
        self.metadata = metadata

    def load(self) -> "Measurements":
        return read_measurements(Path(self._filepath))

    def save(self, data: "Measurements") -> None:
        with writing_folder(Path(self._filepath)) as partial:
            data.table.to_parquet(partial / TABLE, index=False)
            write_ragged(partial / THUMBNAILS, data.thumbnails)
            (partial / KEY).write_text(json.dumps({"key": data.key}))

    def _exists(self) -> bool:
        return (Path(self._filepath) / KEY).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class KnownMeasurementsDataset(Handle):
    """Loads what an earlier ingestion measured, or None where there is nothing whole."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Measurements | None":
        from flawline.intake.measuring import COLUMNS

        try:
            known = read_measurements(self._folder)
        except (OSError, ValueError, KeyError, TypeError):  # the file is missing, cut off or of another version
            return None
        whole = list(known.table.columns) == COLUMNS and len(known.table) == len(known.thumbnails)
        return known if whole else None
