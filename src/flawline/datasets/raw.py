"""The raw folder: the user's own photographs, read in place, or an embedded example drawn into data/01_raw."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from PIL import Image

from flawline.checks import FlawlineError
from flawline.vision.examples import ExampleImage
from flawline.vision.ragged import writing_folder

MARKER = ".example.json"


class RawFolderDataset(AbstractDataset[Iterable[ExampleImage], Path]):
    """Loads the folder's path. Saving no images leaves it alone; saving example images draws them, layout 'mvtec'.

    A folder with any file that this dataset did not draw is never overwritten."""

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
        foreign = _digests(self._folder).items() - _drawn(self._folder).items()
        if foreign:
            raise FlawlineError(
                f"{self._folder} holds images that are not the embedded example of that name (for one "
                f"{min(foreign)[0]}). Give your own images another name (--params "
                f"category=NAME), or move the folder away."
            )
        with writing_folder(self._folder) as partial:
            for image in images:
                _write(partial, image)
            (partial / MARKER).write_text(json.dumps(_digests(partial), indent=1))

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder)}


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of ``folder`` but the marker, by path."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _drawn(folder: Path) -> dict[str, str]:
    """Return what the marker says this dataset drew: the SHA-256 of each file, by path."""
    try:
        drawn = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return {path: str(digest) for path, digest in drawn.items()} if isinstance(drawn, dict) else {}


def _write(folder: Path, example: ExampleImage) -> None:
    path = folder / example.split / example.defect / f"{example.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(example.image[0]).save(path)
    if example.mask is not None:
        mask = folder / "ground_truth" / example.defect / f"{example.name}_mask.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(example.mask).save(mask)
