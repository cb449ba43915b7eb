"""How the part of one photograph lies against that of another: a search from coarse to fine for the transform at which
the two correlate best. The geometry is that of ``flawline.vision.transform``."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flawline.vision.corners import Corners, find_corners, transform_by_corners
from flawline.vision.refinement import Found, Level, Picture, climb
from flawline.vision.rings import Mass, likely_spins, mass_of, ring_spectra
from flawline.vision.searching import Search, Template, make_template
from flawline.vision.spectra import likely_turns, polar_spectrum
from flawline.vision.transform import IDENTITY, Transform

WORK, COARSE = 192, 80  # pixels of a reference's longer side at most, at the last look and the first
KEPT = (4, 3)  # candidates refined at the coarse and the fine level, at most
LESS = (2.0, 0.05)  # correlation by which they may be behind the best
CLOSE = (0.2, 0.02)  # of a level's pixels: a step below ends the refinement there
DOUBTFUL = 0.75  # correlation below which more is tried
AGREE = 3.0  # pixels of the finest level between two corners that agree
APART = 6.0  # degrees between two candidates, or as much in scale
TURN = 5.0  # degrees from angle to angle where every one is tried
BLANK = 1.0  # grey levels: an image whose standard deviation is below shows nothing


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
        self.levels = [Level(reference, seen, factor, spins=spins, scales=scales) for factor in factors]

    def find(self, grey: NDArray[np.float32]) -> Found:
        """Return the transform of the part in grey levels (H, W), and the normalised correlation with the reference
        after it is undone."""
        pictures = [Picture(grey, level.factor, splines=level is self.levels[-1]) for level in self.levels]
        best = (IDENTITY, -1.0)
        for guesses in self._starts(pictures):
            best = max(best, self._refined(guesses, pictures), key=lambda found: found[1])
            if best[1] >= DOUBTFUL:
                break
        return best[0].rounded(), best[1]

    def correlation(self, grey: NDArray[np.float32], move: Transform) -> float:
        """Return the normalised correlation of grey levels (H, W) with the reference after ``move`` is undone."""
        level = self.levels[-1]
        return level.compared(Picture(grey, level.factor, splines=True), move)[0]

    def by_angle(self, grey: NDArray[np.float32], angles: Sequence[float]) -> NDArray[np.float64]:
        """Return the normalised correlation with the reference at each of ``angles``, each at its best shift."""
        picture = Picture(grey, self.levels[0].factor)
        level = Level(self.reference, self.seen, picture.factor, spins=False, scales=False)
        guesses = self._shifted((Transform(angle) for angle in angles), picture)
        return np.array([climb(level, picture, move, CLOSE[-1])[1] for move, _ in guesses])

    # where to begin: candidates, each with its correlation
    def _starts(self, pictures: list[Picture]) -> Iterable[list[Found]]:
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

    def _by_mass(self, picture: Picture) -> list[Found]:
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

    def _by_spectrum(self, picture: Picture) -> list[Found]:
        """Return the likely turns and scales, each at its best shift, and the identity at its own."""
        if not self.spins and not self.scales:
            return self._shifted([IDENTITY], picture)
        spectrum = polar_spectrum(picture.grey, log=self.scales)
        turns = likely_turns(spectrum, self._spectrum, spins=self.spins, scales=self.scales)
        return self._shifted([*(Transform(angle, scale=scale) for angle, scale in turns), IDENTITY], picture)

    @cached_property
    def _spectrum(self) -> NDArray[np.float64]:
        return polar_spectrum(self.levels[0].grey, log=self.scales)

    def _shifted(self, moves: Iterable[Transform], picture: Picture) -> list[Found]:
        """Return the moves, each with the shift at which it correlates best, and that correlation."""
        search = self._search(picture)
        return [self._at_best_shift(search, self._turned(move, search.size), move, picture) for move in moves]

    def _at_every_angle(self, picture: Picture) -> list[Found]:
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

    def _search(self, picture: Picture) -> Search:
        return Search(picture.grey, max(self.levels[0].grey.shape) // 2)

    def _at_best_shift(self, search: Search, template: Template, move: Transform, picture: Picture) -> Found:
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

    def _by_corners(self, picture: Picture) -> list[Found]:
        """Return the transform on which corners with their surroundings agree, if they do."""
        level = self.levels[-1]
        corners = find_corners(picture.grey, factor=picture.factor, size=picture.size)
        move = transform_by_corners(self._corners, corners, scales=self.scales, tolerance=AGREE * level.factor)
        return [] if move is None else [(move, level.compared(picture, move)[0])]

    @cached_property
    def _corners(self) -> Corners | None:
        level = self.levels[-1]
        return find_corners(level.grey, factor=level.factor, size=level.size)

    def _refined(self, guesses: list[Found], pictures: list[Picture]) -> Found:
        found = guesses
        for level, picture, kept, less, close in zip(self.levels, pictures, KEPT, LESS, CLOSE, strict=True):
            found = _distinct(found)[:kept]
            near = [move for move, correlation in found if correlation >= found[0][1] - less]
            found = [climb(level, picture, move, close) for move in near]
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
