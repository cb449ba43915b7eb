"""The folder layouts photographs arrive in: which file is what, before any of them is decoded."""

from dataclasses import dataclass
from pathlib import Path

from flawline.checks import FlawlineError
from flawline.intake.folders import check_folder, contents_of
from flawline.intake.layouts.base import RawFile
from flawline.intake.layouts.choice import choose_layout
from flawline.intake.layouts.leftovers import said_of_splits, strays, unread, without_contradictions
from flawline.intake.layouts.messages import check_normal
from flawline.intake.layouts.registry import EXPLICIT, LAYOUTS
from flawline.intake.notes import Note
from flawline.params import IngestionParams

__all__ = [
    "EXPLICIT",
    "LAYOUTS",
    "Listing",
    "RawFile",
    "check_folder",
    "contents_of",
    "detect_layout",
    "holds_categories",
    "list_raw_folder",
]


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
    name, listed, others = choose_layout(contents, params, category)
    left = unread(contents, name, listed, params)
    if listed.assumed and left and params.layout == "auto":
        raise FlawlineError(
            f"{next(iter(left.values()))}\nTo read the images as good all the same: ingestion.layout={name}."
        )
    files, contrary = without_contradictions(contents, listed.files, params, read=listed.read)
    files += [*strays(contents, name, files, params)] if files else []
    check_normal(contents, name, files, params)
    skipped = [Note(said)] if (said := contents.skipped_in_words()) else []
    unused = [Note(sentence, caution=True) for sentence in left.values()]
    notes = (*listed.notes, *contrary, *said_of_splits(files), *others, *unused, *skipped)
    return Listing(name, sorted(files, key=lambda file: file.path), notes)


def detect_layout(folder: Path, params: IngestionParams) -> str:
    """Return the name of the layout: the one asked for, else the one that explains most of the folder's files.

    Raise FlawlineError if it looks like none, or is missing or empty."""
    check_folder(folder)
    return params.layout if params.layout != "auto" else choose_layout(contents_of(folder), params, "")[0]


def holds_categories(folder: Path) -> bool:
    """Return True if ``folder`` is one raw folder that several categories share."""
    if not folder.is_dir():
        return False
    contents = contents_of(folder)
    return any(layout.shared(contents) for layout in LAYOUTS.values() if layout.shared)
