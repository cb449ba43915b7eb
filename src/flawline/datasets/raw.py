"""The raw folder: the user's own photographs, read in place, or an embedded example drawn into data/01_raw."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kedro.io import AbstractDataset
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_shape
from flawline.storage.digests import file_digest
from flawline.storage.ragged import writing_folder

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from flawline.intake.examples import ExampleImage

MARKER = ".example.json"


class RawFolderDataset(AbstractDataset["Iterable[ExampleImage]", Path]):
    """Loads the folder's path. Saving no images leaves it alone; saving example images draws them, layout 'mvtec'.

    Images are taken and written one by one: an iterator that draws them needs the memory of one.
    A folder with any file that this dataset did not draw is never overwritten."""

    stamped = False  # it is the user's: nothing is ever written beside it

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        return self._folder

    def save(self, data: "Iterable[ExampleImage]") -> None:
        images = iter(data)
        image = next(images, None)
        if image is None:
            return
        foreign = _digests(self._folder).items() - _drawn(self._folder).items()
        if foreign:
            raise FlawlineError(
                f"{self._folder} holds images that are not the embedded example of that name (for one "
                f"{min(foreign)[0]}). Give your own images another name (--params "
                f"category=NAME), or move the folder away."
            )
        with writing_folder(self._folder) as partial:
            while image is not None:
                _write(partial, image)
                del image  # or there are two while the next is drawn
                image = next(images, None)
            (partial / MARKER).write_text(json.dumps(_digests(partial), indent=1))

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder)}


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of ``folder`` but the marker, by path."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}


def _drawn(folder: Path) -> dict[str, str]:
    """Return what the marker says this dataset drew: the SHA-256 of each file, by path."""
    try:
        drawn = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return {path: str(digest) for path, digest in drawn.items()} if isinstance(drawn, dict) else {}


def _write(folder: Path, example: "ExampleImage") -> None:
    from PIL import Image

    path = folder / example.split / example.defect / f"{example.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    _to_picture(example.image).save(path)
    if example.mask is not None:
        mask = folder / "ground_truth" / example.defect / f"{example.name}_mask.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(example.mask).save(mask)


def _to_picture(image: NDArray[np.uint8]) -> "Picture":
    from PIL import Image

    check_shape("image", image, ("C", "H", "W"))
    if image.dtype != np.uint8 or len(image) not in (1, 3):
        raise FlawlineError(f"image must be uint8 with 1 or 3 channels, got {image.dtype} with {len(image)}")
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(np.moveaxis(image, 0, 2)))
