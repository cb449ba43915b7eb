"""How the part of one photograph lies against that of another: a search from coarse to fine for the transform at which
the two correlate best. The geometry is that of ``flawline.vision.transform``."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.vision.corners import Corners, find_corners, transform_by_corners
from flawline.vision.foreground import block_mean
from flawline.vision.spectra import likely_turns, polar_spectrum
from flawline.vision.transform import IDENTITY, Transform, middle

WORK, MIDDLE, COARSE = 384, 192, 80  # pixels of a reference's longer side at most, from the last look to the first
POINTS = 12_000  # pixels that are compared at most in a step of the refinement
KEPT = (4, 2, 1)  # candidates refined at the coarse, middle and fine level
STEPS = 12  # of a refinement, at most
CLOSE = 0.005  # pixels: a step below ends the refinement
DOUBTFUL = 0.75  # correlation below which more is tried: corners, then every angle
AGREE = 3.0  # pixels of the finest level between two corners that agree
TURN = 5.0  # degrees from angle to angle where every one is tried
BLANK = 1.0  # grey levels: an image whose standard deviation is below shows nothing


def is_blank(grey: NDArray[np.float32]) -> bool:
    """Return True if grey levels (H, W) from 0 to 255 show nothing that could be aligned."""
    return float(grey.std()) < BLANK


class Matcher:
    """Finds the part of a reference (H, W) in other photographs; ``seen`` (H, W) are the pixels that count.

    All are photographs of some 400 pixels at most: they are compared pixel by pixel. Shifts are found, with ``spins``
    rotations too, with ``scales`` scales."""

    def __init__(
        self, reference: NDArray[np.float32], seen: NDArray[np.bool_], *, spins: bool = True, scales: bool = False
    ):
        self.reference, self.seen, self.spins, self.scales = reference, seen, spins, scales
        longest = max(reference.shape)
        factors = [max(1, -(-longest // side)) for side in (COARSE, MIDDLE, WORK)]
        self.levels = [_Level(reference, seen, factor) for factor in factors]

    def find(self, grey: NDArray[np.float32]) -> tuple[Transform, float]:
        """Return the transform of the part in grey levels (H, W), and the normalised correlation with the reference
        after it is undone."""
        images = [_Image(grey, level.factor) for level in self.levels]
        best = self._refined(self._guesses(images[0]), images)
        if best[1] < DOUBTFUL and self.spins:
            best = max(best, self._refined(self._by_corners(images[-1]), images), key=lambda found: found[1])
        if best[1] < DOUBTFUL and self.spins:
            every = [Transform(angle) for angle in np.arange(-180, 180, TURN)]
            best = max(best, self._refined(self._shifted(every, images[0]), images), key=lambda found: found[1])
        return best[0].rounded(), best[1]

    def correlation(self, grey: NDArray[np.float32], move: Transform) -> float:
        """Return the normalised correlation of grey levels (H, W) with the reference after ``move`` is undone."""
        level = self.levels[-1]
        return self._correlation(level, _Image(grey, level.factor), move)

    def by_angle(self, grey: NDArray[np.float32], angles: Sequence[float]) -> NDArray[np.float64]:
        """Return the normalised correlation with the reference at each of ``angles``, each at its best shift."""
        level = self.levels[0]
        image = _Image(grey, level.factor)
        turner = Matcher(self.reference, self.seen, spins=False)
        guesses = [self._at_best_shift(Transform(angle), image)[0] for angle in angles]
        return np.array([turner._climb(level, image, guess)[1] for guess in guesses])

    # candidates, each with its correlation
    def _guesses(self, image: "_Image") -> list[tuple[Transform, float]]:
        if not self.spins and not self.scales:
            return self._shifted([IDENTITY], image)
        spectrum = polar_spectrum(image.grey, log=self.scales)
        turns = likely_turns(spectrum, self._spectrum, spins=self.spins, scales=self.scales)
        return self._shifted([*(Transform(angle, scale=scale) for angle, scale in turns), IDENTITY], image)

    @cached_property
    def _spectrum(self) -> NDArray[np.float64]:
        return polar_spectrum(self.levels[0].grey, log=self.scales)

    def _shifted(self, moves: Sequence[Transform], image: "_Image") -> list[tuple[Transform, float]]:
        """Return the moves, each with the shift at which it correlates best, and that correlation."""
        return [self._at_best_shift(move, image) for move in moves]

    def _at_best_shift(self, move: Transform, image: "_Image") -> tuple[Transform, float]:
        level = self.levels[0]
        height, width = level.grey.shape
        border = max(height, width) // 2
        size = (height + 2 * border, width + 2 * border)
        rows, columns = np.indices(size).reshape(2, -1)
        points = (np.stack([rows - border, columns - border], axis=1) + 0.5) * level.factor - 0.5
        turned = image.at(move.to_image(points, level.size, image.size), order=1).reshape(size)
        y, x, correlation = self._template.best_position(turned)
        shift = move.matrix @ (np.array([y - border, x - border]) * level.factor)
        return replace(move, shift_y=shift[0], shift_x=shift[1]), correlation

    @cached_property
    def _template(self) -> "_Template":
        level = self.levels[0]
        border = max(level.grey.shape) // 2
        return _Template(level.grey, level.seen, [side + 2 * border for side in level.grey.shape])

    def _by_corners(self, image: "_Image") -> list[tuple[Transform, float]]:
        """Return the transform on which corners with their surroundings agree, if they do."""
        level = self.levels[-1]
        corners = find_corners(image.grey, factor=image.factor, size=image.size)
        move = transform_by_corners(self._corners, corners, scales=self.scales, tolerance=AGREE * level.factor)
        return [] if move is None else [(move, self._correlation(level, image, move))]

    @cached_property
    def _corners(self) -> Corners | None:
        level = self.levels[-1]
        return find_corners(level.grey, factor=level.factor, size=level.size)

    # refinement
    def _refined(self, guesses: list[tuple[Transform, float]], images: "list[_Image]") -> tuple[Transform, float]:
        found = guesses
        for level, image, kept in zip(self.levels, images, KEPT, strict=True):
            found = sorted(found, key=lambda each: -each[1])[:kept]
            found = [self._climb(level, image, move) for move, _ in found]
        return max(found, key=lambda each: each[1], default=(IDENTITY, -1.0))

    def _correlation(self, level: "_Level", image: "_Image", move: Transform) -> float:
        levels = image.at(move.to_image(level.points, level.size, image.size))
        return float(_standardised(levels) @ level.levels)

    def _climb(self, level: "_Level", image: "_Image", move: Transform) -> tuple[Transform, float]:
        """Return the transform near ``move`` with the highest correlation, and that correlation.

        Source: Evangelidis and Psarakis 2008, Parametric image alignment using enhanced correlation coefficient
        maximization, Eq. 15 to 20 (forward, additive); steps that do not help are halved."""
        offsets = level.points - middle(level.size)
        reach = float(np.abs(offsets).max())
        points = move.to_image(level.points, level.size, image.size)
        levels = image.at(points)
        best = float(_standardised(levels) @ level.levels)
        for _ in range(STEPS):
            slopes = self._slopes(image.slopes(points), offsets, move)
            step = _ecc_step(levels, level.levels, slopes)
            for _ in range(4):
                moved = self._stepped(move, step)
                points = moved.to_image(level.points, level.size, image.size)
                levels = image.at(points)
                correlation = float(_standardised(levels) @ level.levels)
                if correlation > best:
                    break
                step = step / 2
            else:
                return move, best
            move, best = moved, correlation
            if np.abs(step * np.array([1, 1, reach, reach])[: len(step)]).max() < CLOSE * level.factor:
                break
        return move, best

    def _slopes(self, gradient: NDArray, offsets: NDArray, move: Transform) -> NDArray[np.float64]:
        """Return what a pixel of shift, a radian and a unit of log scale change in each point's level (n, 2 to 4)."""
        spun = offsets @ move.matrix.T  # (n, 2)
        columns = [gradient[:, 0], gradient[:, 1]]
        if self.spins:
            columns.append(gradient[:, 1] * spun[:, 0] - gradient[:, 0] * spun[:, 1])
        if self.scales:
            columns.append((gradient * spun).sum(axis=1))
        return np.stack(columns, axis=1)

    def _stepped(self, move: Transform, step: NDArray) -> Transform:
        turn = np.rad2deg(step[2]) if self.spins else 0.0
        grow = float(np.exp(step[-1])) if self.scales else 1.0
        return Transform(move.angle + turn, move.shift_y + step[0], move.shift_x + step[1], move.scale * grow)


