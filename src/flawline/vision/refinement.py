"""Two photographs at one resolution, the correlation between them with its gradient, and the steps to its top.

``flawline.vision.matching`` says where to begin. The geometry is that of ``flawline.vision.transform``."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flawline.vision.foreground import block_mean
from flawline.vision.reading import Lines, Splines
from flawline.vision.searching import standardised
from flawline.vision.transform import Transform, middle

POINTS = 4_000  # pixels that are compared at most in a step of the refinement
STEPS = 30  # of a refinement, at most
LEAST_SHARED = 0.3  # correlation: steps are made longer where less is shared, but not by more than its inverse
LEAST_SHOWN = 0.8  # share of the points that a picture must show, else its border goes on for those outside

Found = tuple[Transform, float]  # a transform, and the normalised correlation after it is undone


class Grid:
    """A picture (h, w) at one resolution: the means of blocks of ``factor`` pixels each way."""

    def __init__(self, grey: NDArray[np.float32], factor: int):
        self.factor, self.size = factor, grey.shape
        self.grey = block_mean(grey, factor)  # (h, w)
        self.middle = (middle(grey.shape) + 0.5) / factor - 0.5  # (y, x), in blocks

    def middle_to(self, point: NDArray) -> NDArray[np.float64]:
        """Return how far ``point`` (y, x), in blocks, is from the middle, in pixels of the whole picture."""
        return (point - self.middle) * self.factor


class Picture(Grid):
    """A photograph at one resolution, read between its pixels by lines or ``splines``."""

    def __init__(self, grey: NDArray[np.float32], factor: int, *, splines: bool = False):
        super().__init__(grey, factor)
        self._splines = splines

    @cached_property
    def _lines(self) -> Lines:
        slopes = _slopes(self.grey) / np.float32(self.factor)
        return Lines(slopes if self._splines else np.concatenate([self.grey[None], slopes]))

    @cached_property
    def _spline(self) -> Splines:
        return Splines(self.grey[None])

    def shows(self, points: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Return which of ``points`` (2, n), in blocks, lie in the picture (n,); None if all do."""
        highest = np.array(self.grey.shape)[:, None] - 1
        if points.min() >= 0 and np.all(points.max(axis=1) <= highest[:, 0]):
            return None
        return np.all((points >= 0) & (points <= highest), axis=0)

    def at(self, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the levels (n,) at ``points`` (2, n), in blocks, and how they change along y and x (2, n) for a pixel
        of the whole picture."""
        if not self._splines:
            levels, *slopes = self._lines.at(points)
            return levels, np.stack(slopes)  # (n,), (2, n)
        return self._spline.at(points)[0], self._lines.at(points)


def _slopes(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how levels (h, w) change along y and x (2, h, w), half the difference of a pixel's neighbours."""
    slopes = np.empty((2, *grey.shape), np.float32)
    around = np.pad(grey, 1, mode="edge")
    np.subtract(around[2:, 1:-1], around[:-2, 1:-1], out=slopes[0])
    np.subtract(around[1:-1, 2:], around[1:-1, :-2], out=slopes[1])
    return slopes * np.float32(0.5)


class Level(Grid):
    """A reference at one resolution: the points that are compared, and what their levels say."""

    def __init__(self, grey: NDArray[np.float32], seen: NDArray[np.bool_], factor: int, *, spins: bool, scales: bool):
        super().__init__(grey, factor)
        self.seen = block_mean(seen.astype(np.float32), factor) >= 0.5  # (h, w)
        self.spins, self.scales = spins, scales
        rows, columns = np.nonzero(self.seen)
        every = max(1, round(len(rows) / POINTS))
        places = (rows[::every], columns[::every])
        offsets = np.stack(places) - self.middle[:, None]  # (2, n), in blocks
        self.points = offsets.astype(np.float32)
        self.reach = factor * float(np.abs(offsets).max(initial=0))
        self.wanted, self.inverse = self._learn(places, factor * offsets)

    @cached_property
    def planes(self) -> Lines:
        """The levels, and which of them count, to be read between pixels."""
        return Lines(np.stack([self.grey, self.seen.astype(np.float32)]))

    def _learn(self, places: tuple[NDArray, NDArray], offsets: NDArray) -> tuple[NDArray[np.float32], NDArray]:
        """Return the standardised levels of the points (n,), and the inverse of the products of what a step changes in
        them (2 to 4, 2 to 4): pixels down and right, radians, log scale. The points are ``offsets`` (2, n) pixels from
        the middle."""
        levels = self.grey[places].astype(np.float64)
        length = max(float(np.linalg.norm(levels - levels.mean())), 1e-9)
        wanted = (levels - levels.mean()) / length
        down, right = (side[places] / (self.factor * length) for side in _slopes(self.grey).astype(np.float64))
        slopes = [down, right]
        if self.spins:
            slopes.append(right * offsets[0] - down * offsets[1])
        if self.scales:
            slopes.append(down * offsets[0] + right * offsets[1])
        changes = np.stack(slopes)  # (k, n)
        changes -= changes.mean(axis=1, keepdims=True)
        changes -= (changes @ wanted)[:, None] * wanted
        return wanted.astype(np.float32), np.linalg.pinv(changes @ changes.T)

    def compared(self, picture: Picture, move: Transform) -> tuple[float, NDArray[np.float64]]:
        """Return the normalised correlation with ``picture`` after ``move`` is undone, over the points that it shows,
        and its gradient (2 to 4,): how it changes for a step in the reference, a pixel down, right, a radian, a log
        scale."""
        points, wanted, offsets = self._in_picture(picture, move), self.wanted, self.points
        shown = picture.shows(points)
        if shown is not None and shown.mean() >= LEAST_SHOWN:
            points, offsets = points[:, shown], offsets[:, shown]
            wanted, _ = standardised(wanted[shown])
        levels, slopes = picture.at(points)
        there, length = standardised(levels)
        correlation = float(wanted @ there)
        lacking = wanted - correlation * there  # (n,)
        moments = np.stack([lacking, lacking * offsets[0], lacking * offsets[1]]) @ slopes.T  # (3, 2)
        turned = moments.astype(np.float64) @ move.matrix / max(length, 1e-9)
        gradient = [*turned[0]]
        turned *= self.factor  # offsets were in blocks
        if self.spins:
            gradient.append(turned[1, 1] - turned[2, 0])
        if self.scales:
            gradient.append(turned[1, 0] + turned[2, 1])
        return correlation, np.array(gradient)

    def _in_picture(self, picture: Picture, move: Transform) -> NDArray[np.float32]:
        """Return where the points lie in ``picture`` (2, n), in its blocks."""
        first = picture.middle + np.array([move.shift_y, move.shift_x]) / picture.factor
        return move.matrix.astype(np.float32) @ self.points + first[:, None].astype(np.float32)

    def stepped(self, move: Transform, step: NDArray) -> Transform:
        """Return ``move`` after ``step`` in the reference."""
        turn = np.rad2deg(step[2]) if self.spins else 0.0
        grow = float(np.exp(step[-1])) if self.scales else 1.0
        shift = move.matrix @ step[:2]
        return Transform(move.angle + turn, move.shift_y + shift[0], move.shift_x + shift[1], move.scale * grow)


def climb(level: Level, picture: Picture, move: Transform, close: float) -> Found:
    """Return the transform near ``move`` with the highest correlation, and that correlation; it is found when a step
    is less than ``close`` pixels of the level.

    Steps are those of BFGS (Nocedal and Wright 2006, Numerical optimization, Eq. 6.17), which begin with the curvature
    that the correlation of the reference with itself has; those that do not help are halved."""
    correlation, gradient = level.compared(picture, move)
    inverse = level.inverse / max(correlation, LEAST_SHARED)
    step = inverse @ gradient
    for _ in range(STEPS):
        sizes = np.abs(step) * ([1, 1, level.reach, level.reach][: len(step)])
        moved = level.stepped(move, step)
        if sizes.max() < close * level.factor:
            return moved, correlation
        higher, following = level.compared(picture, moved)
        if higher <= correlation:
            step = step / 2
            continue
        inverse = _updated(inverse, step, gradient - following)
        move, correlation, gradient = moved, higher, following
        step = inverse @ gradient
    return move, correlation


def _updated(inverse: NDArray[np.float64], step: NDArray, change: NDArray) -> NDArray[np.float64]:
    """Return the inverse of the curvature (k, k) after a ``step`` (k,) that lowered the gradient by ``change`` (k,)."""
    along = float(step @ change)
    if along <= 1e-12:
        return inverse
    rest = np.eye(len(step)) - np.outer(step, change) / along
    return rest @ inverse @ rest.T + np.outer(step, step) / along
