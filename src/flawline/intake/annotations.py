"""Boxes, polygons and run-length masks of defects, as COCO and Pascal VOC write them, and the pixels they mark."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.intake.decoding import UnreadableImageError
from flawline.intake.run_lengths import marked_by_runs, run_lengths

LARGEST = 1e9  # pixels, of a coordinate: no image is as large, and far beyond whole numbers run over
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shape:
    """A marked defect: its class and its corners (x, y) in pixels, (0, 0) the upper left corner of the image."""

    name: str
    points: Points
    is_box: bool = True


@dataclass(frozen=True)
class Runs:
    """A marked defect: its class and its run lengths in an image of ``size`` (h, w)."""

    name: str
    runs: tuple[int, ...]
    size: tuple[int, int]


@dataclass(frozen=True)
class Annotated:
    """What is marked in one image; ``size`` (h, w) as the annotation has it, None where it does not say."""

    size: tuple[int, int] | None
    shapes: tuple[Shape | Runs, ...]

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the marked pixels (H, W) of an image of ``size`` (h, w).

        A box marks every pixel that it touches, a polygon those whose centres it holds. Raise UnreadableImageError if
        the annotation is for another size, or a shape marks no pixel of the image."""
        sizes = [self.size, *(shape.size for shape in self.shapes if isinstance(shape, Runs))]
        for other in sizes:
            if other is not None and other != size:
                wanted, got = (f"{height} x {width}" for height, width in (other, size))
                raise UnreadableImageError(f"is for an image of {wanted} pixels; this one has {got}")
        mask = np.zeros(size, bool)
        for shape in self.shapes:
            inside = marked_by_runs(shape.runs, size) if isinstance(shape, Runs) else _pixels_of(shape, size)
            if not inside.any():
                where = "without a pixel" if isinstance(shape, Runs) else f"outside the image, at {shape.points[0]}"
                raise UnreadableImageError(f"marks a '{shape.name}' {where}")
            mask |= inside
        return mask


