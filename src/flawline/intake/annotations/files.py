"""Files that annotate many images: what they mark by image, and which picture a name in them means."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote

from flawline.intake.annotations.base import Annotated
from flawline.intake.folders import Contents
from flawline.intake.notes import Note

DRIVE = re.compile(r"^[A-Za-z]:/")


@dataclass(frozen=True)
class NamedImages:
    """What one file marks, by image (relative to the raw folder), and what is to be said of it."""

    images: Mapping[str, Annotated]
    notes: tuple[Note, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)  # image -> the subset that the file names


@dataclass(frozen=True)
class Written:
    """The name of an image as the annotation ``file`` has it, and the subset that it is of, if it says so."""

    file: str
    name: str
    subset: str = ""


def locate_image(contents: Contents, written: Written) -> str:
    """Return which picture is meant: beside the file, in images/, in a folder of the subset, or the one picture with
    the same last parts; as it is written, or without URL quotes. Where there is none, the name below the file."""
    home = PurePosixPath(written.file).parent
    subset = written.subset or PurePosixPath(written.file).stem.rpartition("_")[2]
    homes = [home, home / "images", home.parent / "images", PurePosixPath(), PurePosixPath("images"),
             PurePosixPath(subset), PurePosixPath("images", subset)]  # fmt: skip
    names = list(dict.fromkeys(_below(each) for each in (written.name, unquote(written.name))))
    for name in names:
        for each in homes:
            found = contents.named.exact(os.path.normpath(each / name))
            if found is not None:
                return found
    for name in names:
        found = contents.named.find(name)
        if found is not None:
            return found
    missing = os.path.normpath(home / names[0])
    return PurePosixPath(names[0]).name.strip(".") or "unnamed" if missing.startswith("..") else missing


def _below(name: str) -> str:
    """Return a written name as a relative path with forward slashes; of an address, what its query names."""
    path = name.rpartition("?d=")[2].replace("\\", "/")
    path = DRIVE.sub("", re.sub(r"^[a-z]+://[^/]*/", "", path)).lstrip("/")
    return path or "unnamed"
