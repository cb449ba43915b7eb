"""How folders of photographs are walked, and what is said of one that cannot be used."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from flawline.checks import FlawlineError
from flawline.intake.codecs.suffixes import SUFFIXES
from flawline.intake.grouping import grouped
from flawline.intake.names import Names, ending_of

# What operating systems, network storage and editors keep in folders; hidden names are theirs as well.
SYSTEM = re.compile(
    r"@eaDir|@tmp|@Recycle|@Recently-Snapshot|@SynoResource|#recycle|#snapshot|\$RECYCLE\.BIN|RECYCLER|RECYCLED|"
    r"System Volume Information|lost\+found|__MACOSX|__pycache__|FOUND\.\d{3}|(?:ehthumbs|Thumbs)\w*\.db|desktop\.ini|"
    r"~snapshot|Network Trash Folder|_gsdata_|_vti_cnf|_thumbs|Papierkorb|AlbumArt.*\.jpg|folder\.jpg|Icon\r|"
    r"~\$.*|~.*\.tmp|.*\.(?:crdownload|partial|part)",
    re.IGNORECASE | re.DOTALL,
)
SHOWN = 5  # names in a sentence
# Files that lie beside photographs and are none.
SIDECARS = frozenset((".txt", ".csv", ".tsv", ".json", ".xml", ".yml", ".yaml", ".md", ".log", ".ini", ".db", ".html",
                      ".pdf", ".py", ".zip", ".xlsx", ".cache"))  # fmt: skip


@dataclass(frozen=True, eq=False)  # the same contents are the same object, so that what was made of them is found
class Contents:
    """What lies below a folder, found in one walk; paths are relative to it, with forward slashes, sorted."""

    root: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]
    odd: dict[str, str] = field(default_factory=dict)  # what is neither file nor folder to read -> why
    skipped: tuple[str, ...] = ()  # names of what the system keeps there

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """The files that are named like pictures."""
        return tuple(path for path in self.files if ending_of(path) in SUFFIXES)

    @cached_property
    def by_ending(self) -> dict[str, list[str]]:
        """The files by how their names end, in lower case."""
        return grouped(self.files, ending_of)

    @cached_property
    def by_folder(self) -> dict[str, list[str]]:
        """The pictures by the folder that they lie in; of the root, "."."""
        return grouped(self.pictures, lambda path: path.rpartition("/")[0] or ".")

    @cached_property
    def named(self) -> Names:
        """The pictures, to be found by how others write their names."""
        return Names(self.pictures)

    def ending(self, *suffixes: str) -> list[str]:
        """Return the files with one of these ``suffixes``, in any case."""
        return sorted(path for suffix in suffixes for path in self.by_ending.get(suffix, ()))

    def top_folders(self) -> list[str]:
        """Return the names of the folders directly below the root."""
        return [name for name in self.folders if "/" not in name]

    def inner_folders(self) -> list[str]:
        """Return the folders below the one that lies around everything, or below the root where there is none."""
        around = ""
        while True:
            below = [name for name in self.folders if name.rpartition("/")[0] == around]
            deeper = [name for name in self.folders if below and name.rpartition("/")[0] == below[0]]
            if len(below) != 1 or not deeper or (around or ".") in self.by_folder or below[0] in self.by_folder:
                return below
            around = below[0]

    def skipped_in_words(self) -> str:
        """Return in a sentence what was not looked into; nothing where there is none."""
        if not self.skipped:
            return ""
        kinds = Counter(name[:2] + "*" if name.startswith(("._", "~$")) else name for name in self.skipped)
        names = [name for name, _ in kinds.most_common(SHOWN)]
        more = ", ..." if len(kinds) > SHOWN else ""
        count = "1 hidden or system entry was" if len(self.skipped) == 1 else (
            f"{len(self.skipped)} hidden or system entries were"
        )  # fmt: skip
        return f"{count} not looked into ({', '.join(names)}{more})."


def contents_of(folder: Path) -> Contents:
    """Walk ``folder`` once. What is hidden or the system's is counted and not looked into; a linked folder is followed
    unless that leads to what is walked anyway. Raise FlawlineError for a folder that cannot be listed."""
    files: list[str] = []
    folders: list[str] = []
    odd: dict[str, str] = {}
    skipped: list[str] = []
    root = Path(os.path.realpath(folder))
    linked: set[str] = set()  # where the links lead that were followed
    left = [("", folder)]
    while left:
        below, path = left.pop()
        for entry in _entries(path):
            name = f"{below}{entry.name}"
            if is_system(entry.name):
                skipped.append(entry.name)
            elif _is(entry, folder=True):
                if entry.is_symlink() and not _leads_elsewhere(Path(entry.path), root, linked):
                    odd[name] = "is a link to a folder that is read anyway"
                else:
                    folders.append(name)
                    left.append((f"{name}/", Path(entry.path)))
            elif _is(entry, folder=False):
                files.append(name)
            elif ending_of(name) in SUFFIXES:
                odd[name] = "is no file (a broken link, or a device)"
    return Contents(folder, tuple(sorted(files)), tuple(sorted(folders)), odd, tuple(sorted(skipped)))


def _is(entry: os.DirEntry, *, folder: bool) -> bool:
    """Return True if an entry is a folder, or a file; a link that leads in a circle is neither."""
    try:
        return entry.is_dir() if folder else entry.is_file()
    except OSError:
        return False


def _leads_elsewhere(link: Path, root: Path, linked: set[str]) -> bool:
    """Return True, and remember where to, if a linked folder is neither below ``root`` nor above it nor known."""
    real = Path(os.path.realpath(link))
    known = str(real) in linked or real.is_relative_to(root) or root.is_relative_to(real)
    linked.add(str(real))
    return not known


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        refuse(error)


def is_system(name: str) -> bool:
    """Return True if a file or folder of this name is hidden, or kept by a system and no photograph of anybody's."""
    return name.startswith(".") or SYSTEM.fullmatch(name) is not None


def check_folder(folder: Path, *, param: str = "raw") -> None:
    """Raise FlawlineError unless ``folder``, given as ``param``, is a directory that can be listed and is not empty."""
    if not folder.exists():
        raise FlawlineError(
            f"no folder {folder}. Wanted a folder of photographs; give it as --params {param}=FOLDER,category=NAME "
            f"(or make {'run' if param == 'raw' else 'inspect'} {param.upper()}=FOLDER CATEGORY=NAME)."
        )
    if not folder.is_dir():
        raise FlawlineError(f"{folder} is a file; wanted a folder of photographs")
    if not _entries(folder):
        raise FlawlineError(f"{folder} is empty; wanted a folder of photographs")


def refuse(error: OSError) -> NoReturn:
    """Raise FlawlineError for a folder that cannot be listed."""
    raise FlawlineError(
        f"cannot list {error.filename}: {error.strerror}. Wanted a folder of photographs that can be read; check "
        f"its permissions, or move it out of the raw folder."
    ) from None