def _pixels_of(shape: Shape, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of an image of ``size`` (h, w) that a box or a polygon marks."""
    mask = np.zeros(size, bool)
    xs, ys = (np.array(each) for each in zip(*shape.points, strict=True))
    if shape.is_box:
        left, top = int(np.floor(max(xs.min(), 0))), int(np.floor(max(ys.min(), 0)))
        mask[top : max(0, int(np.ceil(ys.max()))), left : max(0, int(np.ceil(xs.max())))] = True
        return mask
    from skimage.draw import polygon  # takes half a second to import, and only polygons need it

    mask[polygon(ys - 0.5, xs - 0.5, size)] = True  # scikit-image counts from pixel centres
    return mask


# --- Pascal VOC ------------------------------------------------------------------------------------------------------
def is_voc(path: Path) -> bool:
    """Return True if the XML file begins as Pascal VOC's do."""
    try:
        with path.open("rb") as file:
            return b"<annotation" in file.read(512)
    except OSError:
        return False


def read_voc(content: bytes) -> Annotated:
    """Read one image's annotation. VOC counts pixels from 1, its maxima included: xmin 1, xmax 2 are two pixels.

    Raise UnreadableImageError if it cannot be read."""
    try:
        root = ElementTree.fromstring(content)
        if root.tag != "annotation":
            raise ValueError(f"wanted an <annotation>, got a <{root.tag}>")
        size = tuple(int(_number(root, f"size/{name}")) for name in ("height", "width"))
        shapes = tuple(_voc_object(each) for each in root.iter("object"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that is none
        raise UnreadableImageError(f"cannot be read ({error})") from None
    return Annotated(size if all(size) else None, shapes)  # type: ignore[arg-type]  # a pair


def _voc_object(element: ElementTree.Element) -> Shape:
    x1, y1, x2, y2 = (_number(element, f"bndbox/{name}", needed=True) for name in ("xmin", "ymin", "xmax", "ymax"))
    if x2 < x1 or y2 < y1:
        raise ValueError(f"a box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})")
    return Shape(element.findtext("name", "defect").strip() or "defect", ((x1 - 1, y1 - 1), (x2, y2)))


def _number(element: ElementTree.Element, path: str, *, needed: bool = False) -> float:
    text = element.findtext(path)
    if text is None and needed:
        raise ValueError(f"an object has no element {path}")
    value = float(text or 0)
    if not abs(value) <= LARGEST:
        raise ValueError(f"{path} is {text}")
    return value


# --- COCO ------------------------------------------------------------------------------------------------------------
def find_coco_files(folder: Path) -> list[Path]:
    """Return the JSON files of ``folder``, at most one folder down, that hold images and annotations."""
    found = [path for pattern in ("*.json", "*/*.json") for path in sorted(folder.glob(pattern)) if path.is_file()]
    return [path for path in found if _is_coco(path)]


def _is_coco(path: Path) -> bool:
    try:
        tree = _parsed(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and {"images", "annotations"} <= tree.keys()


@lru_cache(maxsize=16)
def _parsed(path: Path, changed: int) -> Any:
    return json.loads(path.read_bytes())


def read_coco(folder: Path, file: str) -> Mapping[str, Annotated]:
    """Return what the COCO file (relative to ``folder``) marks, by image (relative to ``folder`` too).

    Raise FlawlineError, with what is wrong, if the file is not as COCO's are."""
    path = folder / file
    try:
        return _read_coco(folder, path, path.stat().st_mtime_ns)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, FlawlineError):
            raise
        raise FlawlineError(f"{path} is not a COCO file ({type(error).__name__}: {error})") from None


@lru_cache(maxsize=16)
def _read_coco(folder: Path, path: Path, changed: int) -> Mapping[str, Annotated]:
    tree = _parsed(path, changed)
    classes = {each["id"]: str(each.get("name", each["id"])) for each in tree.get("categories", [])}
    shapes: dict[Any, list[Shape | Runs]] = {each["id"]: [] for each in tree["images"]}
    for mark in tree["annotations"]:
        if mark["image_id"] not in shapes:
            raise FlawlineError(f"{path}: annotation {mark.get('id')} is for image {mark['image_id']}, which is none")
        shapes[mark["image_id"]] += _coco_shapes(mark, classes.get(mark.get("category_id"), "defect"))
    found: dict[str, Annotated] = {}
    for image in tree["images"]:
        size = (int(image["height"]), int(image["width"])) if image.get("height") and image.get("width") else None
        name = _coco_image(folder, path, str(image["file_name"]))
        if name in found:
            raise FlawlineError(f"{path} names the image {name} more than once")
        found[name] = Annotated(size, tuple(shapes[image["id"]]))
    if len(shapes) != len(found):
        raise FlawlineError(f"{path} gives several images the same id")
    return found


def _coco_shapes(mark: Mapping[str, Any], name: str) -> list[Shape | Runs]:
    """Return the polygons or the run-length mask of an annotation where it has them, else its box."""
    marked = mark.get("segmentation")
    if isinstance(marked, list) and marked:
        return [Shape(name, _corners(each), is_box=False) for each in marked]
    if isinstance(marked, dict):
        height, width = _floats(marked["size"])
        size = (int(height), int(width))
        return [Runs(name, run_lengths(marked["counts"], size), size)]
    x, y, width, height = _floats(mark["bbox"])
    if not (width > 0 and height > 0):
        raise ValueError(f"annotation {mark.get('id')} has the box {mark['bbox']}")
    return [Shape(name, ((x, y), (x + width, y + height)))]


def _corners(outline: Any) -> Points:
    flat = _floats(outline)
    if len(flat) < 6 or len(flat) % 2:
        raise ValueError(f"a polygon of {len(flat)} numbers")
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _floats(values: Any) -> list[float]:
    numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    if not numbers or not (np.abs(np.array(values, float)) <= LARGEST).all():
        raise ValueError(f"wanted a list of numbers, got {str(values)[:60]}")
    return [float(value) for value in values]


def _coco_image(folder: Path, path: Path, name: str) -> str:
    """Return where the image lies, relative to ``folder``: beside the file, in images/ or below the folder."""
    homes = (path.parent, path.parent / "images", path.parent.parent / "images", folder, folder / "images",
             folder / path.stem.rpartition("_")[2])  # fmt: skip
    inside = [home for home in homes if home == folder or folder in home.parents]
    tried = [Path(os.path.normpath(home / name)) for home in inside]
    found = next((each for each in tried if each.is_file()), tried[0])
    if folder not in found.parents:
        raise FlawlineError(f"{path}: the image {name} lies outside {folder}")
    return found.relative_to(folder).as_posix()
