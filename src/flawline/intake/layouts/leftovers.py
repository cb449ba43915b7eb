"""What a layout has left over in a folder: files that say something of the images and are not read, contradictions, a
lone split, pictures that have no place."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from xml.etree import ElementTree

from flawline.checks import FlawlineError
from flawline.intake.annotations import FORMATS
from flawline.intake.folders import Contents
from flawline.intake.layouts.annotated import ANNOTATED, annotation_files, marked_defects
from flawline.intake.layouts.base import Listed, RawFile, named_by
from flawline.intake.layouts.messages import names_in_words
from flawline.intake.layouts.registry import LAYOUTS
from flawline.intake.layouts.table import tables_unread
from flawline.intake.layouts.tree import NO_IMAGE, read_tree
from flawline.intake.names import folded, means_masks, parts_of
from flawline.intake.notes import Note
from flawline.params import IngestionParams

SAMPLED = 20  # pictures whose names are looked for in a text
MOST_BYTES = 50_000_000  # of a text that is looked into


def unread(contents: Contents, name: str, listed: Listed, params: IngestionParams) -> dict[str, str]:
    """Return a sentence on each kind of file that says something of the images and is not read, by the kind."""
    said = {}
    for each, form in FORMATS.items():
        files = [file for file in annotation_files(contents, each) if file not in listed.read]
        if files and each != name:
            said[each] = (
                f"Annotations ({form.says}) were found and not read: {names_in_words(files)}. To have them read: "
                f"ingestion.layout={each}."
            )
    for file, column in tables_unread(contents, params).items():
        if file not in listed.read:
            said[file] = (
                f"The table {file} names the images (in its column '{column}') and is not read. To have it read, say "
                f"what its columns are: ingestion.layout=csv,ingestion.table.file={file},"
                f"ingestion.table.image={column},ingestion.table.label=COLUMN."
            )
    if not said and listed.assumed:
        said |= _sidecars(contents)
    return said


def _sidecars(contents: Contents) -> dict[str, str]:
    """Return a sentence on files that are called like images or name some, and may say what is wrong with them."""
    names = {folded(name) for path in contents.pictures for name in (path, path.rpartition(".")[0])}
    files = [
        file for file in contents.ending(".json", ".xml", ".txt", ".yaml", ".yml", ".csv", ".tsv")
        if folded(file.rpartition(".")[0]) in names or _names_images(contents, file) or _is_damaged(contents, file)
    ]  # fmt: skip
    if not files:
        return {}
    formats = ", ".join(form.says for form in FORMATS.values())
    return {
        "sidecars": (
            f"Files that are called like images, or name some, may say where their defects are, and are in no format "
            f"that is read, or damaged: {names_in_words(files)}. Wanted {formats}, masks as pictures, or a table "
            f"(ingestion.table)."
        )
    }


def _names_images(contents: Contents, file: str) -> bool:
    """Return True if a text holds the name of one of a few pictures."""
    try:
        with (contents.root / file).open("rb") as text:
            content = text.read(MOST_BYTES)
    except OSError:
        return False
    some = contents.pictures[:: max(1, len(contents.pictures) // SAMPLED)]
    return any(PurePosixPath(path).name.encode() in content for path in some)


def _is_damaged(contents: Contents, file: str) -> bool:
    """Return True if a JSON or XML file cannot be read as one: it may have been annotations."""
    try:
        content = (contents.root / file).read_bytes()
        if file.lower().endswith(".json"):
            json.loads(content)
        elif file.lower().endswith(".xml"):
            ElementTree.fromstring(content)
    except (OSError, ValueError, LookupError, RecursionError, ElementTree.ParseError):
        return True
    return False


def without_contradictions(
    contents: Contents, files: Sequence[RawFile], params: IngestionParams, *, read: frozenset[str]
) -> tuple[list[RawFile], list[Note]]:
    """Return (files, notes) in which no image counts as good though an annotation that is not read marks a defect."""
    marked: dict[str, tuple[str, str]] = {}
    notes = []
    for name in FORMATS:
        annotations = annotation_files(contents, name)
        if annotations and read.isdisjoint(annotations):
            try:
                marked |= marked_defects(contents, name, params.good)
            except FlawlineError as error:
                notes.append(Note(f"Not read: {error}", caution=True))
    return [_contradicted(file, *marked[file.path]) if file.path in marked else file for file in files], notes


def _contradicted(file: RawFile, source: str, defect: str) -> RawFile:
    if file.label != 0 or file.unusable:
        return file
    return replace(file, unusable=f"counts as good, but {source} marks a '{defect}' in it; correct one of the two")


def without_lone_split(files: Sequence[RawFile]) -> tuple[list[RawFile], list[Note]]:
    """Return (files, notes) without the split where all images are of the training split: then nothing was set apart
    to be tested on, and a share is."""
    if {file.split for file in files if not file.unusable} != {"train"}:
        return list(files), []
    said = (
        "All images lie in the training split: a share of the good ones is set apart for tests (ingestion.splits.test)."
    )
    return [replace(file, split=None) for file in files], [Note(said)]


def strays(contents: Contents, name: str, files: Sequence[RawFile], params: IngestionParams) -> Iterator[RawFile]:
    """Yield what looks like a photograph and is in no list: nothing of a folder is left out unsaid.

    Where several categories share the folder, what is not of one may be of another."""
    if LAYOUTS[name].shared:
        return
    known = named_by(files)
    masks = (
        {mask for each in read_tree(contents, params.good).masks.values() for mask in each}
        if name in ANNOTATED
        else set()
    )
    for path in contents.pictures:
        if path in known or path in masks:
            continue
        in_masks = any(means_masks(part) for part in parts_of(path))
        if in_masks and name in ANNOTATED:
            continue  # said by a note
        yield RawFile(
            path, 0, "good", unusable=NO_IMAGE if in_masks else f"lies where the layout '{name}' looks for no image"
        )
    yield from (RawFile(path, 0, "good", unusable=reason) for path, reason in contents.odd.items())
