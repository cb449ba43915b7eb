"""What all layouts share: one file of a raw folder, and how folders are walked."""

import os
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flawline.intake.decoding import SUFFIXES
from flawline.intake.folders import files_in, refuse
from flawline.params import IngestionParams

SPLIT_FOLDERS = {  # what data sets call their splits, in any case
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "calibration": "calibration",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class RawFile:
    """One file of a raw folder; paths are relative to it, with forward slashes."""

    path: str
    label: int | None  # 0 normal, 1 defective; None: defective if its mask marks a pixel
    defect: str  # the defect's folder or class name; "good" for normal images
    split: str | None = None  # the data set's own split, where it has one
    mask: str | None = None  # as intake.masks reads it: pictures, or a file of annotations
    group: str | None = None  # what must stay in one split: an item, a strip; None: the image alone
    unusable: str = ""  # why it cannot be used, where the layout knows already


@dataclass(frozen=True)
class Layout:
    """How one kind of raw folder is recognised and listed; ``wanted`` says in words what it looks like."""

    is_in: Callable[[Path, IngestionParams], bool]
    list_files: Callable[[Path, IngestionParams, str], Iterator[RawFile]]  # (folder, params, category)
    wanted: Callable[[IngestionParams], str]
    shared: Callable[[Path], bool] | None = None  # whether several categories share the folder; None: they never do
    complete: bool = False  # its list already names every picture of the folder


def pictures_in(folder: Path, *, deep: bool = False) -> Iterator[Path]:
    """Yield the files of ``folder`` that are named like images."""
    return (path for path in files_in(folder, deep=deep) if path.suffix.lower() in SUFFIXES)


def stray_files(folder: Path, known: Container[str]) -> Iterator[Path]:
    """Yield what is named like an image and not ``known`` (paths below ``folder``), and links to folders of which
    nothing is known; hidden ones left out."""
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [Path(parent, name) for name in folders if Path(parent, name).is_symlink()]
        paths = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths
                    if path.suffix.lower() in SUFFIXES and relative(path, folder) not in known)  # fmt: skip
        yield from (
            path for path in links if not any(relative(each, folder) in known for each in files_in(path, deep=True))
        )


def odd_entry(path: Path) -> str:
    """Return why something that is named like an image is no file to read; empty if it is one."""
    if path.is_dir():
        return "is a link to a folder, which is not followed; give the folder itself"
    return "" if path.is_file() else "is no file (a broken link, or a device)"


def folders_in(folder: Path) -> list[str]:
    """Return the names of the subfolders of ``folder``, sorted, hidden ones left out."""
    if not folder.is_dir():
        return []
    _, folders, _ = next(os.walk(folder, onerror=refuse))
    return sorted(name for name in folders if not name.startswith("."))


def folder_named(folder: Path, name: str) -> Path | None:
    """Return the subfolder called ``name`` in any case, or None."""
    return next((folder / each for each in folders_in(folder) if each.lower() == name.lower()), None)


def is_good(name: str, good: Sequence[str]) -> bool:
    """Return True if ``name`` is one of the words for normal images, in any case."""
    return name.lower() in {wanted.lower() for wanted in good}


def relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
