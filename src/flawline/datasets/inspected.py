"""An inspection of new images: maps, verdicts and pictures, written as they are made; versioned."""

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from kedro.io import AbstractVersionedDataset, Version

from flawline.storage.digests import content_digest
from flawline.storage.ragged import DATA, INDEX, ItemWriter, Noted, RaggedArray, end_of, replace_folder

if TYPE_CHECKING:
    from flawline.detector.inspecting import Inspected, Inspection, PlannedInspection

MAPS, PICTURES, THUMBNAILS = "maps", "pictures", "thumbnails"
NAMES, JOURNAL = "pictures.json", "journal.jsonl"
LONGEST = 255  # bytes of a file's name


class InspectedDataset(AbstractVersionedDataset["PlannedInspection", "Inspection"]):
    """One folder: the maps with their rows of the verdicts, below ``pictures`` a PNG file for each image that has one,
    and the thumbnails of all, one behind the other."""

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> "Inspection":
        from flawline.detector.inspecting import Inspection

        folder = Path(self._get_load_path())
        names = json.loads((folder / NAMES).read_text(encoding="utf-8"))
        pictures = {name: folder / PICTURES / file for name, file in names.items()}
        return Inspection(RaggedArray(folder / MAPS), pictures, RaggedArray(folder / THUMBNAILS))

    def save(self, data: "PlannedInspection") -> None:
        """Make an inspection. What is judged is kept beside the versions, and stays there if the work is cut off: the
        same inspection goes on behind it."""
        unfinished = self._filepath.with_name(f"{self._filepath.name}.unfinished")
        journal = Journal(Path(unfinished), data.key, data.still_true)
        with journal:
            for each in data.rest(journal.rows):
                journal.append(each)
            journal.finish(Path(self._get_save_path()))

    def _exists(self) -> bool:
        return (Path(self._get_load_path()) / MAPS / INDEX).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


class Journal:
    """The folder of an inspection while it is made. ``rows`` are those of the verdicts that it holds from before, of an
    inspection with the same ``key``, as far as they are ``still_true``."""

    def __init__(self, folder: Path, key: str, still_true: "Callable[[list[dict[str, Any]]], Sequence[bool]]"):
        self._folder, self._log = folder, folder / JOURNAL
        entries = _read_journal(folder, key)
        good = still_true([each["item"]["note"] for each in entries])
        kept = [each for each, keep in zip(entries, good, strict=True) if keep]
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
        for part in (MAPS, PICTURES, THUMBNAILS):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self._names = {each["item"]["note"]["image"]: each["picture"] for each in kept if each["picture"]}
        self._maps = ItemWriter(folder / MAPS, [each["item"] for each in kept])
        self._thumbnails = ItemWriter(folder / THUMBNAILS, [each["thumbnail"] for each in kept])
        self._taken = set(self._names.values())
        self._log.write_text("".join(f"{json.dumps(line)}\n" for line in ({"key": key}, *kept)))
        self._lines = self._log.open("a")

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [item["note"] for item in self._maps.items]

    def append(self, each: "Inspected") -> None:
        """Keep an image that was judged."""
        file = None
        if each.picture is not None:
            file = picture_file(each.name, self._taken)
            path = self._folder / PICTURES / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(each.picture)
            self._names[each.name] = file
            self._taken.add(file)
        item = self._maps.append(Noted(each.map, each.row))
        small = self._thumbnails.append(np.frombuffer(each.thumbnail, np.uint8))
        self._maps.flush()
        self._thumbnails.flush()
        self._lines.write(f"{json.dumps({'item': item, 'picture': file, 'thumbnail': small})}\n")
        self._lines.flush()

    def finish(self, folder: Path) -> None:
        """Make it the inspection of a version."""
        self._maps.finish()
        self._thumbnails.finish()
        self._lines.close()
        (self._folder / NAMES).write_text(json.dumps(self._names), encoding="utf-8")
        self._log.unlink()
        folder.parent.mkdir(parents=True, exist_ok=True)
        replace_folder(self._folder, folder)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._maps.close()
        self._thumbnails.close()
        self._lines.close()


def _read_journal(folder: Path, key: str) -> list[dict[str, Any]]:
    """Return the entries of a journal whose map, thumbnail and picture are there, up to the first that is not whole;
    none if it is of another inspection."""
    entries: list[dict[str, Any]] = []
    with contextlib.suppress(OSError, ValueError), (folder / JOURNAL).open() as file:  # none, or a line was cut off
        ends = {part: (folder / part / DATA).stat().st_size for part in (MAPS, THUMBNAILS)}
        if json.loads(file.readline()).get("key") == key:
            entries.extend(json.loads(line) for line in file if line.endswith("\n"))
    return [each for each in entries if _is_whole(each, folder, ends)]


def _is_whole(entry: dict[str, Any], folder: Path, ends: dict[str, int]) -> bool:
    """Say whether all that an entry tells of is there; ``ends`` are the bytes of the maps' and thumbnails' files."""
    stored = end_of(entry["item"]) <= ends[MAPS] and end_of(entry["thumbnail"]) <= ends[THUMBNAILS]
    return stored and (entry["picture"] is None or (folder / PICTURES / entry["picture"]).is_file())


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
