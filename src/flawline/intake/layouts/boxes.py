"""Defects marked by annotations: 'coco' (a JSON file for many images) and 'voc' (an XML file for each image)."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path

from flawline.checks import FlawlineError
from flawline.intake.annotations import Annotated, find_coco_files, is_voc, read_coco, read_voc
from flawline.intake.decoding import UnreadableImageError
from flawline.intake.layouts.base import SPLIT_FOLDERS, Layout, RawFile, is_good, pictures_in, relative
from flawline.params import IngestionParams

SEGMENTS = ("SegmentationClass", "SegmentationObject")  # pictures of VOC that are no photographs
NO_XML = (
    "has no annotation file of its own; if it is good, put it into a folder called good, or give one without objects"
)


def list_coco(folder: Path, params: IngestionParams, category: str) -> Iterator[RawFile]:
    """Every image of every COCO file; one without annotations is normal. The file's folder may name the split.

    Raise FlawlineError if two files name the same image."""
    named: dict[str, str] = {}
    for path in find_coco_files(folder):
        own = relative(path, folder)
        split = next((SPLIT_FOLDERS[part.lower()] for part in path.relative_to(folder).parts[:-1]
                      if part.lower() in SPLIT_FOLDERS), None)  # fmt: skip
        for image, marked in read_coco(folder, own).items():
            if image in named:
                raise FlawlineError(
                    f"{image} is named in {named[image]} and in {own}; wanted one annotation file an image"
                )
            named[image] = own
            yield _raw_file(image, marked, own, split=split, good=params.good)
    for path in pictures_in(folder, deep=True):
        if relative(path, folder) not in named:
            yield RawFile(relative(path, folder), 0, "good", unusable="is not named in the annotations")


def list_voc(folder: Path, params: IngestionParams, category: str) -> Iterator[RawFile]:
    """Every picture with the XML file of the same name, beside it or in Annotations/; without objects it is normal."""
    pictures = [path for path in pictures_in(folder, deep=True) if path.parent.name not in SEGMENTS]
    files = _pair(pictures, [path for path in folder.rglob("*.xml") if is_voc(path)])
    for path in pictures:
        image = relative(path, folder)
        xml = files.get(path)
        if xml is None:
            good = any(is_good(part, params.good) for part in path.relative_to(folder).parts[:-1])
            yield RawFile(image, 0, "good", unusable="" if good else NO_XML)
            continue
        try:
            marked = read_voc(xml.read_bytes())
        except UnreadableImageError as error:
            yield RawFile(image, 1, "unknown", unusable=f"its annotation {xml.name} {error}")
            continue
        yield _raw_file(image, marked, relative(xml, folder), split=None, good=params.good)


def _pair(pictures: Sequence[Path], files: Sequence[Path]) -> dict[Path, Path]:
    """Return the annotation file of each picture: beside it, else in a folder of the same name, else anywhere.

    A file is paired only where no other picture could mean it: if good/1 and crack/1 have the one file crack/1, it says
    nothing of good/1."""
    pairs: dict[Path, Path] = {}
    keys: list[Callable[[Path], Hashable]] = [
        lambda path: path.with_suffix(""), lambda path: (path.parent.name, path.stem), lambda path: path.stem
    ]  # fmt: skip
    for key in keys:
        taken = set(pairs.values())
        left = _grouped((path for path in files if path not in taken), key)
        for name, alike in _grouped((path for path in pictures if path not in pairs), key).items():
            if len(alike) == len(left[name]) == 1:
                pairs[alike[0]] = left[name][0]
    return pairs


def _grouped(paths: Iterable[Path], key: Callable[[Path], Hashable]) -> dict[Hashable, list[Path]]:
    groups: dict[Hashable, list[Path]] = defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return groups


def _raw_file(image: str, marked: Annotated, source: str, *, split: str | None, good: Sequence[str]) -> RawFile:
    """Return an image that the file ``source`` annotates; it is normal if only classes called ``good`` are marked."""
    names = sorted({shape.name for shape in marked.shapes if not is_good(shape.name, good)})
    if not names:
        return RawFile(image, 0, "good", split)
    return RawFile(image, 1, "+".join(names), split, mask=source)


COCO = Layout(
    is_in=lambda folder, params: bool(find_coco_files(folder)),
    list_files=list_coco,
    complete=True,
    wanted=lambda params: "a JSON file with images and annotations, as COCO has it",
)
VOC = Layout(
    is_in=lambda folder, params: any(is_voc(path) for path in folder.rglob("*.xml")),
    list_files=list_voc,
    complete=True,
    wanted=lambda params: "an XML file an image, as Pascal VOC has it",
)
