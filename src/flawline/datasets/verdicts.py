"""The verdicts of an inspection, a table with its record beside it; versioned."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version
from kedro_datasets._typing import TablePreview

if TYPE_CHECKING:
    import pandas as pd

    from flawline.detector.record import Record


class VerdictsDataset(AbstractVersionedDataset["Record", "pd.DataFrame"]):
    """A CSV file of the very texts that a record's hashes are made of, and beside it what proves it; a table is
    loaded."""

    def __init__(
        self, *, filepath: str, load_args: dict[str, Any] | None = None, version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ):  # fmt: skip
        super().__init__(PurePosixPath(filepath), version)
        self._load_args = load_args or {}
        self.metadata = metadata

    def load(self) -> "pd.DataFrame":
        import pandas as pd

        return pd.read_csv(Path(self._get_load_path()), **self._load_args)

    def save(self, data: "Record") -> None:
        from flawline.detector.record import save_record

        save_record(Path(self._get_save_path()), data)

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first rows as Kedro-Viz shows them."""
        return TablePreview(self.load().head(nrows).to_dict(orient="split"))

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
