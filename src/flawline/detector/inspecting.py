"""A folder of new images, file by file: decoded once, judged once, drawn once."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.detector.judging import Judge, Judged, not_judged, verdict_row
from flawline.figures import overlay, thumbnail, webp
from flawline.figures.encoding import quick_png
from flawline.intake.decoding import UnreadableImageError, count_pages, read_bytes
from flawline.intake.manifest import NAMELESS, SAME_NAME, in_table, page_name, split_page
from flawline.methods.one_class import NO_MAP
from flawline.metrics.drift import SCORE
from flawline.storage.digests import content_digest, file_digest
from flawline.storage.ragged import RaggedArray
from flawline.training.compute import keep_memory, one_thread
from flawline.vision.appearance import FIGURES

CHUNK, CHUNK_BYTES = 8, 2**22  # files that a worker of a cluster is given at once, and how large they are together


@dataclass(frozen=True)
class Inspected:
    """One new image: its row of the verdicts, to which its ``figures`` of `flawline.vision.appearance` are added (None:
    it has none), its map (H, W), empty where there is none, a picture with the regions marked, as PNG, None where it
    is not judged, or none was asked for, and a thumbnail of the photograph, as WebP, empty where it is not judged."""

    row: dict[str, Any]
    map: NDArray[np.float16]
    picture: bytes | None = None
    thumbnail: bytes = b""

    @property
    def name(self) -> str:
        return self.row["image"]


@dataclass(frozen=True)
class PlannedInspection:
    """An inspection that is to be made of ``files`` below a folder. ``key`` is a digest of the detector, the settings,
    the engine and the folder; ``inspect`` judges files in their order."""

    folder: Path
    files: Sequence[str]
    key: str
    inspect: Callable[[Sequence[str]], Iterator[Inspected]]

    def rest(self, done: Sequence[Mapping[str, Any]]) -> Iterator[Inspected]:
        """Yield the images of those files that rows of the verdicts do not tell of."""
        known = {self._file_of(row["image"]) for row in done}
        return self.inspect([file for file in self.files if file not in known])

    def still_true(self, rows: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Return which rows, in the order in which they were made, are of files that hold what they did. Of the last
        file's pages some may be missing, so that is none of them."""
        files = [self._file_of(row["image"]) for row in rows]
        last = files[-1] if rows and files[-1] != rows[-1]["image"] else None
        now = {file: self._digest_of(file) for file in set(files)}
        return [bool(row["sha256"]) and now[file] == row["sha256"] and file != last
                for row, file in zip(rows, files, strict=True)]  # fmt: skip

    def _file_of(self, image: str) -> str:
        """Return the file that an image is, or is a page of."""
        return image if (self.folder / image).is_file() else split_page(image)[0]

    def _digest_of(self, file: str) -> str:
        with contextlib.suppress(OSError):
            return file_digest(self.folder / file)
        return ""


@dataclass(frozen=True)
class Inspection:
    """A whole inspection as it is stored: maps with their rows, where the pictures lie by image, and the thumbnails'
    bytes (n,), in the maps' order."""

    maps: RaggedArray
    pictures: dict[str, Path]
    thumbnails: RaggedArray

    def verdicts(self) -> pd.DataFrame:
        """Return the verdicts, a row an image."""
        return pd.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the verdicts, in the order in which they were made."""
        return [{name: value for name, value in note.items() if name != "figures"} for note in self.maps.notes]

    def figures(self) -> pd.DataFrame:
        """Return the figures of `flawline.vision.appearance` and the score of each image, in the order of their names,
        which are the index; NaN of one that has none. Rows of an inspection that was cut off may be in another
        order."""
        notes = sorted(self.maps.notes, key=lambda note: as_counted(note["image"]))
        rows = [{SCORE: note["score"], **(note.get("figures") or {})} for note in notes]
        names = pd.Index([note["image"] for note in notes], name="image")
        return pd.DataFrame(rows, names, [*FIGURES, SCORE], dtype=float)


def as_counted(name: str) -> list[str | int]:
    """Return what sorts names by the numbers in them: ``shot 9.png`` is before ``shot 10.png``."""
    return [int(part) if k % 2 else part for k, part in enumerate(re.split(r"(\d+)", name))]


def in_file_order(rows: Sequence[dict[str, Any]], files: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of the verdicts in the order of the files that their images are, or are pages of: an inspection that
    was cut off may have judged them in another."""
    places = {in_table(file): place for place, file in enumerate(files)}

    def place_of(row: Mapping[str, Any]) -> tuple[int, int]:
        image = row["image"]
        if image in places:
            return places[image], 0
        file, page = split_page(image)
        return places.get(file, len(places)), page or 0

    return sorted(rows, key=place_of)


