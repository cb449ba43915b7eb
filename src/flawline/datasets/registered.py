"""What an earlier registration stored, so that the same images need not be decoded again."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flawline.checks import FlawlineError
from flawline.datasets.handles import Handle
from flawline.storage.ragged import RaggedArray

if TYPE_CHECKING:
    from flawline.intake.registration import Registered


class KnownRegistrationDataset(Handle):
    """Loads images, masks, alignment and aligner of a category's folder, or None where they are not all there."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Registered | None":
        import pandas as pd
        from safetensors import SafetensorError

        from flawline.intake.registration import Registered
        from flawline.storage.tensors import read_tensors

        try:
            images, masks = RaggedArray(self._folder / "images"), RaggedArray(self._folder / "masks")
            texts = {"image": str, "reason": str}
            alignment = pd.read_csv(self._folder / "alignment.csv", dtype=texts, keep_default_na=False)
            aligner, _ = read_tensors(self._folder / "aligner.safetensors")
        # missing, cut off or of another version: then all is decoded again
        except (OSError, ValueError, KeyError, SafetensorError, FlawlineError):
            return None
        return Registered(images, masks, alignment, aligner)
