"""KolektorSDD (kosNN/PartN with PartN_label) and KolektorSDD2 (train/ and test/ with NNNNN_GT).

Source: Tabernik et al. 2020, doi:10.1007/s10845-019-01476-x; Bozic et al. 2021, doi:10.1016/j.compind.2021.103459."""

import re
from collections.abc import Iterator

from flawline.intake.folders import Contents
from flawline.intake.layouts.base import Layout, Listed, RawFile, folder_named
from flawline.intake.names import name_of, says_good, stem_of
from flawline.params import IngestionParams

LABEL = re.compile(r"(?P<image>.+)_(label|GT)$", re.IGNORECASE)
NO_LABEL = "has no label picture beside it, so nobody says whether it is defective"


def list_kolektorsdd(contents: Contents, params: IngestionParams, category: str) -> Listed:
    """Every picture with its label picture beside it; a marked pixel makes it defective. An item (kosNN) is a group."""
    items = contents.inner_folders()
    return Listed([
        _raw_file(path, label, group=item) for item in items for path, label in _pairs(contents, item)
    ])  # fmt: skip


def list_kolektorsdd2(contents: Contents, params: IngestionParams, category: str) -> Listed:
    """The data set's own train and test. Its defective training images are for supervised methods and left out."""
    homes = [(split, folder_named(contents, split)) for split in ("train", "test")]
    return Listed([
        _raw_file(path, label, split=split) for split, home in homes if home for path, label in _pairs(contents, home)
    ])  # fmt: skip


def _raw_file(path: str, label: str | None, *, split: str | None = None, group: str | None = None) -> RawFile:
    return RawFile(path, None, "defect", split, mask=label, group=group, unusable="" if label else NO_LABEL)


def _pairs(contents: Contents, folder: str) -> Iterator[tuple[str, str | None]]:
    """Yield each picture of ``folder`` and the label picture of the same name, or None."""
    pictures = contents.by_folder.get(folder, [])
    labels = {match["image"]: path for path in pictures if (match := LABEL.match(stem_of(path)))}
    for path in pictures:
        if not LABEL.match(stem_of(path)):
            yield path, labels.get(stem_of(path))


def _has_labels(contents: Contents, folder: str) -> bool:
    return any(label is not None for _, label in _pairs(contents, folder))


def _is_kolektorsdd(contents: Contents, params: IngestionParams) -> bool:
    items = {item: name_of(item) for item in contents.inner_folders()}
    if any(says_good(name, params.good) for name in items.values()):
        return False
    return any(_has_labels(contents, item) for item, name in items.items() if name.lower() not in ("train", "test"))


KOLEKTORSDD = Layout(
    is_in=_is_kolektorsdd,
    list_files=list_kolektorsdd,
    wanted=lambda params: "ITEM/NAME with ITEM/NAME_label beside it",
)
KOLEKTORSDD2 = Layout(
    is_in=lambda contents, params: (
        (home := folder_named(contents, "train")) is not None and _has_labels(contents, home)
    ),
    list_files=list_kolektorsdd2,
    wanted=lambda params: "train/ and test/ with NAME_GT beside NAME",
)
