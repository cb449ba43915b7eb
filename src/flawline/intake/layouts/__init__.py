"""The folder layouts photographs arrive in: which file is what, before any of them is decoded."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from flawline.checks import FlawlineError
from flawline.intake.annotations import FORMATS
from flawline.intake.folders import Contents, check_folder, contents_of
from flawline.intake.layouts.aitex import AITEX
from flawline.intake.layouts.annotated import ANNOTATED, annotation_files, marked_defects
from flawline.intake.layouts.base import Layout, Listed, RawFile
from flawline.intake.layouts.kolektorsdd import KOLEKTORSDD, KOLEKTORSDD2
from flawline.intake.layouts.table import TABLE, tables_unread
from flawline.intake.layouts.tree import FOLDERS, MVTEC, NO_IMAGE, classes_in_words, read_tree
from flawline.intake.masks import APART
from flawline.intake.names import folded, is_good, means_masks, parts_of, says_good, split_of
from flawline.intake.notes import Note
from flawline.params import IngestionParams

__all__ = [
    "EXPLICIT",
    "LAYOUTS",
    "Contents",
    "Listing",
    "RawFile",
    "check_folder",
    "contents_of",
    "detect_layout",
    "holds_categories",
    "list_raw_folder",
]

# In the order in which one is taken where several explain as much of a folder: loose files alone are 'folders'.
LAYOUTS: dict[str, Layout] = {
    "csv": TABLE,
    "aitex": AITEX,
    "mvtec": MVTEC,
    **ANNOTATED,
    "kolektorsdd2": KOLEKTORSDD2,
    "kolektorsdd": KOLEKTORSDD,
    "folders": FOLDERS,
}
EXPLICIT = frozenset(("csv", *ANNOTATED))  # that name each image: what they name is a photograph
SHOWN = 8  # names in a message
SAMPLED = 20  # pictures whose names are looked for in a text
MOST_BYTES = 50_000_000  # of a text that is looked into


@dataclass(frozen=True)
class Listing:
    """The files of a raw folder, sorted by path, as ``layout`` reads it, and what is to be said of them."""

    layout: str
    files: list[RawFile]
    notes: tuple[Note, ...] = ()


def list_raw_folder(folder: Path, params: IngestionParams, *, category: str = "") -> Listing:
    """List the photographs of ``folder``. Raise FlawlineError if it is missing, empty or unlike the layout.
    ``category`` tells which is meant where a layout holds several."""
    check_folder(folder)
    contents = contents_of(folder)
    name, listed, others = _read(contents, params, category)
    left = _unread(contents, name, listed, params)
    if listed.assumed and left and params.layout == "auto":
        raise FlawlineError(
            f"{next(iter(left.values()))}\nTo read the images as good all the same: ingestion.layout={name}."
        )
    files, contrary = _without_contradictions(contents, listed.files, params, read=listed.read)
    files, alone = _without_lone_split(files)
    files += [*_strays(contents, name, files, params)] if files else []
    _check(contents, name, files, params)
    skipped = [Note(said)] if (said := contents.skipped_in_words()) else []
    notes = (*listed.notes, *contrary, *alone, *others, *(Note(said, caution=True) for said in left.values()), *skipped)
    return Listing(name, sorted(files, key=lambda file: file.path), notes)


def detect_layout(folder: Path, params: IngestionParams) -> str:
    """Return the name of the layout: the one asked for, else the one that explains most of the folder's files.

    Raise FlawlineError if it looks like none, or is missing or empty."""
    check_folder(folder)
    return params.layout if params.layout != "auto" else _read(contents_of(folder), params, "")[0]


def holds_categories(folder: Path) -> bool:
    """Return True if ``folder`` is one raw folder that several categories share."""
    if not folder.is_dir():
        return False
    contents = contents_of(folder)
    return any(layout.shared(contents) for layout in LAYOUTS.values() if layout.shared)


# --- which layout ----------------------------------------------------------------------------------------------------
def _read(contents: Contents, params: IngestionParams, category: str) -> tuple[str, Listed, list[Note]]:
    """Return (name, what it lists, what is to be said) of the layout that leaves fewest of the folder's pictures,
    annotations and tables unexplained; of those that leave as few, the first in LAYOUTS."""
    if params.layout != "auto":
        return params.layout, LAYOUTS[params.layout].list_files(contents, params, category), []
    found: dict[str, Listed] = {}
    failed: dict[str, FlawlineError] = {}
    for name, layout in LAYOUTS.items():
        if not layout.is_in(contents, params):
            continue
        try:
            found[name] = layout.list_files(contents, params, category)
        except FlawlineError as error:
            failed[name] = error
        if layout.certain or (name == "csv" and params.table.file in contents.files):
            break
    told = {each: listed for each, listed in found.items() if not listed.assumed}
    if failed and not told:
        raise next(iter(failed.values()))
    found = told or found
    if not found:
        raise FlawlineError(
            f"no known layout in {contents.root}.{_hint(contents, params)}\n{_wanted(params)}\n{_found(contents)}"
        )
    unexplained = {name: len(_unexplained(contents, listed, params)) for name, listed in found.items()}
    name = min(found, key=lambda each: unexplained[each])
    return name, found[name], _said_of_others(name, found, unexplained, failed)


def _unexplained(contents: Contents, listed: Listed, params: IngestionParams) -> set[str]:
    """Return the pictures, annotations and tables of a folder that a layout makes no use of."""
    evidence = {*contents.pictures, *tables_unread(contents, params)}
    evidence.update(*(annotation_files(contents, name) for name in FORMATS))
    return evidence - listed.read - _known(file for file in listed.files if file.path not in listed.strangers)


def _known(files: Iterator[RawFile] | Sequence[RawFile]) -> set[str]:
    return {path for file in files for path in (file.path, *(file.mask or "").split(APART))}


def _said_of_others(
    name: str, found: dict[str, Listed], unexplained: dict[str, int], failed: dict[str, FlawlineError]
) -> list[Note]:
    notes = [Note(f"Not read: {error}", caution=True) for error in failed.values()]
    labels = {file.path: file.label for file in found[name].files}
    for other, listed in found.items():
        tied = other != name and unexplained[other] == unexplained[name]
        if tied and {file.path: file.label for file in listed.files} != labels:
            said = f"The folder can be read as '{name}' and as '{other}': it is read as '{name}'; "
            notes.append(Note(f"{said}ingestion.layout={other} reads it the other way.", caution=True))
    return notes


# --- what is left over -----------------------------------------------------------------------------------------------
def _unread(contents: Contents, name: str, listed: Listed, params: IngestionParams) -> dict[str, str]:
    """Return a sentence on each kind of file that says something of the images and is not read, by the kind."""
    said = {}
    for each, form in FORMATS.items():
        files = [file for file in annotation_files(contents, each) if file not in listed.read]
        if files and each != name:
            said[each] = (
                f"Annotations ({form.says}) were found and not read: {_names(files)}. To have them read: "
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
            f"that is read, or damaged: {_names(files)}. Wanted {formats}, masks as pictures, or a table "
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


def _without_contradictions(
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


def _without_lone_split(files: Sequence[RawFile]) -> tuple[list[RawFile], list[Note]]:
    """Return (files, notes) without the split where all images are of the training split: then nothing was set apart
    to be tested on, and a share is."""
    if {file.split for file in files if not file.unusable} != {"train"}:
        return list(files), []
    said = (
        "All images lie in the training split: a share of the good ones is set apart for tests (ingestion.splits.test)."
    )
    return [replace(file, split=None) for file in files], [Note(said)]


def _strays(contents: Contents, name: str, files: Sequence[RawFile], params: IngestionParams) -> Iterator[RawFile]:
    """Yield what looks like a photograph and is in no list: nothing of a folder is left out unsaid.

    Where several categories share the folder, what is not of one may be of another."""
    if LAYOUTS[name].shared:
        return
    known = _known(files)
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


# --- messages --------------------------------------------------------------------------------------------------------
def _check(contents: Contents, name: str, files: Sequence[RawFile], params: IngestionParams) -> None:
    """Raise FlawlineError if nothing can be learned from."""
    if not files:
        raise FlawlineError(
            f"{contents.root} holds no file in the layout '{name}'.\n{_wanted(params)}\n{_found(contents)}"
        )
    if not any(file.label in (0, None) and file.split != "test" for file in files if not file.unusable):
        raise FlawlineError(
            f"{contents.root} holds no normal image to learn from: wanted, in the layout '{name}', "
            f"{LAYOUTS[name].wanted(params)}; got {len(files)} other files{_reasons(files)}."
            f"{_hint(contents, params)}\n{_found(contents)}"
        )


def _reasons(files: Sequence[RawFile]) -> str:
    """Return in brackets why files cannot be used, the commonest reason first."""
    unusable = [file for file in files if file.unusable]
    if not unusable:
        return ""
    reason, count = Counter(file.unusable for file in unusable).most_common(1)[0]
    first = next(file.path for file in unusable if file.unusable == reason)
    like = f", and {count - 1} like it" if count > 1 else ""
    return f" ({len(unusable)} unusable; {first}: {reason}{like})"


def _hint(contents: Contents, params: IngestionParams) -> str:
    """Return what may be meant by folders of which none is called good."""
    categories = _categories(contents, params)
    if categories:
        return (
            f" It looks like a folder of several categories ({_names(categories)}): give one of them, "
            f"raw={contents.root / categories[0]}."
        )
    classes = classes_in_words(contents, params.good)
    if not classes or any(says_good(kind, params.good) for kind in read_tree(contents, params.good).kinds):
        return ""
    return (
        f" None of its folders is called good in a word that is known: {classes}. Say which one holds normal images: "
        f"--params ingestion.good=NAME."
    )


def _categories(contents: Contents, params: IngestionParams) -> list[str]:
    """Return the folders that each look like a category of its own: with folders of splits or good images in them."""
    found = []
    for folder in contents.top_folders():
        below = [name[len(folder) + 1 :] for name in contents.folders if name.startswith(f"{folder}/")]
        direct = [name for name in below if "/" not in name]
        says = any(split_of(name) or is_good(name, params.good) for name in direct)
        if says and not (split_of(folder) or is_good(folder, params.good)):
            found.append(folder)
    return found if len(found) > 1 else []


def _wanted(params: IngestionParams) -> str:
    lines = [f"  {name}: {layout.wanted(params)}" for name, layout in reversed(LAYOUTS.items())]
    return "\n".join(["Wanted one of:", *lines])


def _found(contents: Contents) -> str:
    names = sorted([*(f"{name}/" for name in contents.top_folders()), *(f for f in contents.files if "/" not in f)])
    return f"Found: {_names(names) or 'nothing'}."


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
