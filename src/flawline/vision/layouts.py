"""The folder layouts photographs arrive in: which file is what, before any of them is decoded."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NoReturn

from flawline.checks import FlawlineError
from flawline.vision.decoding import SUFFIXES

MASK_FOLDERS = ("ground_truth", "masks")  # in any case
HELD_OUT = ("validation", "calibration")  # split folders that layouts may add to train and test


@dataclass(frozen=True)
class RawFile:
    """One file of a raw folder; paths are relative to it, with forward slashes."""

    path: str
    label: int  # 0 normal, 1 defective
    defect: str  # the defect's folder name; "good" for normal images
    split: str | None = None  # the data set's own split, where it has one
    mask: str | None = None


def list_raw_files(folder: Path, *, layout: str = "auto", good: Sequence[str] = ("good",)) -> list[RawFile]:
    """List the photographs of ``folder``, sorted by path. Raise FlawlineError if it is missing, empty or unlike the
    layout; ``good`` are the folder names (any case) that hold normal images."""
    check_folder(folder)
    name = detect_layout(folder, good=good) if layout == "auto" else layout
    files = sorted(LAYOUTS[name](folder, good), key=lambda file: file.path)
    if not files:
        raise FlawlineError(f"{folder} holds no file in the layout '{name}'.\n{_wanted(good)}\n{_found(folder)}")
    if not any(file.label == 0 and file.split != "test" for file in files):
        raise FlawlineError(
            f"{folder} holds no normal image to learn from: wanted images in {_wanted_folder(name, good)}, "
            f"got {len(files)} other files.\n{_found(folder)}"
        )
    return files


def detect_layout(folder: Path, *, good: Sequence[str]) -> str:
    """Return 'mvtec' where train/good exists, 'folders' where good/ or loose files do; raise FlawlineError else."""
    if (folder / "train").is_dir() and _good_folder(folder / "train", good):
        return "mvtec"
    if _good_folder(folder, good) or any(files_in(folder)):
        return "folders"
    raise FlawlineError(f"no known layout in {folder}.\n{_wanted(good)}\n{_found(folder)}")


def list_mvtec(folder: Path, good: Sequence[str]) -> Iterator[RawFile]:
    """MVTec AD: {train,test}/DEFECT/NNN, ground_truth/DEFECT/NNN_mask; also validation/good and calibration/good."""
    masks = _index_masks(folder)
    for split in ("train", *HELD_OUT, "test"):
        for file in _list_classes(folder / split, good):
            yield replace(file, path=f"{split}/{file.path}", split=split, mask=_find_mask(masks, file))


def list_folders(folder: Path, good: Sequence[str]) -> Iterator[RawFile]:
    """good/ and a folder a defect, masks optional in ground_truth/ or masks/; loose files count as normal."""
    for path in files_in(folder):
        yield RawFile(path.name, 0, "good")
    masks = _index_masks(folder)
    for file in _list_classes(folder, good):
        yield replace(file, mask=_find_mask(masks, file))


LAYOUTS: dict[str, Callable[[Path, Sequence[str]], Iterator[RawFile]]] = {
    "mvtec": list_mvtec,
    "folders": list_folders,
}


def check_folder(folder: Path, *, param: str = "raw") -> None:
    """Raise FlawlineError unless ``folder``, given as ``param``, is a directory that can be listed and is not empty."""
    if not folder.exists():
        raise FlawlineError(
            f"no folder {folder}. Wanted a folder of photographs; give it as --params {param}=FOLDER,category=NAME "
            f"(or make {'run' if param == 'raw' else 'inspect'} {param.upper()}=FOLDER CATEGORY=NAME)."
        )
    if not folder.is_dir():
        raise FlawlineError(f"{folder} is a file; wanted a folder of photographs")
    _, folders, names = next(os.walk(folder, onerror=_refuse))
    if not folders and not names:
        raise FlawlineError(f"{folder} is empty; wanted a folder of photographs")


def _list_classes(folder: Path, good: Sequence[str]) -> Iterator[RawFile]:
    if not folder.is_dir():
        return
    for defect in _folders(folder):
        normal = _is_good(defect, good)
        for path in () if defect.lower() in MASK_FOLDERS else files_in(folder / defect, deep=True):
            yield RawFile(path.relative_to(folder).as_posix(), 0 if normal else 1, "good" if normal else defect)


def _index_masks(folder: Path) -> dict[str, str]:
    """Return the files of the mask folders by DEFECT/NAME without extension; of several, a picture's wins."""
    masks: dict[str, str] = {}
    for home in (folder / name for name in _folders(folder) if name.lower() in MASK_FOLDERS):
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


def files_in(folder: Path, *, deep: bool = False) -> Iterator[Path]:
    """Yield the files of ``folder``, sorted; hidden ones and what lies in hidden or linked subfolders left out."""
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        paths = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _folders(folder: Path) -> list[str]:
    _, folders, _ = next(os.walk(folder, onerror=_refuse))
    return sorted(name for name in folders if not name.startswith("."))


def _refuse(error: OSError) -> NoReturn:
    raise FlawlineError(
        f"cannot list {error.filename}: {error.strerror}. Wanted a folder of photographs that can be read; check "
        f"its permissions, or move it out of the raw folder."
    ) from None


def _is_good(name: str, good: Sequence[str]) -> bool:
    return name.lower() in {wanted.lower() for wanted in good}


def _good_folder(folder: Path, good: Sequence[str]) -> bool:
    return any(_is_good(name, good) for name in _folders(folder))


def _wanted_folder(layout: str, good: Sequence[str]) -> str:
    return " or ".join(f"train/{name}/" if layout == "mvtec" else f"{name}/" for name in good)


def _wanted(good: Sequence[str]) -> str:
    return (
        f"Wanted: {good[0]}/ with normal images and, if there are any, a folder a defect (layout 'folders'); "
        f"or train/{good[0]}/, test/DEFECT/ and ground_truth/DEFECT/ (layout 'mvtec')."
    )


def _found(folder: Path) -> str:
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir())
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"Found: {shown or 'nothing'}."
