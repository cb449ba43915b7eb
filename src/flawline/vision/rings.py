"""How a drawn part lies against another, told by their masses: the shift by the centres, the scale by the masses, and
the turn by what lies on rings around the centres.

Drawings are those of ``flawline.vision.foreground.render_foreground``: outside the part they are 0."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.vision.foreground import INK
from flawline.vision.reading import Lines

ANGLES = 256  # of a ring
RADII = 24  # rings, the largest of which goes around the whole part
PEAKS = 4  # turns that are told
APART = 12.0  # degrees between two of them
RIVAL = 0.15  # correlation by which one may be behind the best


@dataclass(frozen=True, eq=False)
class Mass:
    """The mass of a drawn part, its centre (y, x), and how far it reaches from there, pixels."""

    size: float
    centre: NDArray[np.float64]
    reach: float


def mass_of(drawing: NDArray[np.float32]) -> Mass | None:
    """Return the mass of a drawing (H, W), each pixel of the part weighing the same; None where it is empty."""
    weights = np.minimum(drawing, INK / 2)
    size = float(weights.sum(dtype=np.float64))
    if size <= 0:
        return None
    rows, columns = weights.sum(axis=1, dtype=np.float64), weights.sum(axis=0, dtype=np.float64)
    y, x = (float(side @ np.arange(len(side))) / size for side in (rows, columns))
    points = np.argwhere(weights > INK / 4)
    reach = float(np.sqrt(((points - (y, x)) ** 2).sum(axis=1).max())) if len(points) else 1.0
    return Mass(size, np.array([y, x]), reach)


def ring_spectra(drawing: NDArray[np.float32], centre: NDArray[np.float64], reach: float) -> NDArray[np.complex64]:
    """Return the spectra (RADII, ANGLES // 2 + 1) of a drawing (H, W) along rings around ``centre``, counter-clockwise,
    their widths up to ``reach`` pixels; each counts by its length, and what is the same all around is left out."""
    turns = 2 * np.pi * np.arange(ANGLES) / ANGLES
    radii = reach * (np.arange(RADII) + 0.5)[:, None] / RADII  # (RADII, 1)
    points = np.stack([centre[0] - radii * np.sin(turns), centre[1] + radii * np.cos(turns)])  # (2, RADII, ANGLES)
    rings = Lines(drawing[None]).at(points.reshape(2, -1)).reshape(RADII, ANGLES)
    spectra = scipy.fft.rfft(rings * np.sqrt(radii).astype(np.float32), axis=1)
    spectra[:, 0] = 0
    return spectra


def likely_spins(other: NDArray[np.complex64], mine: NDArray[np.complex64]) -> list[tuple[float, float]]:
    """Return the angles (degrees) of the other drawing against mine at which their rings correlate best, each with that
    correlation, the best first; those that are no rivals of the best are left out."""
    agreement = scipy.fft.irfft((other * np.conj(mine)).sum(axis=0), ANGLES)  # (ANGLES,)
    agreement /= np.sqrt(_power(other) * _power(mine)) + 1e-9
    rest, apart = agreement.copy(), round(APART * ANGLES / 360)
    found: list[tuple[float, float]] = []
    for _ in range(PEAKS):
        k = int(np.argmax(rest))
        if found and rest[k] < found[0][1] - RIVAL:
            break
        found.append(((k + _beside(agreement, k)) * 360 / ANGLES, float(agreement[k])))
        rest[np.arange(k - apart, k + apart + 1) % ANGLES] = -np.inf
    return found


def _beside(values: NDArray[np.float32], k: int) -> float:
    """Return how far beside the highest value, the ``k``-th of a ring, the top of the parabola through it and its
    neighbours lies, at most half a place."""
    before, here, after = (float(values[i % len(values)]) for i in (k - 1, k, k + 1))
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _power(spectra: NDArray[np.complex64]) -> float:
    """Return the sum of squares of the rings that have these spectra."""
    return float((np.abs(spectra) ** 2).sum()) * 2 / ANGLES
