"""What an earlier registration stored, so that the same images need not be decoded again."""

from pathlib import Path
from typing import Any

import pandas as pd

from flawline.checks import FlawlineError
from flawline.datasets.handles import Handle
from flawline.vision.ragged import RaggedArray
from flawline.vision.registration import Registered


class KnownRegistrationDataset(Handle):
    """Loads images, masks and alignment of a category's folder, or None where they are not all there."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Registered | None:
        try:
            images, masks = RaggedArray(self._folder / "images"), RaggedArray(self._folder / "masks")
            alignment = pd.read_csv(self._folder / "alignment.csv", dtype={"image": str}, keep_default_na=False)
        except (OSError, ValueError, KeyError, FlawlineError):  # missing, cut off, of another version: decode again
            return None
        return Registered(images, masks, alignment)
