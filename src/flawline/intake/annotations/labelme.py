"""labelme: a JSON file an image, with polygons, rectangles, circles, lines and masks."""

import base64
import binascii
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flawline.intake.annotations.base import Annotated, Points, Runs, Shape, box, ellipse, number, polygon
from flawline.intake.annotations.coco import parsed
from flawline.intake.decoding import UnreadableImageError, decode
from flawline.intake.run_lengths import MOST_PIXELS, runs_of

ODD = (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError, binascii.Error)
Size = tuple[int, int] | None


def is_labelme(path: Path) -> bool:
    """Return True if a JSON file holds shapes and the name of their image, as labelme's do."""
    try:
        tree = parsed(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and isinstance(tree.get("shapes"), list) and "imagePath" in tree


def read_labelme(path: Path) -> Annotated:
    """Read one image's annotation. Raise UnreadableImageError if it cannot be read."""
    try:
        tree = parsed(path, path.stat().st_mtime_ns)
        height, width = (int(number(tree.get(name) or 0, name)) for name in ("imageHeight", "imageWidth"))
        size = (height, width) if height > 0 and width > 0 else None
        shapes = tuple(_shape(each, size) for each in tree["shapes"])
        labels = tuple(str(flag) for flag, holds in (tree.get("flags") or {}).items() if holds)
    except (OSError, RecursionError, *ODD) as error:
        raise UnreadableImageError(f"cannot be read ({error})") from None
    return Annotated(size, shapes, labels=labels)


def _shape(shape: Mapping[str, Any], size: Size) -> Shape | Runs:
    name = str(shape.get("label") or "defect")
    kind = str(shape.get("shape_type") or "polygon")
    if kind not in READERS:
        raise ValueError(f"marks a '{name}' by a {kind}, which marks no area")
    points = tuple((number(x, "x"), number(y, "y")) for x, y in shape["points"])
    return READERS[kind](name, points, shape, size)


def _rectangle(name: str, points: Points, shape: Mapping[str, Any], size: Size) -> Shape:
    xs, ys = zip(*points, strict=True)
    return box(name, min(xs), min(ys), max(xs), max(ys))


def _circle(name: str, points: Points, shape: Mapping[str, Any], size: Size) -> Shape:
    (x, y), (x2, y2) = points
    radius = float(np.hypot(x2 - x, y2 - y))
    return ellipse(name, x, y, radius, radius)


def _path(name: str, points: Points, shape: Mapping[str, Any], size: Size) -> Shape:
    if len(points) < 2:
        raise ValueError(f"a line of {len(points)} points")
    return Shape(name, points, "path")


def _mask(name: str, points: Points, shape: Mapping[str, Any], size: Size) -> Runs:
    """labelme keeps a mask as a PNG file in base64, for the box between two pixels, both included."""
    if size is None or size[0] * size[1] > MOST_PIXELS:
        raise ValueError("a mask, but no imageHeight and imageWidth")
    pixels = decode(base64.b64decode(shape["mask"]), max_pixels=size[0] * size[1])[0] > 0  # (h, w)
    left, top = (round(each) for each in points[0])
    mask = np.zeros(size, bool)
    inside = mask[max(0, top) : top + pixels.shape[0], max(0, left) : left + pixels.shape[1]]
    if left < 0 or top < 0 or inside.shape != pixels.shape:
        raise ValueError(f"a mask of {pixels.shape[0]} x {pixels.shape[1]} pixels at ({left}, {top})")
    inside[...] = pixels
    return Runs(name, runs_of(mask), size)


READERS: Mapping[str, Callable[[str, Points, Mapping[str, Any], Size], Shape | Runs]] = {
    "polygon": lambda name, points, shape, size: polygon(name, points),
    "oriented_rectangle": lambda name, points, shape, size: polygon(name, points),
    "rectangle": _rectangle, "circle": _circle, "line": _path, "linestrip": _path, "mask": _mask,
}  # fmt: skip
