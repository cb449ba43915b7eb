"""How folders of photographs are walked, and what is said of one that cannot be used."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from flawline.checks import FlawlineError


def files_in(folder: Path, *, deep: bool = False) -> Iterator[Path]:
    """Yield the files of ``folder``, sorted; hidden ones and what lies in hidden or linked subfolders left out."""
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        paths = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def check_folder(folder: Path, *, param: str = "raw") -> None:
    """Raise FlawlineError unless ``folder``, given as ``param``, is a directory that can be listed and is not empty."""
    if not folder.exists():
        raise FlawlineError(
            f"no folder {folder}. Wanted a folder of photographs; give it as --params {param}=FOLDER,category=NAME "
            f"(or make {'run' if param == 'raw' else 'inspect'} {param.upper()}=FOLDER CATEGORY=NAME)."
        )
    if not folder.is_dir():
        raise FlawlineError(f"{folder} is a file; wanted a folder of photographs")
    _, folders, names = next(os.walk(folder, onerror=refuse))
    if not folders and not names:
        raise FlawlineError(f"{folder} is empty; wanted a folder of photographs")


def refuse(error: OSError) -> NoReturn:
    """Raise FlawlineError for a folder that cannot be listed."""
    raise FlawlineError(
        f"cannot list {error.filename}: {error.strerror}. Wanted a folder of photographs that can be read; check "
        f"its permissions, or move it out of the raw folder."
    ) from None
