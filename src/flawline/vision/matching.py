"""How the part of one photograph lies against that of another.

Geometry, once for all: points are (y, x) with the first pixel's centre at (0, 0); the middle of an image (H, W) is the
pixel (H // 2, W // 2). A ``Transform`` takes the place p of the reference to the place of the image

    q = middle_image + (shift_y, shift_x) + scale * R(angle) (p - middle_reference)

where R turns counter-clockwise as the eye sees it. So an image whose part was turned by 10 degrees to the left and
moved 3 pixels down has angle 10 and shift_y 3; to undo the move, pixel p of the result is sampled at q. The identity
lays the middle of the image on that of the reference, whatever their sizes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, fftshift, irfft, irfft2, rfft, rfft2
from scipy.ndimage import map_coordinates, spline_filter
from skimage.feature import ORB, match_descriptors
from skimage.measure import ransac
from skimage.transform import EuclideanTransform, SimilarityTransform, warp_polar

from flawline.vision.foreground import block_mean

WORK, MIDDLE, COARSE = 384, 192, 80  # pixels of a reference's longer side at most, from the last look to the first
POINTS = 12_000  # pixels that are compared at most in a step of the refinement
ANGLES = 360  # of the half turn that a spectrum has
RADII = 48  # of a spectrum
SPECTRUM = 256  # side of a spectrum, twice the coarse level's longest and more
LOG_STEP = np.log(SPECTRUM / 2) / RADII  # from radius to radius where they grow by a factor
LOG_SCALE = np.log(2.0)  # scales are sought from a half to twice
LOW = 24  # frequencies of a spectrum over the angle that tell pictures apart
PEAKS = 4  # angles taken from the spectra
APART = 6.0  # degrees between two of them
KEPT = (4, 2, 1)  # candidates refined at the coarse, middle and fine level
STEPS = 12  # of a refinement, at most
CLOSE = 0.005  # pixels: a step below ends the refinement
DOUBTFUL = 0.75  # correlation below which more is tried: features, then every angle
CORNERS = 200  # that are compared at most
LEAST_PAIRS = 6  # like corners that must agree
AGREE = 3.0  # pixels of the finest level between two that agree
TURN = 5.0  # degrees from angle to angle where every one is tried
BLANK = 1.0  # grey levels: an image whose standard deviation is below shows nothing
DIGITS = 4  # decimals that angle, shift and scale are rounded to


@dataclass(frozen=True)
class Transform:
    """How the part of an image is turned (degrees, counter-clockwise), moved (pixels) and larger than the reference's;
    the module says about which point."""

    angle: float = 0.0
    shift_y: float = 0.0
    shift_x: float = 0.0
    scale: float = 1.0

    @property
    def matrix(self) -> NDArray[np.float64]:
        """scale * R(angle), of points (y, x)."""
        turn = np.deg2rad(self.angle)
        return self.scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def place(self, points: NDArray, reference: Sequence[int], image: Sequence[int]) -> NDArray[np.float64]:
        """Return where ``points`` (n, 2) of the reference lie in the image, both of size (H, W)."""
        return (points - _middle(reference)) @ self.matrix.T + _middle(image) + (self.shift_y, self.shift_x)

    def place_back(self, points: NDArray, reference: Sequence[int], image: Sequence[int]) -> NDArray[np.float64]:
        """Return where ``points`` (n, 2) of the image lie in the reference."""
        moved = points - _middle(image) - (self.shift_y, self.shift_x)
        return moved @ np.linalg.inv(self.matrix).T + _middle(reference)

    def enlarged(self, factor: int, reference: Sequence[int], image: Sequence[int]) -> "Transform":
        """Return the move in pixels of a reference and an image of sizes (H, W), where this one is that of the means
        of their blocks of ``factor`` pixels."""
        small_reference, small_image = ([side // factor for side in size] for size in (reference, image))
        first = (np.zeros((1, 2)) + 0.5) / factor - 0.5  # the whole reference's first pixel, in blocks
        (place,) = (self.place(first, small_reference, small_image) + 0.5) * factor - 0.5
        shift = place - _middle(image) + self.matrix @ _middle(reference)
        return replace(self, shift_y=float(shift[0]), shift_x=float(shift[1]))

    def rounded(self) -> "Transform":
        angle = (self.angle + 180) % 360 - 180
        values = (angle, self.shift_y, self.shift_x, self.scale)
        return Transform(*(round(float(value), DIGITS) + 0.0 for value in values))


IDENTITY = Transform()


def _middle(size: Sequence[int]) -> NDArray[np.float64]:
    return np.array([size[0] // 2, size[1] // 2], float)


def is_blank(grey: NDArray[np.float32]) -> bool:
    """Return True if grey levels (H, W) from 0 to 255 show nothing that could be aligned."""
    return float(grey.std()) < BLANK


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
        """Return the move of the part in grey levels (H, W) and the normalised correlation with the reference after
        it is undone."""
        images = [_Image(grey, level.factor) for level in self.levels]
        best = self._refined(self._guesses(images[0]), images)
        if best[1] < DOUBTFUL and self.spins:
            best = max(best, self._refined(self._featured(images[-1]), images), key=lambda found: found[1])
        if best[1] < DOUBTFUL and self.spins:
            every = [Transform(angle) for angle in np.arange(-180, 180, TURN)]
            best = max(best, self._refined(self._placed(every, images[0]), images), key=lambda found: found[1])
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
        placed = [self._placed([Transform(angle)], image)[0][0] for angle in angles]
        return np.array([turner._climb(level, image, guess)[1] for guess in placed])

    # candidates, each with its correlation
    def _guesses(self, image: "_Image") -> list[tuple[Transform, float]]:
        if not self.spins and not self.scales:
            return self._placed([IDENTITY], image)
        return self._placed([*self._turns(image), IDENTITY], image)

    def _turns(self, image: "_Image") -> list[Transform]:
        """Return angles and scales by which the spectra agree; a spectrum knows the angle but for a half turn."""
        agreement = _agreement(_spectrum(image.grey, log=self.scales), self._spectrum, log=self.scales)
        if not self.spins:
            agreement = agreement[:1]
        halves = (0.0, 180.0) if self.spins else (0.0,)
        peaks = _peaks(agreement)
        moves = [(-row * 180 / ANGLES, _scale_of(column, agreement.shape[1])) for row, column in peaks]
        return [Transform(angle + half, scale=scale) for angle, scale in moves for half in halves]

    @cached_property
    def _spectrum(self) -> NDArray[np.float64]:
        return _spectrum(self.levels[0].grey, log=self.scales)

    def _placed(self, moves: Sequence[Transform], image: "_Image") -> list[tuple[Transform, float]]:
        """Return the moves, each with the shift at which it correlates best, and that correlation."""
        return [self._at_best_shift(move, image) for move in moves]

    def _at_best_shift(self, move: Transform, image: "_Image") -> tuple[Transform, float]:
        level = self.levels[0]
        height, width = level.grey.shape
        border = max(height, width) // 2
        size = (height + 2 * border, width + 2 * border)
        rows, columns = np.indices(size).reshape(2, -1)
        points = (np.stack([rows - border, columns - border], axis=1) + 0.5) * level.factor - 0.5
        turned = image.at(move.place(points, level.size, image.size), order=1).reshape(size)
        y, x, correlation = self._template.best_place(turned)
        shift = move.matrix @ (np.array([y - border, x - border]) * level.factor)
        return replace(move, shift_y=shift[0], shift_x=shift[1]), correlation

    @cached_property
    def _template(self) -> "_Template":
        level = self.levels[0]
        border = max(level.grey.shape) // 2
        return _Template(level.grey, level.seen, [side + 2 * border for side in level.grey.shape])

    def _featured(self, image: "_Image") -> list[tuple[Transform, float]]:
        """Return the move that corners with their surroundings agree on, if they do."""
        level = self.levels[-1]
        move = _by_features(self._features, _features(image.grey), level, image, scales=self.scales)
        return [] if move is None else [(move, self._correlation(level, image, move))]

    @cached_property
    def _features(self) -> "Features | None":
        return _features(self.levels[-1].grey)

    # refinement
    def _refined(self, guesses: list[tuple[Transform, float]], images: "list[_Image]") -> tuple[Transform, float]:
        found = guesses
        for level, image, kept in zip(self.levels, images, KEPT, strict=True):
            found = sorted(found, key=lambda each: -each[1])[:kept]
            found = [self._climb(level, image, move) for move, _ in found]
        return max(found, key=lambda each: each[1], default=(IDENTITY, -1.0))

    def _correlation(self, level: _Level, image: "_Image", move: Transform) -> float:
        levels = image.at(move.place(level.points, level.size, image.size))
        return float(_standardised(levels) @ level.levels)

    def _climb(self, level: _Level, image: "_Image", move: Transform) -> tuple[Transform, float]:
        """Return the move near ``move`` with the highest correlation, and that.

        Source: Evangelidis and Psarakis 2008, Parametric image alignment using enhanced correlation coefficient
        maximization, Eq. 15 to 20 (forward, additive); steps that do not help are halved."""
        offsets = level.points - _middle(level.size)
        reach = float(np.abs(offsets).max())
        places = move.place(level.points, level.size, image.size)
        levels = image.at(places)
        best = float(_standardised(levels) @ level.levels)
        for _ in range(STEPS):
            slopes = self._slopes(image.slopes(places), offsets, move)
            step = _ecc_step(levels, level.levels, slopes)
            for _ in range(4):
                moved = self._stepped(move, step)
                places = moved.place(level.points, level.size, image.size)
                levels = image.at(places)
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


class _Image:
    """A photograph at one resolution, read between its pixels; outside, its border goes on."""

    def __init__(self, grey: NDArray[np.float32], factor: int):
        self.size, self.factor = grey.shape, factor
        self.grey = block_mean(grey, factor)  # (h, w)

    @cached_property
    def _spline(self) -> NDArray:
        return spline_filter(self.grey.astype(np.float64), order=3, mode="mirror")

    @cached_property
    def _gradient(self) -> tuple[NDArray, NDArray]:
        levels = self.grey.astype(np.float64) / self.factor
        return np.gradient(levels, axis=0), np.gradient(levels, axis=1)

    def at(self, places: NDArray, *, order: Literal[1, 3] = 3) -> NDArray[np.float64]:
        """Return the levels at ``places`` (n, 2), in pixels of the whole photograph."""
        source = self._spline if order == 3 else self.grey.astype(np.float64)
        return map_coordinates(source, self._inside(places).T, order=order, mode="mirror", prefilter=False)

    def slopes(self, places: NDArray) -> NDArray[np.float64]:
        """Return how the levels change along y and x (n, 2) for a pixel of the whole photograph."""
        inside = self._inside(places).T
        return np.stack([map_coordinates(side, inside, order=1) for side in self._gradient], axis=1)  # (n, 2)

    def _inside(self, places: NDArray) -> NDArray:
        return np.clip((places + 0.5) / self.factor - 0.5, 0, np.array(self.grey.shape) - 1)


class _Template:
    """A masked template that is sought at every place of larger pictures of one ``size`` at once.

    Source: Padfield 2012, Masked object registration in the Fourier domain, Eq. 20, the picture itself unmasked."""

    def __init__(self, grey: NDArray, seen: NDArray[np.bool_], size: Sequence[int]):
        self.size = tuple(size)
        self.last = [whole - side + 1 for whole, side in zip(size, grey.shape, strict=True)]
        levels = np.zeros(grey.shape)
        levels[seen] = _standardised(grey[seen].astype(np.float64))
        self.count = int(seen.sum())
        self.levels, self.seen = np.conj(rfft2(levels, self.size)), np.conj(rfft2(seen.astype(np.float64), self.size))

    def best_place(self, picture: NDArray) -> tuple[int, int, float]:
        """Return where the template's first pixel lies best (y, x), and the normalised correlation there."""
        centred = picture - picture.mean()
        spectrum = rfft2(centred)
        mean = irfft2(spectrum * self.seen, self.size) / self.count
        variance = irfft2(rfft2(centred**2) * self.seen, self.size) / self.count - mean**2
        least = 0.25 * BLANK**2
        correlation = irfft2(spectrum * self.levels, self.size) / np.sqrt(self.count * np.maximum(variance, least))
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


