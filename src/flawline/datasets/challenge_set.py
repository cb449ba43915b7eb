"""The challenge set of a category, and what detectors of that category learn from."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from flawline.datasets.handles import Handle

if TYPE_CHECKING:
    from flawline.detector.challenge_set import Addition, ChallengeSet


class ChallengeSetDataset(AbstractDataset["Iterable[Addition]", "ChallengeSet"]):
    """A folder of images and a table of them. Saving takes images in, and leaves those that are there."""

    stamped = False  # a person may add to it and take from it

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> "ChallengeSet":
        from flawline.detector.challenge_set import read_challenge_set

        return read_challenge_set(self._folder)

    def save(self, data: "Iterable[Addition]") -> None:
        from flawline.detector.challenge_set import add_challenges

        add_challenges(self._folder, data)

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder)}


class LearnedDataset(Handle):
    """Loads the SHA-256 of the files that a manifest gives to training, validation and calibration; none where there
    is no manifest, as where the detector alone was brought to."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> frozenset[str]:
        if not self._path.is_file():
            return frozenset()
        import pandas as pd

        from flawline.intake.splits import LEARNED

        rows = pd.read_csv(self._path, usecols=["split", "sha256"], dtype=str)
        return frozenset(rows.loc[rows["split"].isin(LEARNED), "sha256"])

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class KeptImagesDataset(AbstractDataset["Iterable[Addition]", Path]):
    """A folder of image files, each called by its digest and its name. Saving adds to those that are there; the
    folder's path is loaded."""

    stamped = False  # a person takes from it

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        return self._folder

    def save(self, data: "Iterable[Addition]") -> None:
        from flawline.detector.challenge_set import keep_file

        for each in data:
            keep_file(self._folder, each.source, each.challenge)

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder)}