def inspect_chunk(judge: Judge, chunk: tuple[Path, Sequence[str]]) -> list[Inspected | None]:
    """Return what is said of each of some files below a folder, by one thread; None of a stack of pages, which may be
    too many to hold at once."""
    folder, files = chunk
    keep_memory()
    with one_thread():
        return [next(inspect_file(folder, file, judge, stacks=False), None) for file in files]


def chunks_of(folder: Path, files: Sequence[str]) -> list[list[str]]:
    """Return files in their order, in chunks that are worth sending, and small enough to hold what is made of them."""
    chunks: list[list[str]] = []
    left = 0
    for file in files:
        size = _size_of(folder / file)
        if not chunks or len(chunks[-1]) == CHUNK or size > left:
            chunks.append([])
            left = CHUNK_BYTES
        chunks[-1].append(file)
        left -= size
    return chunks


def _size_of(file: Path) -> int:
    with contextlib.suppress(OSError):
        return file.stat().st_size
    return 0


def inspect_file(folder: Path, file: str, judge: Judge, *, stacks: bool = True) -> Iterator[Inspected]:
    """Yield what is said of each image of a file below ``folder``: its pages, or itself; without ``stacks`` nothing of
    one that has several."""
    name = in_table(file)
    if name != file:
        yield inspect_odd(name, NAMELESS, judge)
        return
    try:
        content = read_bytes(folder / file)
        pages = count_pages(content)
    except UnreadableImageError as error:
        yield inspect_odd(file, str(error), judge)
        return
    if pages > 1 and not stacks:
        return
    digest = content_digest(content)
    for page in [0] if pages == 1 else range(1, pages + 1):
        yield _inspect_page(folder, file, page, content=content, digest=digest, judge=judge)


def _inspect_page(folder: Path, file: str, page: int, *, content: bytes, digest: str, judge: Judge) -> Inspected:
    name = page_name(file, page)
    if _is_taken(folder, file, page):
        return inspect_odd(name, SAME_NAME, judge)
    return _inspected(name, digest, judge.judge_file(content, page or None), judge)


def inspect_odd(name: str, reason: str, judge: Judge) -> Inspected:
    """Return what is said of an image that cannot be read."""
    return _inspected(name, "", not_judged(reason), judge)


def _inspected(name: str, digest: str, judged: Judged, judge: Judge) -> Inspected:
    row = verdict_row(name, digest, judged.judgement, judge.inspection)
    row |= {"engine": judge.scorer.engine, "figures": judged.figures}
    found = NO_MAP if judged.scored is None else judged.scored.map
    small = b"" if judged.image is None else webp(thumbnail(judged.image))
    return Inspected(row, found, draw(judged, judge), small)


def draw(judged: Judged, judge: Judge) -> bytes | None:
    """Return the picture of a judged image with its regions marked, as PNG; None of one that is not judged, and of one
    that passes unless pictures of all are asked for."""
    wanted = judged.judgement.verdict != "pass" or judge.inspection.pictures == "all"
    if judged.image is None or judged.scored is None or not wanted:
        return None
    found, said = judged.scored.map, judged.judgement
    limit = judge.thresholds.on_map.value if judge.detector.reduction is None else said.map_threshold
    shown = found if found.size else np.zeros(judged.image.shape[1:], np.float16)
    regions = [] if said.verdict == "pass" else list(said.regions)
    return quick_png(overlay(judged.image, shown, float(limit or 0), regions))


def _is_taken(folder: Path, file: str, page: int) -> bool:
    """Return True if another file is called like this one, or like its page: in a table the two would be one."""
    if page:
        return (folder / page_name(file, page)).exists()
    other, number = split_page(file)
    if number is None or not (folder / other).is_file():
        return False
    try:
        return 1 < count_pages(read_bytes(folder / other)) >= number
    except UnreadableImageError:
        return False
