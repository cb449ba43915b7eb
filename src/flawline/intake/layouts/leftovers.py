"""What a layout has left over in a folder: files that say something of the images and are not read, contradictions,
pictures that have no place."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flawline.checks import FlawlineError
from flawline.intake.annotations import FORMATS
from flawline.intake.folders import Contents
from flawline.intake.layouts.annotated import ANNOTATED, annotation_files, marked_defects
from flawline.intake.layouts.base import Listed, RawFile, named_by
from flawline.intake.layouts.messages import names_in_words
from flawline.intake.layouts.registry import EXPLICIT, LAYOUTS
from flawline.intake.layouts.sidecars import sidecars_in
from flawline.intake.layouts.table import tables_unread
from flawline.intake.layouts.tree import NO_IMAGE, read_tree
from flawline.intake.names import means_masks, parts_of
from flawline.intake.notes import Note
from flawline.params import IngestionParams

SIDECARS = (
    "Files that are called like images, or name some, may say where their defects are, and are in no format that is "
    "read, or damaged: {}. Wanted {}, masks as pictures, or a table (ingestion.table)."
)
MASKS = (
    "{} masks belong to no image, the first: {}. Wanted masks that are called like their images, NAME_mask for NAME, "
    "in folders like those of the images."
)


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
    for file, column in tables_unread(contents, params.table).items():
        if file not in listed.read:
            said[file] = (
                f"The table {file} names the images (in its column '{column}') and is not read. To have it read, say "
                f"what its columns are: ingestion.layout=csv,ingestion.table.file={file},"
                f"ingestion.table.image={column},ingestion.table.label=COLUMN."
            )
    if not said and name not in EXPLICIT and (files := sidecars_in(contents, listed.read)):
        said["sidecars"] = SIDECARS.format(names_in_words(files), ", ".join(form.says for form in FORMATS.values()))
    if listed.assumed and (orphans := read_tree(contents, params).orphans):
        said["masks"] = MASKS.format(len(orphans), orphans[0])
    return said


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


def said_of_splits(files: Sequence[RawFile]) -> list[Note]:
    """Return that the folder has splits, but none for tests: then a share of the good images is set apart."""
    splits = {file.split for file in files if not file.unusable} - {None}
    if not splits or "test" in splits:
        return []
    said = "No image lies in a split for tests: a share of the good ones is set apart for them (ingestion.splits.test)."
    return [Note(said)]


def strays(contents: Contents, name: str, files: Sequence[RawFile], params: IngestionParams) -> Iterator[RawFile]:
    """Yield what looks like a photograph and is in no list: nothing of a folder is left out unsaid.

    Where several categories share the folder, what is not of one may be of another."""
    if LAYOUTS[name].shared:
        return
    known = named_by(files)
    masks = (
        {mask for each in read_tree(contents, params).masks.values() for mask in each} if name in ANNOTATED else set()
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
