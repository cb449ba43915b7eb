"""YOLO: a text file an image, a line a defect: a class number and a box, or the corners of an outline, in shares of the
image's width and height. A file without a line says that nothing is marked."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from flawline.intake.annotations.base import Annotated, Points, Shape, box, polygon
from flawline.intake.decoding import UnreadableImageError

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt", "obj.names")  # of the classes
SLACK = 0.01  # of the side, by which a corner may lie beyond it
MOST_BYTES = 10_000_000  # of a file
BOX, FEWEST = 5, 7  # numbers in a line: of a box, of an outline at least


def is_yolo(path: Path) -> bool:
    """Return True if every line of a text file is as YOLO's are, and there is one."""
    try:
        return bool(_lines(path)) and bool(read_yolo(path.parent, path.name).shapes)
    except UnreadableImageError:
        return False


def is_empty(path: Path) -> bool:
    """Return True if a text file has no line with anything in it: YOLO's way to say that nothing is marked."""
    try:
        return not _lines(path)
    except UnreadableImageError:
        return False


def read_yolo(root: Path, file: str) -> Annotated:
    """Read one image's annotation, ``file`` below ``root``. Raise UnreadableImageError if it cannot be read, or if a
    line could mean several things."""
    names, keypoints = class_names(root, (root / file).parent)
    if keypoints:
        raise UnreadableImageError("holds keypoints, which mark no area; wanted boxes or outlines")
    shapes = tuple(_shape(line, names) for line in _lines(root / file))
    return Annotated(None, shapes, relative=True)


def _lines(path: Path) -> list[list[str]]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is too long")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UnreadableImageError(f"cannot be read ({error})") from None
    return [line.split() for line in text.splitlines() if line.strip()]


def _shape(fields: list[str], names: dict[int, str]) -> Shape:
    line = " ".join(fields)[:60]
    try:
        number, values = int(fields[0]), [float(each) for each in fields[1:]]
    except ValueError:
        raise UnreadableImageError(f"has the line '{line}'; wanted a class number and shares") from None
    if number < 0 or not all(-SLACK <= value <= 1 + SLACK for value in values):
        raise UnreadableImageError(f"has the line '{line}'; wanted shares of the image from 0 to 1")
    name = names.get(number, f"class {number}")
    try:
        if len(fields) == BOX:
            x, y, width, height = values
            return box(name, x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if len(fields) >= FEWEST and len(fields) % 2:
            return polygon(name, _corners(values))
    except ValueError as error:
        raise UnreadableImageError(f"has the line '{line}' ({error})") from None
    raise UnreadableImageError(
        f"has a line of {len(fields)} numbers ('{line}'); wanted 5, of a box, or 7, 9, 11, ..., of an outline"
    )


def _corners(values: list[float]) -> Points:
    return tuple(zip(values[::2], values[1::2], strict=True))


def class_names(root: Path, home: Path) -> tuple[dict[int, str], bool]:
    """Return the classes' names by number and whether keypoints are annotated, as the nearest file of NAMES says, from
    ``home`` up to ``root``."""
    for folder in [home, *home.parents]:
        for name in NAMES:
            path = folder / name
            if path.is_file():
                return _read_names(path, path.stat().st_mtime_ns)
        if folder == root:
            break
    return {}, False


@lru_cache(maxsize=16)
def _read_names(path: Path, changed: int) -> tuple[dict[int, str], bool]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix not in (".yaml", ".yml"):
            return dict(enumerate(line.strip() for line in text.splitlines() if line.strip())), False
        tree: Any = yaml.safe_load(text)
        names = tree.get("names") or {}
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in pairs}, "kpt_shape" in tree
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        return {}, False
