"""Formats in which people mark defects: one module each. ``FORMATS`` says how each is recognised and which image of a
folder it marks how."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from flawline.checks import FlawlineError
from flawline.intake.annotations.base import Annotated, Runs, Shape, united
from flawline.intake.annotations.coco import is_coco, read_coco
from flawline.intake.annotations.cvat import is_cvat, read_cvat
from flawline.intake.annotations.files import NamedImages
from flawline.intake.annotations.labelme import is_labelme, read_labelme
from flawline.intake.annotations.voc import is_voc, read_voc
from flawline.intake.annotations.yolo import is_empty, is_yolo, read_yolo
from flawline.intake.decoding import UnreadableImageError, read_bytes
from flawline.intake.folders import Contents
from flawline.intake.grouping import grouped
from flawline.intake.names import ending_of, folded, means_images, means_masks, parts_of, split_of, stem_of
from flawline.intake.notes import Note

__all__ = ["FORMATS", "Annotated", "Format", "Marks", "Runs", "Shape", "read_annotation"]

SAMPLED = 20  # files of a format that are looked at to recognise it, where there is one for each image
SIDES = frozenset(("json", "jsons", "xml", "xmls", "txt", "yolo", "labelme", "voc", "coco"))  # folders of annotations


@dataclass(frozen=True)
class Marks:
    """What the files of one format mark in a folder: by image, with the files that say it."""

    images: Mapping[str, Annotated]
    sources: Mapping[str, tuple[str, ...]]  # image -> annotation files
    files: tuple[str, ...]  # all annotation files of the format
    notes: tuple[Note, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)  # image -> the subset that a file names


@dataclass(frozen=True)
class Format:
    """One format: the files of a folder that are of it, and what they mark."""

    says: str  # its name in a sentence
    wanted: str
    files: Callable[[Contents], list[str]]
    marks: Callable[[Contents, Sequence[str]], Marks]
    unnamed: str = ""  # why a picture that it does not name cannot be used; empty: it counts as good


def read_annotation(root: Path, file: str, image: str) -> Annotated:
    """Read what the annotation ``file`` marks in ``image``, both relative to ``root``; raise UnreadableImageError if
    that cannot be known."""
    changed = _changed(root / file)
    own = _read_own(root, file, changed)
    if own is not None:
        return own
    try:
        read = read_cvat if ending_of(file) == ".xml" else read_coco
        marked = read(root, file, changed).images.get(image)
    except FlawlineError as error:
        raise UnreadableImageError(str(error)) from None
    if marked is None:
        raise UnreadableImageError("does not name the image any more")
    return marked


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened: {error.strerror or error}") from None


# One entry an image, read when a folder is listed and again when its masks are made.
@lru_cache(maxsize=2**16)
def _read_own(root: Path, file: str, changed: int) -> Annotated | None:
    """Read a file that annotates one image; None for one that annotates many."""
    path, ending = root / file, ending_of(file)
    if ending == ".txt":
        return read_yolo(root, file)
    if ending == ".xml" and not is_cvat(path):
        return read_voc(read_bytes(path))
    return read_labelme(path) if ending == ".json" and is_labelme(path) else None


# --- one file for many images ----------------------------------------------------------------------------------------
def _of_many(read: Callable[[Path, str, int], NamedImages]) -> Callable[[Contents, Sequence[str]], Marks]:
    def marks(contents: Contents, files: Sequence[str]) -> Marks:
        images: dict[str, Annotated] = {}
        sources: dict[str, tuple[str, ...]] = {}
        splits: dict[str, str] = {}
        notes: list[Note] = []
        for file in files:
            found = read(contents.root, file, (contents.root / file).stat().st_mtime_ns)
            notes += found.notes
            splits |= found.splits
            for image, marked in found.images.items():
                images[image] = united(images[image], marked) if image in images else marked
                sources[image] = (*sources.get(image, ()), file)
        twice = [image for image, named in sources.items() if len(named) > 1]
        if twice:
            said = f"{len(twice)} images are named in several files, which count together; the first: {twice[0]} in "
            notes.append(Note(f"{said}{' and '.join(sources[twice[0]])}."))
        return Marks(images, sources, tuple(files), tuple(notes), splits)

    return marks


# --- a file for each image -------------------------------------------------------------------------------------------
def _of_each(contents: Contents, files: Sequence[str]) -> Marks:
    pairs = pair(_photographs(contents, files), files)
    images: dict[str, Annotated] = {}
    for image, file in pairs.items():
        try:
            images[image] = read_annotation(contents.root, file, image)
        except UnreadableImageError as error:
            images[image] = Annotated(None, (), problem=str(error))
    return Marks(images, {image: (file,) for image, file in pairs.items()}, tuple(files))


def _photographs(contents: Contents, files: Sequence[str]) -> list[str]:
    """Return the pictures that may have an annotation of their own; masks in folders of masks have none."""
    homes = {parts_of(file) for file in files}
    return [
        path for path in contents.pictures
        if parts_of(path) in homes or not any(means_masks(part) for part in parts_of(path))
    ]  # fmt: skip


def pair(pictures: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Return the annotation file of each picture: beside it, else in a tree of annotations like that of the pictures,
    else anywhere.

    A file is paired only where no other picture could mean it: if good/1 and crack/1 have the one file crack/1, it says
    nothing of good/1."""
    pairs: dict[str, str] = {}
    keys: list[Callable[[str], Hashable]] = [_beside, _in_a_like_tree, lambda path: _beside(path)[1]]
    for key in keys:
        taken = set(pairs.values())
        left = grouped((path for path in files if path not in taken), key)
        for name, alike in grouped((path for path in pictures if path not in pairs), key).items():
            if len(alike) == len(left.get(name, ())) == 1:
                pairs[alike[0]] = left[name][0]
    return pairs


