"""COCO: one JSON file for many images, with polygons, run-length masks or boxes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from flawline.checks import FlawlineError
from flawline.intake.annotations.base import LARGEST, Annotated, Points, Runs, Shape, box, polygon, united
from flawline.intake.annotations.files import NamedImages, Written, locate_image
from flawline.intake.folders import contents_of
from flawline.intake.notes import Note
from flawline.intake.run_lengths import run_lengths

BEYOND, SLACK = 1.05, 2  # of the side, and pixels, that a box may reach beyond the image
FEW = 10  # pixels: of a smaller image, the first pixel may be a defect
ODD = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def is_coco(path: Path) -> bool:
    """Return True if a JSON file lists images by file name and annotations; captions mark nothing and are none."""
    try:
        tree = parsed(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(tree, dict):
        return False
    images, marks = tree.get("images"), tree.get("annotations")
    if not isinstance(images, list) or not isinstance(marks, list):
        return False
    named = any(isinstance(each, dict) and "file_name" in each for each in images)
    return named and (not marks or not all(isinstance(each, dict) and "caption" in each for each in marks))


@lru_cache(maxsize=16)
def parsed(path: Path, changed: int) -> Any:
    """Return what a JSON file holds; ``changed`` is when it last changed."""
    return json.loads(path.read_bytes())


@lru_cache(maxsize=16)
def read_coco(root: Path, file: str, changed: int) -> NamedImages:
    """Return what the COCO file (relative to ``root``) marks, by image. What is wrong with an annotation is its image's
    problem. Raise FlawlineError if the file is not as COCO's are."""
    path = root / file
    try:
        tree = parsed(path, changed)
        classes = {_id(each, "id"): str(each.get("name", each["id"])) for each in tree.get("categories") or []}
        entries, notes = _entries(tree["images"], file)
        marks = list(tree["annotations"])
    except (OSError, *ODD) as error:
        raise FlawlineError(f"{path} is not a COCO file ({type(error).__name__}: {error})") from None
    shapes: dict[str, list[Shape | Runs]] = {key: [] for key, _ in entries}
    problems = _twice(entries)
    sizes = {key: _size(entry) for key, entry in entries}
    lost: list[str] = []
    for mark in marks:
        key = _id(mark, "image_id")
        if key not in shapes:
            lost.append(_id(mark, "id"))
            continue
        try:
            shapes[key] += _checked(_shapes(mark, classes.get(_id(mark, "category_id"), "defect")), sizes[key])
        except ODD as error:
            problems.setdefault(key, f"cannot be used (annotation {_id(mark, 'id')}: {_words(error)})")
    if lost:
        said = (
            f"{len(lost)} annotations of {file} are for images that it does not list, the first: annotation {lost[0]}."
        )
        notes.append(Note(said, caution=True))
    contents, images = contents_of(root), {}  # type: Any, dict[str, Annotated]
    for key, entry in entries:
        name = locate_image(contents, Written(file, str(entry["file_name"])))
        marked = Annotated(_size(entry), tuple(shapes[key]), problem=problems.get(key, ""))
        images[name] = united(images[name], marked) if name in images else marked
    return NamedImages(images, tuple(notes))


def _entries(images: Any, file: str) -> tuple[list[tuple[str, Mapping[str, Any]]], list[Note]]:
    """Return (id, entry) of each image and what is to be said of entries that name none."""
    sound = [each for each in images if isinstance(each, dict) and "file_name" in each and "id" in each]
    lost = len(images) - len(sound)
    said = f"{lost} images of {file} have no id or no file name and are left out."
    return [(_id(each, "id"), each) for each in sound], [Note(said, caution=True)] if lost else []


def _twice(entries: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Return what is wrong with the images that share their id: nobody knows what is marked in which."""
    counts = Counter(key for key, _ in entries)
    return {key: f"gives several images the id {key}" for key, count in counts.items() if count > 1}


def _id(entry: Any, name: str) -> str:
    """Return an id as it is compared: 8, 8.0, "8" and "008" are the same."""
    told = entry.get(name) if isinstance(entry, dict) else None
    if isinstance(told, float) and told.is_integer():
        told = int(told)
    text = str(told)
    return str(int(text)) if text.isdecimal() and text.isascii() else text


def _words(error: BaseException) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    try:
        height, width = int(entry.get("height") or 0), int(entry.get("width") or 0)
    except (TypeError, ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None


def _checked(shapes: list[Shape | Runs], size: tuple[int, int] | None) -> list[Shape | Runs]:
    """Return the shapes; raise ValueError if one reaches far beyond the image, or lies within its first pixel: then its
    numbers are corners, or shares of the image, where COCO has x, y, width and height in pixels."""
    for shape in shapes:
        if size is None or isinstance(shape, Runs):
            continue
        xs, ys = zip(*shape.points, strict=True)
        if max(xs) > BEYOND * size[1] + SLACK or max(ys) > BEYOND * size[0] + SLACK:
            raise ValueError(f"it reaches to ({max(xs):g}, {max(ys):g}) in an image of {size[0]} x {size[1]} pixels")
        if max(*xs, *ys) <= 1 and min(size) > FEW:
            raise ValueError("it lies within the first pixel; wanted pixels, not shares of the image")
    return shapes


def _shapes(mark: Mapping[str, Any], name: str) -> list[Shape | Runs]:
    """Return the polygons or the run-length mask of an annotation where it has them, else its box."""
    marked = mark.get("segmentation")
    if isinstance(marked, list) and marked:
        outlines = [marked] if all(type(each) in (int, float) for each in marked) else marked
        return [polygon(name, _corners(each)) for each in outlines]
    if isinstance(marked, dict):
        height, width = _floats(marked["size"])
        size = (int(height), int(width))
        return [Runs(name, run_lengths(marked["counts"], size), size)]
    if mark.get("bbox") is None:
        raise ValueError("it has neither an outline nor a box")
    x, y, width, height = _floats(mark["bbox"])
    if not (width > 0 and height > 0):
        raise ValueError(f"the box {mark['bbox']} has no area; wanted x, y, width, height")
    return [box(name, x, y, x + width, y + height)]


def _corners(outline: Any) -> Points:
    flat = _floats(outline)
    if len(flat) < 6 or len(flat) % 2:
        raise ValueError(f"a polygon of {len(flat)} numbers; wanted x and y of three corners or more")
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _floats(values: Any) -> list[float]:
    numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    if not numbers or not (np.abs(np.array(values, float)) <= LARGEST).all():
        raise ValueError(f"wanted a list of numbers, got {str(values)[:60]}")
    return [float(value) for value in values]
