"""The raw folder: the user's own photographs, read in place, or an embedded example drawn into data/01_raw."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from PIL import Image

from flawline.checks import FlawlineError
from flawline.vision.examples import ExampleImage
from flawline.vision.ragged import replace_folder

MARKER = ".example.json"


class RawFolderDataset(AbstractDataset[Iterable[ExampleImage], Path]):
    """Loads the folder's path. Saving no images leaves it alone; saving example images draws them, layout 'mvtec'.

    A folder that was not drawn by this dataset is never overwritten."""

    stamped = False  # it is the user's: nothing is ever written beside it

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        return self._folder

    def save(self, data: Iterable[ExampleImage]) -> None:
        images = list(data)
        if not images:
            return
        if self._folder.exists() and not (self._folder / MARKER).is_file():
            raise FlawlineError(
                f"{self._folder} holds images that are not the embedded example of that name. Give your own images "
                f"another name (--params category=NAME), or move the folder away."
            )
        partial = self._folder.with_name(self._folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        digests = [_write(partial, image) for image in images]
        (partial / MARKER).write_text(json.dumps({"images": len(digests), "sha256": digests}))
        replace_folder(partial, self._folder)

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder)}


def _write(folder: Path, example: ExampleImage) -> str:
    path = folder / example.split / example.defect / f"{example.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(example.image[0]).save(path)
    if example.mask is not None:
        mask = folder / "ground_truth" / example.defect / f"{example.name}_mask.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(example.mask).save(mask)
    return hashlib.sha256(path.read_bytes()).hexdigest()