def _beside(path: str) -> tuple[str, str]:
    return folded("/".join(parts_of(path))), folded(stem_of(path))


def _in_a_like_tree(path: str) -> Hashable:
    parts = [part for part in parts_of(path) if not (means_images(part) or means_masks(part) or folded(part) in SIDES)]
    return tuple(split_of(part) or folded(part) for part in parts), folded(stem_of(path))


def _paired(contents: Contents, suffix: str) -> list[str]:
    """Return the files of a ``suffix`` that have a picture."""
    files = contents.ending(suffix)
    return sorted(pair(_photographs(contents, files), files).values()) if files else []


def _labelme_files(contents: Contents) -> list[str]:
    files = _paired(contents, ".json")
    return files if any(is_labelme(contents.root / file) for file in _some(files)) else []


def _yolo_files(contents: Contents) -> list[str]:
    files = _paired(contents, ".txt")
    told = [file for file in files if not is_empty(contents.root / file)]
    if told:
        return files if any(is_yolo(contents.root / file) for file in _some(told)) else []
    homes = {parts_of(file)[-1:] for file in files}
    return (
        files if any(means_masks(home) for parts in homes for home in parts) else []
    )  # labels/ that mark nothing at all


def _some(files: Sequence[str]) -> Iterator[str]:
    yield from files[:: max(1, len(files) // SAMPLED)]


UNNAMED = "is not named in the annotations"
NO_XML = (
    "has no annotation file of its own; if it is good, put it into a folder called good, or give one without objects"
)
FORMATS: dict[str, Format] = {
    "coco": Format(
        says="COCO",
        wanted="a JSON file with images and annotations, as COCO has it",
        files=lambda contents: [file for file in contents.ending(".json") if is_coco(contents.root / file)],
        marks=_of_many(read_coco),
        unnamed=UNNAMED,
    ),
    "cvat": Format(
        says="CVAT for images",
        wanted="an XML file as CVAT for images 1.1 has it",
        files=lambda contents: [file for file in contents.ending(".xml") if is_cvat(contents.root / file)],
        marks=_of_many(read_cvat),
        unnamed=UNNAMED,
    ),
    "labelme": Format(
        says="labelme",
        wanted="a JSON file beside each image with a defect, as labelme has it",
        files=_labelme_files,
        marks=_of_each,
    ),
    "voc": Format(
        says="Pascal VOC",
        wanted="an XML file an image, as Pascal VOC has it",
        files=lambda contents: [file for file in contents.ending(".xml") if is_voc(contents.root / file)],
        marks=_of_each,
        unnamed=NO_XML,
    ),
    "yolo": Format(
        says="YOLO",
        wanted="a text file for each image with a defect, beside it or in labels/, as YOLO has it",
        files=_yolo_files,
        marks=_of_each,
    ),
}  # fmt: skip
