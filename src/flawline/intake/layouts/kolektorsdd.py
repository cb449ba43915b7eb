"""KolektorSDD (kosNN/PartN with PartN_label) and KolektorSDD2 (train/ and test/ with NNNNN_GT).

Source: Tabernik et al. 2020, doi:10.1007/s10845-019-01476-x; Bozic et al. 2021, doi:10.1016/j.compind.2021.103459."""

import re
from collections.abc import Iterator
from pathlib import Path

from flawline.intake.layouts.base import Layout, RawFile, folder_named, folders_in, is_good, pictures_in, relative
from flawline.params import IngestionParams

LABEL = re.compile(r"(?P<image>.+)_(label|GT)$", re.IGNORECASE)
NO_LABEL = "has no label picture beside it, so nobody says whether it is defective"


def list_kolektorsdd(folder: Path, params: IngestionParams, category: str) -> Iterator[RawFile]:
    """Every picture with its label picture beside it; a marked pixel makes it defective. An item (kosNN) is a group."""
    for item in folders_in(folder):
        for path, label in _pairs(folder / item):
            mask = relative(label, folder) if label else None
            yield RawFile(relative(path, folder), None, "defect", mask=mask, group=item,
                          unusable="" if label else NO_LABEL)  # fmt: skip


def list_kolektorsdd2(folder: Path, params: IngestionParams, category: str) -> Iterator[RawFile]:
    """The data set's own train and test. Its defective training images are for supervised methods and left out."""
    for split in ("train", "test"):
        home = folder_named(folder, split)
        for path, label in _pairs(home) if home else ():
            mask = relative(label, folder) if label else None
            yield RawFile(relative(path, folder), None, "defect", split=split, mask=mask,
                          unusable="" if label else NO_LABEL)  # fmt: skip


def _pairs(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield each picture of ``folder`` and the label picture of the same name, or None."""
    pictures = list(pictures_in(folder))
    labels = {match["image"]: path for path in pictures if (match := LABEL.match(path.stem))}
    for path in pictures:
        if not LABEL.match(path.stem):
            yield path, labels.get(path.stem)


def _has_labels(folder: Path) -> bool:
    return any(label is not None for _, label in _pairs(folder))


KOLEKTORSDD = Layout(
    is_in=lambda folder, params: (
        any(_has_labels(folder / item) for item in folders_in(folder) if item.lower() not in ("train", "test"))
        and not any(is_good(item, params.good) for item in folders_in(folder))
    ),
    list_files=list_kolektorsdd,
    wanted=lambda params: "ITEM/NAME with ITEM/NAME_label beside it",
)
KOLEKTORSDD2 = Layout(
    is_in=lambda folder, params: (home := folder_named(folder, "train")) is not None and _has_labels(home),
    list_files=list_kolektorsdd2,
    wanted=lambda params: "train/ and test/ with NAME_GT beside NAME",
)