# --- spectra ---------------------------------------------------------------------------------------------------------
def fingerprint(grey: NDArray[np.float32], align: str) -> NDArray[np.float64]:
    """Return numbers (n,) of length 1 that are the same for pictures (H, W) that differ by moves of the kind
    ``align``: shift, rigid or similarity."""
    scales = align == "similarity"
    spectrum = _spectrum(block_mean(grey, -(-max(grey.shape) // COARSE)), log=scales)
    if align == "shift":
        values = spectrum[:: ANGLES // 45]
    elif scales:
        values = np.abs(rfft2(spectrum, (ANGLES, 2 * RADII)))[:LOW, :LOW]
    else:
        values = np.abs(rfft(spectrum, axis=0))[:LOW]
    return values.ravel() / (np.linalg.norm(values) + 1e-9)


def _spectrum(grey: NDArray[np.float32], *, log: bool) -> NDArray[np.float64]:
    """Return the magnitudes of the spectrum by angle and radius (ANGLES, RADII), clockwise over half a turn; each
    radius standardised over the angles, or with ``log`` radius all together. A shift changes nothing in it."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    flat = (grey - np.median(border)) * np.outer(*(_taper(side) for side in grey.shape))
    magnitude = fftshift(np.abs(fft2(flat, (SPECTRUM, SPECTRUM))))
    polar = warp_polar(
        np.log1p(magnitude), center=(SPECTRUM // 2, SPECTRUM // 2), radius=SPECTRUM / 2,
        output_shape=(2 * ANGLES, RADII), scaling="log" if log else "linear",
    )[:ANGLES]  # fmt: skip
    axis = None if log else 0
    polar = polar - polar.mean(axis=0)
    return polar / (polar.std(axis=axis, keepdims=True) + 1e-9)


def _taper(length: int) -> NDArray[np.float64]:
    """Return 1, falling to 0 in the outer tenths."""
    ends = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5) / (0.1 * length)
    return 0.5 - 0.5 * np.cos(np.pi * np.minimum(ends, 1))


def _agreement(other: NDArray, mine: NDArray, *, log: bool) -> NDArray[np.float64]:
    """Return the correlation of two spectra by how far ``other`` is turned (rows) and, with ``log``, grown (columns,
    negative ones at the end)."""
    if not log:
        return irfft((rfft(other, axis=0) * np.conj(rfft(mine, axis=0))).sum(axis=1), ANGLES)[:, None]  # (ANGLES, 1)
    size = (ANGLES, 2 * RADII)
    agreement = irfft2(rfft2(other, size) * np.conj(rfft2(mine, size)), size)
    reach = int(LOG_SCALE / LOG_STEP)
    agreement[:, reach + 1 : 2 * RADII - reach] = -np.inf
    return agreement


def _peaks(agreement: NDArray) -> list[tuple[int, int]]:
    """Return the places of the highest values (row, column), PEAKS of them, their rows APART; rows go round."""
    rest, found = agreement.copy(), []
    apart = round(APART * ANGLES / 180)
    for _ in range(PEAKS):
        row, column = (int(each) for each in np.unravel_index(np.argmax(rest), rest.shape))
        if not np.isfinite(rest[row, column]):
            break
        found.append((row, column))
        rest[np.arange(row - apart, row + apart + 1) % len(rest)] = -np.inf
    return found


def _scale_of(column: int, columns: int) -> float:
    """Return how much larger the part is whose spectrum is moved by ``column`` of ``columns``, which go round."""
    signed = column - columns if column > columns // 2 else column
    return float(np.exp(-signed * LOG_STEP))


# --- features --------------------------------------------------------------------------------------------------------
Features = tuple[NDArray[np.float64], NDArray[np.bool_]]  # places (n, 2) in pixels of the level, descriptors (n, 256)


def _features(grey: NDArray[np.float32]) -> Features | None:
    """Return corners and what surrounds them; None where there are too few."""
    orb = ORB(n_keypoints=CORNERS, fast_threshold=0.04)
    try:
        orb.detect_and_extract(grey / 255)
    except RuntimeError:  # no corner at all
        return None
    return (orb.keypoints, orb.descriptors) if len(orb.keypoints) >= LEAST_PAIRS else None


def _by_features(
    mine: Features | None, other: Features | None, level: _Level, image: _Image, *, scales: bool
) -> Transform | None:
    """Return the move on which the most pairs of like corners agree; None where hardly any do."""
    if mine is None or other is None:
        return None
    pairs = match_descriptors(mine[1], other[1], cross_check=True)
    if len(pairs) < LEAST_PAIRS:
        return None
    start = (mine[0][pairs[:, 0]] + 0.5) * level.factor - 0.5 - _middle(level.size)
    end = (other[0][pairs[:, 1]] + 0.5) * level.factor - 0.5 - _middle(image.size)
    kind = SimilarityTransform if scales else EuclideanTransform
    near = AGREE * level.factor
    found, inliers = ransac(
        (start[:, ::-1], end[:, ::-1]), kind, min_samples=2, residual_threshold=near, max_trials=300, rng=0
    )
    if found is None or inliers is None or inliers.sum() < LEAST_PAIRS:
        return None
    scale = float(found.scale) if scales else 1.0
    return Transform(-np.rad2deg(found.rotation), found.translation[1], found.translation[0], scale)
