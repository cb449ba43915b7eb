"""What an earlier registration stored, so that the same images need not be decoded again."""

from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError

from flawline.checks import FlawlineError
from flawline.datasets.handles import Handle
from flawline.intake.registration import Registered
from flawline.storage.ragged import RaggedArray
from flawline.storage.tensors import read_tensors

# What an earlier registration raises that is missing, cut off or of another version: then all is decoded again.
BROKEN = (OSError, ValueError, KeyError, SafetensorError, FlawlineError)


class KnownRegistrationDataset(Handle):
    """Loads images, masks, alignment and aligner of a category's folder, or None where they are not all there."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Registered | None:
        try:
            images, masks = RaggedArray(self._folder / "images"), RaggedArray(self._folder / "masks")
            texts = {"image": str, "reason": str}
            alignment = pd.read_csv(self._folder / "alignment.csv", dtype=texts, keep_default_na=False)
            aligner, _ = read_tensors(self._folder / "aligner.safetensors")
        except BROKEN:
            return None
        return Registered(images, masks, alignment, aligner)