class _Level:
    """A reference at one resolution: the points that are compared, and their standardised levels."""

    def __init__(self, grey: NDArray[np.float32], seen: NDArray[np.bool_], factor: int):
        self.factor, self.size = factor, grey.shape
        self.grey = block_mean(grey, factor)  # (h, w)
        self.seen = block_mean(seen.astype(np.float32), factor) >= 0.5  # (h, w)
        points = np.argwhere(self.seen)
        points = points[:: max(1, round(len(points) / POINTS))]
        self.levels = _standardised(self.grey[points[:, 0], points[:, 1]].astype(np.float64))  # (n,)
        self.points = (points + 0.5) * factor - 0.5  # (n, 2), in pixels of the whole reference


class _Image:
    """A photograph at one resolution, read between its pixels; outside it, its border goes on."""

    def __init__(self, grey: NDArray[np.float32], factor: int):
        self.size, self.factor = grey.shape, factor
        self.grey = block_mean(grey, factor)  # (h, w)

    @cached_property
    def _spline(self) -> NDArray:
        return scipy.ndimage.spline_filter(self.grey.astype(np.float64), order=3, mode="mirror")

    @cached_property
    def _gradient(self) -> tuple[NDArray, NDArray]:
        levels = self.grey.astype(np.float64) / self.factor
        return np.gradient(levels, axis=0), np.gradient(levels, axis=1)

    def at(self, points: NDArray, *, order: Literal[1, 3] = 3) -> NDArray[np.float64]:
        """Return the levels at ``points`` (n, 2), in pixels of the whole photograph."""
        source = self._spline if order == 3 else self.grey.astype(np.float64)
        inside = self._inside(points).T
        return scipy.ndimage.map_coordinates(source, inside, order=order, mode="mirror", prefilter=False)

    def slopes(self, points: NDArray) -> NDArray[np.float64]:
        """Return how the levels change along y and x (n, 2) for a pixel of the whole photograph."""
        inside = self._inside(points).T
        sides = [scipy.ndimage.map_coordinates(side, inside, order=1) for side in self._gradient]
        return np.stack(sides, axis=1)  # (n, 2)

    def _inside(self, points: NDArray) -> NDArray:
        return np.clip((points + 0.5) / self.factor - 0.5, 0, np.array(self.grey.shape) - 1)


