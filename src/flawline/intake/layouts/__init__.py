"""The folder layouts photographs arrive in: which file is what, before any of them is decoded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flawline.checks import FlawlineError
from flawline.intake.folders import check_folder, files_in
from flawline.intake.layouts.aitex import AITEX
from flawline.intake.layouts.base import (
    Layout,
    RawFile,
    is_good,
    odd_entry,
    relative,
    stray_files,
)
from flawline.intake.layouts.boxes import COCO, VOC
from flawline.intake.layouts.classes import FOLDERS, MASK_FOLDERS, MVTEC
from flawline.intake.layouts.kolektorsdd import KOLEKTORSDD, KOLEKTORSDD2
from flawline.intake.layouts.table import TABLE
from flawline.intake.masks import APART
from flawline.intake.notes import Note
from flawline.params import IngestionParams

__all__ = [
    "LAYOUTS",
    "Listing",
    "RawFile",
    "check_folder",
    "detect_layout",
    "files_in",
    "holds_categories",
    "list_raw_folder",
]

# In the order in which they are tried: the most particular first, since loose files alone are 'folders'.
LAYOUTS: dict[str, Layout] = {
    "csv": TABLE,
    "aitex": AITEX,
    "mvtec": MVTEC,
    "coco": COCO,
    "voc": VOC,
    "kolektorsdd2": KOLEKTORSDD2,
    "kolektorsdd": KOLEKTORSDD,
    "folders": FOLDERS,
}


@dataclass(frozen=True)
class Listing:
    """The files of a raw folder, sorted by path, as ``layout`` reads it, and what is to be said of them."""

    layout: str
    files: list[RawFile]
    notes: tuple[Note, ...] = ()


def list_raw_folder(folder: Path, params: IngestionParams, *, category: str = "") -> Listing:
    """List the photographs of ``folder``. Raise FlawlineError if it is missing, empty or unlike the layout.
    ``category`` tells which is meant where a layout holds several."""
    name = detect_layout(folder, params)
    listed = list(LAYOUTS[name].list_files(folder, params, category))
    files = sorted([*listed, *_strays(folder, name, listed, params)] if listed else [], key=lambda file: file.path)
    if not files:
        raise FlawlineError(f"{folder} holds no file in the layout '{name}'.\n{_wanted(params)}\n{_found(folder)}")
    if not any(file.label in (0, None) and file.split != "test" for file in files if not file.unusable):
        raise FlawlineError(
            f"{folder} holds no normal image to learn from: wanted, in the layout '{name}', "
            f"{LAYOUTS[name].wanted(params)}; got {len(files)} other files{_first_unusable(files)}.\n{_found(folder)}"
        )
    return Listing(name, files)


def detect_layout(folder: Path, params: IngestionParams) -> str:
    """Return the name of the layout: the one asked for, else the first in LAYOUTS that ``folder`` looks like.

    Raise FlawlineError if it looks like none, or is missing or empty."""
    check_folder(folder)
    if params.layout != "auto":
        return params.layout
    for name, layout in LAYOUTS.items():
        if layout.is_in(folder, params):
            return name
    raise FlawlineError(f"no known layout in {folder}.\n{_wanted(params)}\n{_found(folder)}")


def holds_categories(folder: Path) -> bool:
    """Return True if ``folder`` is one raw folder that several categories share."""
    return folder.is_dir() and any(layout.shared(folder) for layout in LAYOUTS.values() if layout.shared)


def _strays(folder: Path, name: str, listed: Sequence[RawFile], params: IngestionParams) -> Iterator[RawFile]:
    """Yield what looks like a photograph and is in no list: nothing of a folder is left out unsaid.

    Where several categories share the folder, what is not of one may be of another."""
    if LAYOUTS[name].shared or LAYOUTS[name].complete:
        return
    known = {file.path for file in listed} | {part for file in listed for part in (file.mask or "").split(APART)}
    for path in stray_files(folder, known):
        parts = [part.lower() for part in path.relative_to(folder).parts[:-1]]
        in_masks = any(part in MASK_FOLDERS for part in parts)
        if in_masks and any(is_good(part, params.good) for part in parts):
            continue  # the masks of good images, which mark nothing
        lies = "is a mask of no image" if in_masks else f"lies where the layout '{name}' looks for no image"
        yield RawFile(relative(path, folder), 0, "good", unusable=odd_entry(path) or lies)


def _first_unusable(files: Sequence[RawFile]) -> str:
    unusable = [file for file in files if file.unusable]
    return f" ({len(unusable)} unusable, the first: {unusable[0].path} {unusable[0].unusable})" if unusable else ""


def _wanted(params: IngestionParams) -> str:
    lines = [f"  {name}: {layout.wanted(params)}" for name, layout in reversed(LAYOUTS.items())]
    return "\n".join(["Wanted one of:", *lines])


def _found(folder: Path) -> str:
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir())
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"Found: {shown or 'nothing'}."
