"""Outlines of defects and the pixels they mark, whatever format they come in."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flawline.intake.decoding import UnreadableImageError
from flawline.intake.run_lengths import marked_by_runs

LARGEST = 1e9  # pixels, of a coordinate: no image is as large, and far beyond whole numbers run over
CORNERS = 64  # of the polygon that an ellipse is drawn as
STEP = 0.25  # pixels between the points of an outline that is drawn
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shape:
    """A marked defect: its class and its corners (x, y) in pixels, (0, 0) the upper left corner of the image."""

    name: str
    points: Points
    kind: Literal["box", "polygon", "path"] = "box"  # a path is a line that is not closed


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
    relative: bool = False  # corners are shares of the image's width and height
    problem: str = ""  # why what is marked cannot be known; then the image cannot be used
    labels: tuple[str, ...] = ()  # classes given to the whole image

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the marked pixels (H, W) of an image of ``size`` (h, w).

        A box marks every pixel that it touches, a polygon those whose centres it holds; one that is thinner than a
        pixel, or a path, those that it crosses. Raise UnreadableImageError if the annotation is for another size, or a
        shape marks no pixel of the image."""
        if self.problem:
            raise UnreadableImageError(self.problem)
        sizes = [self.size, *(shape.size for shape in self.shapes if isinstance(shape, Runs))]
        for other in sizes:
            if other is not None and other != size:
                wanted, got = (f"{height} x {width}" for height, width in (other, size))
                raise UnreadableImageError(f"is for an image of {wanted} pixels; this one has {got}")
        mask = np.zeros(size, bool)
        for shape in self.shapes:
            inside = (
                marked_by_runs(shape.runs, size)
                if isinstance(shape, Runs)
                else _pixels_of(self._in_pixels(shape, size), size)
            )
            if not inside.any():
                where = "without a pixel" if isinstance(shape, Runs) else f"outside the image, at {shape.points[0]}"
                raise UnreadableImageError(f"marks a '{shape.name}' {where}")
            mask |= inside
        return mask

    def _in_pixels(self, shape: Shape, size: tuple[int, int]) -> Shape:
        if not self.relative:
            return shape
        height, width = size
        return replace(shape, points=tuple((x * width, y * height) for x, y in shape.points))


def united(first: Annotated, second: Annotated) -> Annotated:
    """Return what two annotations of one image mark together."""
    sizes = {each.size for each in (first, second)} - {None}
    problem = first.problem or second.problem
    if len(sizes) > 1:
        problem = problem or "is named twice, with different sizes"
    shapes = tuple(dict.fromkeys((*first.shapes, *second.shapes)))
    labels = tuple(dict.fromkeys((*first.labels, *second.labels)))
    return replace(first, size=next(iter(sizes), None), shapes=shapes, problem=problem, labels=labels)


def number(value: object, what: str) -> float:
    """Return a coordinate; raise ValueError if it is none."""
    result = float(value)  # type: ignore[arg-type]
    if not abs(result) <= LARGEST:
        raise ValueError(f"{what} is {value}")
    return result


def box(name: str, x1: float, y1: float, x2: float, y2: float) -> Shape:
    """Return the box between two corners; raise ValueError if it has no width or no height."""
    if not (x2 > x1 and y2 > y1):
        raise ValueError(f"a box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})")
    return Shape(name, ((x1, y1), (x2, y2)))


def polygon(name: str, points: Points) -> Shape:
    """Return a polygon; raise ValueError if it has fewer than three corners."""
    if len(points) < 3:
        raise ValueError(f"a polygon of {len(points)} corners; wanted three or more")
    return Shape(name, points, "polygon")


def ellipse(name: str, x: float, y: float, rx: float, ry: float, *, degrees: float = 0.0) -> Shape:
    """Return an ellipse around (x, y) with the half axes ``rx`` and ``ry``, turned clockwise, as a polygon."""
    if not (rx > 0 and ry > 0):
        raise ValueError(f"an ellipse with the half axes {rx:g} and {ry:g}")
    around = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    points = np.column_stack([rx * np.cos(around), ry * np.sin(around)]) @ _turn(degrees).T + (x, y)
    return Shape(name, tuple((float(px), float(py)) for px, py in points), "polygon")


def _turn(degrees: float) -> NDArray:
    """Return the matrix (2, 2) that turns points (x, y) clockwise as an image is looked at."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def turned(shape: Shape, degrees: float) -> Shape:
    """Return a box as the polygon that it is when turned clockwise around its centre."""
    (x1, y1), (x2, y2) = shape.points
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    corners = (np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]) - centre) @ _turn(degrees).T + centre
    return Shape(shape.name, tuple((float(x), float(y)) for x, y in corners), "polygon")


def _pixels_of(shape: Shape, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of an image of ``size`` (h, w) that a shape marks."""
    mask = np.zeros(size, bool)
    xs, ys = (np.array(each) for each in zip(*shape.points, strict=True))
    if shape.kind == "box":
        left, top = int(np.floor(max(xs.min(), 0))), int(np.floor(max(ys.min(), 0)))
        mask[top : max(0, int(np.ceil(ys.max()))), left : max(0, int(np.ceil(xs.max())))] = True
        return mask
    if shape.kind == "path":
        return _crossed(xs, ys, size)
    from skimage.draw import polygon as filled  # takes half a second to import, and only polygons need it

    mask[filled(ys - 0.5, xs - 0.5, size)] = True  # scikit-image counts from pixel centres
    thin = not mask.any() or _is_thin(xs, ys)
    return mask | _crossed(np.append(xs, xs[0]), np.append(ys, ys[0]), size) if thin else mask


def _is_thin(xs: NDArray, ys: NDArray) -> bool:
    """Return True if a polygon is less than a pixel wide, as the stroke (a rectangle) of its area and outline is."""
    area = abs(np.dot(xs, np.roll(ys, 1)) - np.dot(ys, np.roll(xs, 1))) / 2
    outline = np.hypot(xs - np.roll(xs, 1), ys - np.roll(ys, 1)).sum()
    width = (outline / 2 - np.sqrt(max(outline**2 / 4 - 4 * area, 0))) / 2
    return bool(width < 1 - 1e-9)


def _crossed(xs: NDArray, ys: NDArray, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) that the line through the points crosses."""
    mask = np.zeros(size, bool)
    low, high = np.array([-1.0, -1.0]), np.array([size[1] + 1.0, size[0] + 1.0])
    for start, end in zip(np.column_stack([xs[:-1], ys[:-1]]), np.column_stack([xs[1:], ys[1:]]), strict=True):
        first, last = _clipped(start, end, low, high)
        if first > last:
            continue
        length = float(np.hypot(*(end - start))) * (last - first)
        along = np.linspace(first, last, int(np.ceil(length / STEP)) + 1)[:, None]
        points = np.floor(start + along * (end - start)).astype(int)  # (n, 2) x, y
        inside = ((points >= 0) & (points < (size[1], size[0]))).all(axis=1)
        mask[points[inside, 1], points[inside, 0]] = True
    return mask


def _clipped(start: NDArray, end: NDArray, low: NDArray, high: NDArray) -> tuple[float, float]:
    """Return the shares of the way from ``start`` to ``end`` between which it lies in a box; first > last: nowhere."""
    first, last = 0.0, 1.0
    for at, way, least, most in zip(start, end - start, low, high, strict=True):
        if way == 0:
            if not least <= at <= most:
                return 1.0, 0.0
            continue
        near, far = sorted(((least - at) / way, (most - at) / way))
        first, last = max(first, near), min(last, far)
    return first, last
