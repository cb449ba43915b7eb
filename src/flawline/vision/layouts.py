"""The folder layouts photographs arrive in: which file is what, before any of them is decoded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flawline.checks import FlawlineError

MASK_FOLDERS = ("ground_truth", "masks")
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
    if _good_folder(folder, good) or any(_files(folder)):
        return "folders"
    raise FlawlineError(f"no known layout in {folder}.\n{_wanted(good)}\n{_found(folder)}")


def list_mvtec(folder: Path, good: Sequence[str]) -> Iterator[RawFile]:
    """MVTec AD: {train,test}/DEFECT/NNN, ground_truth/DEFECT/NNN_mask; also validation/good and calibration/good."""
    for split in ("train", *HELD_OUT, "test"):
        for file in _list_classes(folder / split, good):
            yield replace(file, path=f"{split}/{file.path}", split=split, mask=_find_mask(folder, file))


def list_folders(folder: Path, good: Sequence[str]) -> Iterator[RawFile]:
    """good/ and a folder a defect, masks optional in ground_truth/ or masks/; loose files count as normal."""
    for path in _files(folder):
        yield RawFile(path.name, 0, "good")
    for file in _list_classes(folder, good):
        yield replace(file, mask=_find_mask(folder, file))


LAYOUTS: dict[str, Callable[[Path, Sequence[str]], Iterator[RawFile]]] = {
    "mvtec": list_mvtec,
    "folders": list_folders,
}


def check_folder(folder: Path) -> None:
    """Raise FlawlineError unless ``folder`` is a directory that can be listed and is not empty."""
    if not folder.exists():
        raise FlawlineError(
            f"no folder {folder}. Wanted a folder of photographs; give it as --params raw=FOLDER,category=NAME "
            f"(or make run RAW=FOLDER CATEGORY=NAME)."
        )
    if not folder.is_dir():
        raise FlawlineError(f"{folder} is a file; wanted a folder of photographs")
    try:
        empty = not any(folder.iterdir())
    except PermissionError:
        raise FlawlineError(f"no permission to list {folder}; wanted a folder of photographs") from None
    if empty:
        raise FlawlineError(f"{folder} is empty; wanted a folder of photographs")


def _list_classes(folder: Path, good: Sequence[str]) -> Iterator[RawFile]:
    if not folder.is_dir():
        return
    for defect in sorted(p for p in folder.iterdir() if p.is_dir() and not _is_skipped(p)):
        normal = defect.name.lower() in good
        for path in _files(defect, deep=True):
            name = "good" if normal else defect.name
            yield RawFile(path.relative_to(folder).as_posix(), 0 if normal else 1, name)


def _find_mask(folder: Path, file: RawFile) -> str | None:
    """Return the mask of DEFECT/NNN.ext, any extension: MASKS/DEFECT/NNN_mask.* or MASKS/DEFECT/NNN.*"""
    if file.label == 0:
        return None
    image = Path(file.path)
    for masks in MASK_FOLDERS:
        home = folder / masks / image.parent
        for stem in (f"{image.stem}_mask", image.stem):
            for path in sorted(home.glob(f"{_escape(stem)}.*")) if home.is_dir() else ():
                return path.relative_to(folder).as_posix()
    return None


def _escape(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)


def _files(folder: Path, *, deep: bool = False) -> Iterator[Path]:
    paths = folder.rglob("*") if deep else folder.iterdir()
    return (p for p in sorted(paths) if p.is_file() and not p.name.startswith("."))


def _is_skipped(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name.lower() in MASK_FOLDERS


def _good_folder(folder: Path, good: Sequence[str]) -> bool:
    return any(p.is_dir() and p.name.lower() in good for p in folder.iterdir())


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
