"""How the part of one photograph lies against that of another: a search from coarse to fine for the transform at which
the two correlate best. The geometry is that of ``flawline.vision.transform``."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flawline.vision.corners import Corners, find_corners, transform_by_corners
from flawline.vision.foreground import block_mean
from flawline.vision.reading import Lines, Splines
from flawline.vision.rings import Mass, likely_spins, mass_of, ring_spectra
from flawline.vision.searching import Search, Template, make_template, standardised
from flawline.vision.spectra import likely_turns, polar_spectrum
from flawline.vision.transform import IDENTITY, Transform, middle

WORK, COARSE = 192, 80  # pixels of a reference's longer side at most, at the last look and the first
POINTS = 4_000  # pixels that are compared at most in a step of the refinement
KEPT = (4, 3)  # candidates refined at the coarse and the fine level, at most
LESS = (2.0, 0.05)  # correlation by which they may be behind the best
STEPS = 30  # of a refinement, at most
CLOSE = (0.2, 0.02)  # of a level's pixels: a step below ends the refinement there
DOUBTFUL = 0.75  # correlation below which more is tried
AGREE = 3.0  # pixels of the finest level between two corners that agree
APART = 6.0  # degrees between two candidates, or as much in scale
TURN = 5.0  # degrees from angle to angle where every one is tried
LEAST_SHARED = 0.3  # correlation: steps are made longer where less is shared, but not by more than its inverse
LEAST_SHOWN = 0.8  # share of the points that a picture must show, else its border goes on for those outside
BLANK = 1.0  # grey levels: an image whose standard deviation is below shows nothing

Found = tuple[Transform, float]  # a transform, and the normalised correlation after it is undone


def is_blank(grey: NDArray[np.float32]) -> bool:
    """Return True if grey levels (H, W) from 0 to 255 show nothing that could be aligned."""
    return float(grey.std()) < BLANK


class Matcher:
    """Finds the part of a reference (H, W) in other photographs; ``seen`` (H, W) are the pixels that count.

    All are photographs of some 400 pixels at most: they are compared pixel by pixel. Shifts are found, with ``spins``
    rotations too, with ``scales`` scales. Of ``drawn`` parts (``flawline.vision.foreground.render_foreground``) the
    masses tell where to begin; only where that leads to no good likeness, and for photographs without a part, every
    shift is tried."""

    def __init__(
        self,
        reference: NDArray[np.float32],
        seen: NDArray[np.bool_],
        *,
        spins: bool = True,
        scales: bool = False,
        drawn: bool = False,
    ):
        self.reference, self.seen, self.spins, self.scales, self.drawn = reference, seen, spins, scales, drawn
        longest = max(reference.shape)
        factors = [max(1, -(-longest // side)) for side in (COARSE, WORK)]
        self.levels = [_Level(reference, seen, factor, spins=spins, scales=scales) for factor in factors]

    def find(self, grey: NDArray[np.float32]) -> Found:
        """Return the transform of the part in grey levels (H, W), and the normalised correlation with the reference
        after it is undone."""
        pictures = [_Picture(grey, level.factor, splines=level is self.levels[-1]) for level in self.levels]
        best = (IDENTITY, -1.0)
        for guesses in self._starts(pictures):
            best = max(best, self._refined(guesses, pictures), key=lambda found: found[1])
            if best[1] >= DOUBTFUL:
                break
        return best[0].rounded(), best[1]

    def correlation(self, grey: NDArray[np.float32], move: Transform) -> float:
        """Return the normalised correlation of grey levels (H, W) with the reference after ``move`` is undone."""
        level = self.levels[-1]
        return level.compared(_Picture(grey, level.factor, splines=True), move)[0]

    def by_angle(self, grey: NDArray[np.float32], angles: Sequence[float]) -> NDArray[np.float64]:
        """Return the normalised correlation with the reference at each of ``angles``, each at its best shift."""
        picture = _Picture(grey, self.levels[0].factor)
        level = _Level(self.reference, self.seen, picture.factor, spins=False, scales=False)
        guesses = self._shifted((Transform(angle) for angle in angles), picture)
        return np.array([_climb(level, picture, move, CLOSE[-1])[1] for move, _ in guesses])

    # where to begin: candidates, each with its correlation
    def _starts(self, pictures: "list[_Picture]") -> "Iterable[list[Found]]":
        """Yield candidates, those first that take least time."""
        coarse = pictures[0]
        if self.drawn:
            yield self._by_mass(coarse)
        if self.scales or not self.drawn or not self.spins:
            yield self._by_spectrum(coarse)
        if self.spins and not self.drawn:
            yield self._by_corners(pictures[-1])
        if self.spins:
            yield self._at_every_angle(coarse)

    def _by_mass(self, picture: "_Picture") -> list[Found]:
        """Return the likely spins, each with the shift from centre to centre of the parts' masses; where scales are
        found, with that of their masses."""
        other = mass_of(picture.grey)
        if self._mass is None or other is None:
            return []
        mine, rings = self._mass
        level = self.levels[0]
        scale = float(np.sqrt(other.size / mine.size)) if self.scales else 1.0
        spins = [(0.0, 0.0)]
        if self.spins:
            spins = likely_spins(ring_spectra(picture.grey, other.centre, scale * mine.reach), rings)
        found = []
        for angle, correlation in spins:
            move = Transform(angle, scale=scale)
            shift = picture.middle_to(other.centre) - move.matrix @ level.middle_to(mine.centre)
            found.append((replace(move, shift_y=shift[0], shift_x=shift[1]), correlation))
        return found

    @cached_property
    def _mass(self) -> tuple[Mass, NDArray[np.complex64]] | None:
        """The mass of the reference's part, and its rings' spectra; None where the drawing is empty."""
        grey = self.levels[0].grey
        mine = mass_of(grey)
        return None if mine is None else (mine, ring_spectra(grey, mine.centre, mine.reach))

    def _by_spectrum(self, picture: "_Picture") -> list[Found]:
        """Return the likely turns and scales, each at its best shift, and the identity at its own."""
        if not self.spins and not self.scales:
            return self._shifted([IDENTITY], picture)
        spectrum = polar_spectrum(picture.grey, log=self.scales)
        turns = likely_turns(spectrum, self._spectrum, spins=self.spins, scales=self.scales)
        return self._shifted([*(Transform(angle, scale=scale) for angle, scale in turns), IDENTITY], picture)

    @cached_property
    def _spectrum(self) -> NDArray[np.float64]:
        return polar_spectrum(self.levels[0].grey, log=self.scales)

    def _shifted(self, moves: Iterable[Transform], picture: "_Picture") -> list[Found]:
        """Return the moves, each with the shift at which it correlates best, and that correlation."""
        search = self._search(picture)
        return [self._at_best_shift(search, self._turned(move, search.size), move, picture) for move in moves]

    def _at_every_angle(self, picture: "_Picture") -> list[Found]:
        """Return every TURN degrees of rotation at its best shift."""
        search = self._search(picture)
        moves = [Transform(angle) for angle in np.arange(-180, 180, TURN)]
        if search.size not in self._templates:
            self._templates.clear()
            self._templates[search.size] = [self._turned(move, search.size) for move in moves]
        templates = self._templates[search.size]
        return [
            self._at_best_shift(search, template, move, picture)
            for template, move in zip(templates, moves, strict=True)
        ]

    @cached_property
    def _templates(self) -> dict[tuple[int, int], list[Template]]:
        """The reference at every angle, for pictures of one size."""
        return {}

    def _search(self, picture: "_Picture") -> Search:
        return Search(picture.grey, max(self.levels[0].grey.shape) // 2)

    def _at_best_shift(self, search: Search, template: Template, move: Transform, picture: "_Picture") -> Found:
        point, correlation = search.best_position(template, picture.middle)
        shift = picture.middle_to(point)
        return replace(move, shift_y=float(shift[0]), shift_x=float(shift[1])), correlation

    def _turned(self, move: Transform, size: tuple[int, int]) -> Template:
        """Return the reference as it looks after ``move`` but for its shift, as a template for spectra of ``size``."""
        level = self.levels[0]
        reach = int(np.ceil(np.hypot(*level.grey.shape) * move.scale / 2))
        rows, columns = (np.arange(-half, half + 1) for half in (min(reach, (side - 1) // 2) for side in size))
        offsets = np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
        points = np.linalg.inv(move.matrix) @ offsets + level.middle[:, None]  # (2, n), of the reference
        inside = np.all((points >= -0.5) & (points <= np.array(level.grey.shape)[:, None] - 0.5), axis=0)
        levels, seen = level.planes.at(points)
        shape = (len(rows), len(columns))
        return make_template(levels.reshape(shape), (inside & (seen >= 0.5)).reshape(shape), size)

    def _by_corners(self, picture: "_Picture") -> list[Found]:
        """Return the transform on which corners with their surroundings agree, if they do."""
        level = self.levels[-1]
        corners = find_corners(picture.grey, factor=picture.factor, size=picture.size)
        move = transform_by_corners(self._corners, corners, scales=self.scales, tolerance=AGREE * level.factor)
        return [] if move is None else [(move, level.compared(picture, move)[0])]

    @cached_property
    def _corners(self) -> Corners | None:
        level = self.levels[-1]
        return find_corners(level.grey, factor=level.factor, size=level.size)

    def _refined(self, guesses: list[Found], pictures: "list[_Picture]") -> Found:
        found = guesses
        for level, picture, kept, less, close in zip(self.levels, pictures, KEPT, LESS, CLOSE, strict=True):
            found = _distinct(found)[:kept]
            near = [move for move, correlation in found if correlation >= found[0][1] - less]
            found = [_climb(level, picture, move, close) for move in near]
        return max(found, key=lambda each: each[1], default=(IDENTITY, -1.0))


def _distinct(found: list[Found]) -> list[Found]:
    """Return the transforms, the best first, without those that nearly turn and scale as a better one does."""
    kept: list[Found] = []
    for each in sorted(found, key=lambda each: -each[1]):
        if not any(_alike(each[0], better) for better, _ in kept):
            kept.append(each)
    return kept


def _alike(one: Transform, other: Transform) -> bool:
    turn = abs((one.angle - other.angle + 180) % 360 - 180)
    return turn < APART and abs(np.log(one.scale / other.scale)) < np.deg2rad(APART)


class _Grid:
    """A picture (h, w) at one resolution: the means of blocks of ``factor`` pixels each way."""

    def __init__(self, grey: NDArray[np.float32], factor: int):
        self.factor, self.size = factor, grey.shape
        self.grey = block_mean(grey, factor)  # (h, w)
        self.middle = (middle(grey.shape) + 0.5) / factor - 0.5  # (y, x), in blocks

    def middle_to(self, point: NDArray) -> NDArray[np.float64]:
        """Return how far ``point`` (y, x), in blocks, is from the middle, in pixels of the whole picture."""
        return (point - self.middle) * self.factor


class _Level(_Grid):
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

    def compared(self, picture: "_Picture", move: Transform) -> tuple[float, NDArray[np.float64]]:
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

    def _in_picture(self, picture: "_Picture", move: Transform) -> NDArray[np.float32]:
        """Return where the points lie in ``picture`` (2, n), in its blocks."""
        first = picture.middle + np.array([move.shift_y, move.shift_x]) / picture.factor
        return move.matrix.astype(np.float32) @ self.points + first[:, None].astype(np.float32)

    def stepped(self, move: Transform, step: NDArray) -> Transform:
        """Return ``move`` after ``step`` in the reference."""
        turn = np.rad2deg(step[2]) if self.spins else 0.0
        grow = float(np.exp(step[-1])) if self.scales else 1.0
        shift = move.matrix @ step[:2]
        return Transform(move.angle + turn, move.shift_y + shift[0], move.shift_x + shift[1], move.scale * grow)


class _Picture(_Grid):
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


def _climb(level: _Level, picture: _Picture, move: Transform, close: float) -> Found:
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
