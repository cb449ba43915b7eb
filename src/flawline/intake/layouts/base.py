"""What all layouts share: one file of a raw folder, what a layout makes of the whole folder, and what it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flawline.intake.folders import Contents
from flawline.intake.masks import APART
from flawline.intake.names import called_good, folded, name_of
from flawline.intake.notes import Note
from flawline.params import IngestionParams


@dataclass(frozen=True)
class RawFile:
    """One file of a raw folder; paths are relative to it, with forward slashes."""

    path: str
    label: int | None  # 0 normal, 1 defective; None: defective if its mask marks a pixel
    defect: str  # the defect's folder or class name; "good" for normal images
    split: str | None = None  # the data set's own split, where it has one
    mask: str | None = None  # as intake.masks reads it: pictures, or files of annotations
    group: str | None = None  # what must stay in one split: an item, a strip; None: the image alone
    unusable: str = ""  # why it cannot be used, where the layout knows already


@dataclass(frozen=True)
class Listed:
    """What a layout makes of a folder."""

    files: list[RawFile]
    notes: tuple[Note, ...] = ()
    read: frozenset[str] = frozenset()  # files that it reads beside the images and their masks: tables, annotations
    strangers: frozenset[str] = frozenset()  # files that it lists and has no place for
    assumed: bool = False  # that images are good is told by nothing: they lie loose, and nobody said otherwise


@dataclass(frozen=True)
class Layout:
    """How one kind of raw folder is recognised and listed; ``wanted`` says in words what it looks like."""

    is_in: Callable[[Contents, IngestionParams], bool]
    list_files: Callable[[Contents, IngestionParams, str], Listed]  # (contents, params, category)
    wanted: Callable[[IngestionParams], str]
    shared: Callable[[Contents], bool] | None = None  # whether several categories share the folder; None: they never do
    certain: bool = False  # a folder that looks like it is nothing else


def said_of_classes(files: Iterable[RawFile], good: tuple[str, ...]) -> list[Note]:
    """Return the caution that classes of annotations hold a word for good and count as defects."""
    names = {name for file in files if file.label == 1 and not file.unusable for name in file.defect.split("+")}
    holding = sorted(name for name in names if called_good(name, good))
    said = f"These classes hold a word for good and count as defects: {', '.join(holding)}. If not: ingestion.good."
    return [Note(said, caution=True)] if holding else []


def folder_named(contents: Contents, name: str) -> str | None:
    """Return the folder that is called ``name`` in any case, below what lies around everything, or None."""
    known = [*contents.top_folders(), *contents.inner_folders()]
    return next((each for each in known if folded(name_of(each)) == folded(name)), None)


def named_by(files: Iterable[RawFile]) -> set[str]:
    """Return the images and their masks that ``files`` name."""
    return {path for file in files for path in (file.path, *(file.mask or "").split(APART))}
