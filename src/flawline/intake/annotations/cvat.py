"""CVAT for images 1.1: one XML file for many images, with boxes, polygons, lines, ellipses and run-length masks."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from flawline.checks import FlawlineError
from flawline.intake.annotations.base import (
    Annotated,
    Points,
    Runs,
    Shape,
    box,
    ellipse,
    number,
    polygon,
    turned,
    united,
)
from flawline.intake.annotations.files import NamedImages, Written, locate_image
from flawline.intake.annotations.xml import root_tag
from flawline.intake.folders import contents_of
from flawline.intake.notes import Note
from flawline.intake.run_lengths import MOST_PIXELS, runs_of


def is_cvat(path: Path) -> bool:
    """Return True if the XML file's root is CVAT's."""
    return root_tag(path) == "annotations"


@lru_cache(maxsize=16)
def read_cvat(root: Path, file: str, changed: int) -> NamedImages:
    """Return what the file (relative to ``root``) marks. Raise FlawlineError if it is not as CVAT's are."""
    path = root / file
    try:
        tree = ElementTree.fromstring(path.read_bytes())
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise FlawlineError(f"{path} cannot be read as CVAT's annotations ({error})") from None
    if tree.find("track") is not None and tree.find("image") is None:
        raise FlawlineError(f"{path} is of CVAT for video; wanted CVAT for images 1.1. Export the task as that.")
    contents = contents_of(root)
    images: dict[str, Annotated] = {}
    splits: dict[str, str] = {}
    for element in tree.iter("image"):
        name = locate_image(contents, Written(file, element.get("name", ""), element.get("subset", "")))
        marked = _image(element)
        images[name] = united(images[name], marked) if name in images else marked
        splits[name] = element.get("subset", "")
    return NamedImages(images, _said_of_attributes(tree, file), splits)


def _said_of_attributes(tree: ElementTree.Element, file: str) -> tuple[Note, ...]:
    names = sorted({each.get("name", "") for image in tree.iter("image") for each in image.iter("attribute")})
    said = f"{file} gives marks attributes, which are not read: {', '.join(names)}. Classes alone say what is a defect."
    return (Note(said, caution=True),) if names else ()


def _image(element: ElementTree.Element) -> Annotated:
    shapes: list[Shape | Runs] = []
    problem = ""
    labels: list[str] = []
    size: tuple[int, int] | None = None
    try:
        size = (int(number(element.get("height", 0), "height")), int(number(element.get("width", 0), "width")))
        for each in element:
            if each.tag == "tag":
                labels.append(each.get("label", ""))
            elif each.tag in READERS:
                shapes.append(READERS[each.tag](each, size))
            elif each.get("label") is not None:
                raise ValueError(f"marks a '{each.get('label')}' by {each.tag}, which mark no area")
    except (ValueError, TypeError) as error:
        problem = f"cannot be used ({error})"
    return Annotated(size if size and all(size) else None, tuple(shapes), problem=problem, labels=tuple(labels))


def _box(element: ElementTree.Element, size: tuple[int, int]) -> Shape:
    corners = [number(element.get(name), name) for name in ("xtl", "ytl", "xbr", "ybr")]
    upright = box(_label(element), *corners)
    degrees = number(element.get("rotation", 0), "rotation")
    return turned(upright, degrees) if degrees else upright


def _polygon(element: ElementTree.Element, size: tuple[int, int]) -> Shape:
    return polygon(_label(element), _points(element))


def _path(element: ElementTree.Element, size: tuple[int, int]) -> Shape:
    points = _points(element)
    if len(points) < 2:
        raise ValueError(f"a line of {len(points)} points")
    return Shape(_label(element), points, "path")


def _ellipse(element: ElementTree.Element, size: tuple[int, int]) -> Shape:
    x, y, rx, ry = (number(element.get(name), name) for name in ("cx", "cy", "rx", "ry"))
    degrees = number(element.get("rotation", 0), "rotation")
    return ellipse(_label(element), x, y, rx, ry, degrees=degrees)


def _mask(element: ElementTree.Element, size: tuple[int, int]) -> Runs:
    """CVAT counts row by row within a box, the first run unmarked."""
    left, top, width, height = (int(number(element.get(name), name)) for name in ("left", "top", "width", "height"))
    counts = [int(count) for count in (element.get("rle") or "").split(",")]
    fits = 0 <= left <= left + width <= size[1] and 0 <= top <= top + height <= size[0]
    if not fits or sum(counts) != width * height or min(counts) < 0 or size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"a mask of {sum(counts)} pixels for a box of {height} x {width} at ({left}, {top})")
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(
        height, width
    )
    return Runs(_label(element), runs_of(mask), size)


READERS: Mapping[str, Callable[[ElementTree.Element, tuple[int, int]], Shape | Runs]] = {
    "box": _box, "polygon": _polygon, "polyline": _path, "ellipse": _ellipse, "mask": _mask,
}  # fmt: skip


def _label(element: ElementTree.Element) -> str:
    return (element.get("label") or "").strip() or "defect"


def _points(element: ElementTree.Element) -> Points:
    pairs = [each.split(",") for each in (element.get("points") or "").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"the points {str(element.get('points'))[:60]}")
    return tuple((number(x, "x"), number(y, "y")) for x, y in pairs)
