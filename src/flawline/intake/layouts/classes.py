"""A folder for each class of images: 'mvtec' (MVTec AD) and 'folders' (good/ and anything else)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from flawline.intake.decoding import SUFFIXES
from flawline.intake.layouts.base import Layout, RawFile, files_in, folder_named, folders_in, is_good
from flawline.params import IngestionParams

MASK_FOLDERS = ("ground_truth", "masks")  # in any case
HELD_OUT = ("validation", "calibration")  # split folders that flawline adds to MVTec's train and test


def list_mvtec(folder: Path, params: IngestionParams, category: str) -> Iterator[RawFile]:
    """MVTec AD: {train,test}/DEFECT/NNN, ground_truth/DEFECT/NNN_mask; also validation/good and calibration/good."""
    masks = _index_masks(folder)
    for split in ("train", *HELD_OUT, "test"):
        home = folder_named(folder, split)
        if home is None:
            continue
        for file in _list_classes(home, params.good):
            yield replace(file, path=f"{home.name}/{file.path}", split=split, mask=_find_mask(masks, file))


def list_folders(folder: Path, params: IngestionParams, category: str) -> Iterator[RawFile]:
    """good/ and a folder a defect, masks optional in ground_truth/ or masks/; loose files count as normal."""
    for path in files_in(folder):
        yield RawFile(path.name, 0, "good")
    masks = _index_masks(folder)
    for file in _list_classes(folder, params.good):
        yield replace(file, mask=_find_mask(masks, file))


def _list_classes(folder: Path, good: Sequence[str]) -> Iterator[RawFile]:
    for defect in folders_in(folder):
        normal = is_good(defect, good)
        for path in () if defect.lower() in MASK_FOLDERS else files_in(folder / defect, deep=True):
            yield RawFile(path.relative_to(folder).as_posix(), 0 if normal else 1, "good" if normal else defect)


def _index_masks(folder: Path) -> dict[str, str]:
    """Return the files of the mask folders by DEFECT/NAME without extension; of several, a picture's wins."""
    masks: dict[str, str] = {}
    for home in (folder / name for name in folders_in(folder) if name.lower() in MASK_FOLDERS):
        for path in sorted(files_in(home, deep=True), key=lambda p: p.suffix.lower() not in SUFFIXES):
            key = path.relative_to(home).with_name(path.stem).as_posix()
            masks.setdefault(key, path.relative_to(folder).as_posix())
    return masks


def _find_mask(masks: Mapping[str, str], file: RawFile) -> str | None:
    """Return the mask of DEFECT/NNN.ext, any extension: DEFECT/NNN_mask or DEFECT/NNN; a normal image has none."""
    if file.label == 0:
        return None
    image = PurePosixPath(file.path)
    stems = (f"{image.stem}_mask", image.stem)
    return next((masks[key] for stem in stems if (key := str(image.with_name(stem))) in masks), None)


def _good_folder(folder: Path, good: Sequence[str]) -> bool:
    return any(is_good(name, good) for name in folders_in(folder))


MVTEC = Layout(
    is_in=lambda folder, params: (
        (home := folder_named(folder, "train")) is not None and _good_folder(home, params.good)
    ),
    list_files=list_mvtec,
    wanted=lambda params: f"train/{params.good[0]}/, test/DEFECT/ and ground_truth/DEFECT/",
)
FOLDERS = Layout(
    is_in=lambda folder, params: _good_folder(folder, params.good) or any(files_in(folder)),
    list_files=list_folders,
    wanted=lambda params: f"{params.good[0]}/ with normal images and, if there are any, a folder a defect",
)