class _Template:
    """A masked template that is sought at every position in larger pictures of one ``size`` at once.

    Source: Padfield 2012, Masked object registration in the Fourier domain, Eq. 20, the picture itself unmasked.
    scikit-image's phase_cross_correlation with masks transforms template and masks again for every picture and returns
    no correlation: it finds the same transforms of ``screw``, but takes 30 ms a picture instead of 2.7."""

    def __init__(self, grey: NDArray, seen: NDArray[np.bool_], size: Sequence[int]):
        self.size = tuple(size)
        self.last = [whole - side + 1 for whole, side in zip(size, grey.shape, strict=True)]
        levels = np.zeros(grey.shape)
        levels[seen] = _standardised(grey[seen].astype(np.float64))
        self.count = int(seen.sum())
        self.levels = np.conj(scipy.fft.rfft2(levels, self.size))
        self.seen = np.conj(scipy.fft.rfft2(seen.astype(np.float64), self.size))

    def best_position(self, picture: NDArray) -> tuple[int, int, float]:
        """Return the pixel (y, x) of ``picture`` on which the template's first pixel lies where the two correlate best,
        and the normalised correlation there."""
        centred = picture - picture.mean()
        spectrum = scipy.fft.rfft2(centred)
        mean = scipy.fft.irfft2(spectrum * self.seen, self.size) / self.count
        square = scipy.fft.irfft2(scipy.fft.rfft2(centred**2) * self.seen, self.size) / self.count
        spread = np.sqrt(self.count * np.maximum(square - mean**2, 0.25 * BLANK**2))
        correlation = scipy.fft.irfft2(spectrum * self.levels, self.size) / spread
        there = correlation[: self.last[0], : self.last[1]]
        y, x = np.unravel_index(np.argmax(there), there.shape)
        return int(y), int(x), float(there[y, x])


def _standardised(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return levels (n,) with mean 0 and length 1; zeros where all are alike."""
    centred = levels - levels.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length > 1e-9 else np.zeros_like(centred)


def _ecc_step(levels: NDArray, wanted: NDArray, slopes: NDArray) -> NDArray[np.float64]:
    """Return the step that brings ``levels`` (n,) nearest to a multiple of ``wanted`` (n,), by their ``slopes``."""
    centred, levels = slopes - slopes.mean(axis=0), levels - levels.mean()
    sizes = np.linalg.norm(centred, axis=0) + 1e-9
    basis = centred / sizes
    square = basis.T @ basis + 1e-9 * np.eye(basis.shape[1])
    of_levels, of_wanted = np.linalg.solve(square, np.stack([basis.T @ levels, basis.T @ wanted], axis=1)).T
    rest = float(levels @ levels - (levels @ basis) @ of_levels)
    shared = float(wanted @ levels - (wanted @ basis) @ of_levels)
    gain = rest / shared if shared > 1e-9 else float(np.linalg.norm(levels))
    return (gain * of_wanted - of_levels) / sizes
