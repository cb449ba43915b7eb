"""An inspection of new images: maps, verdicts and pictures, written as they are made; versioned."""

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version

from flawline.storage.digests import content_digest
from flawline.storage.ragged import INDEX, Noted, RaggedArray, write_ragged, writing_folder

if TYPE_CHECKING:
    from flawline.detector.inspecting import Inspected, Inspection

MAPS, PICTURES, NAMES = "maps", "pictures", "pictures.json"
LONGEST = 255  # bytes of a file's name


class InspectedDataset(AbstractVersionedDataset["Iterable[Inspected]", "Inspection"]):
    """One folder: the maps with their rows of the verdicts, and below ``pictures`` a PNG file for each judged image."""

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> "Inspection":
        from flawline.detector.inspecting import Inspection

        folder = Path(self._get_load_path())
        names = json.loads((folder / NAMES).read_text(encoding="utf-8"))
        return Inspection(RaggedArray(folder / MAPS), {name: folder / PICTURES / file for name, file in names.items()})

    def save(self, data: "Iterable[Inspected]") -> None:
        with writing_folder(Path(self._get_save_path())) as partial:
            names: dict[str, str] = {}
            write_ragged(partial / MAPS, _storing_pictures(data, partial / PICTURES, names))
            (partial / PICTURES).mkdir(exist_ok=True)
            (partial / NAMES).write_text(json.dumps(names), encoding="utf-8")

    def _exists(self) -> bool:
        return (Path(self._get_load_path()) / MAPS / INDEX).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


def _storing_pictures(items: "Iterable[Inspected]", folder: Path, names: dict[str, str]) -> Iterator[Noted]:
    """Yield the maps with their rows; on the way write each picture below ``folder`` and put its file in ``names``."""
    taken: set[str] = set()
    for each in items:
        if each.picture is not None:
            file = picture_file(each.name, taken)
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(each.picture)
            names[each.name] = file
            taken.add(file)
        yield Noted(each.map, each.row)


def picture_file(image: str, taken: Collection[str]) -> str:
    """Return the file of an image's picture: its name as .png, a number added where that is ``taken``, or a digest
    where the file system would refuse it as too long."""
    bare = image.removesuffix(".png")
    names = (bare, image, *(f"{image}-{number}" for number in range(2, len(taken) + 3)))
    return next(file for file in map(_as_png, names) if file not in taken)


def _as_png(name: str) -> str:
    path = PurePosixPath(f"{name}.png")
    if len(path.name.encode()) > LONGEST:
        path = path.with_name(f"{content_digest(name)}.png")
    return str(path)
