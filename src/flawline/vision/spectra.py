"""What the spectra of two pictures say of how one is turned and scaled against the other.

The magnitudes of a spectrum do not change when a picture is shifted; when it is turned they turn, when it is scaled
they are scaled the other way. So turns and scales are found first, without any shift."""

import numpy as np
import scipy
from numpy.typing import NDArray

ANGLES = 360  # of the half turn that a spectrum has
RADII = 48  # of a spectrum
SPECTRUM = 256  # side of a spectrum, more than twice the longest side of the pictures that are compared
LOG_STEP = np.log(SPECTRUM / 2) / RADII  # from radius to radius where they grow by a factor
LOG_SCALE = np.log(2.0)  # scales are sought from a half to twice
LOW = 24  # frequencies over the angle (and the radius) that a descriptor keeps
PEAKS = 4  # turns taken from two spectra
APART = 6.0  # degrees between two of them


def spectral_descriptor(grey: NDArray[np.float32], align: str) -> NDArray[np.float64]:
    """Return a vector (n,) of length 1 that is alike for pictures (H, W) which differ by a transform of the kind
    ``align``: shift, rigid or similarity. No side may be longer than SPECTRUM / 2."""
    scales = align == "similarity"
    spectrum = polar_spectrum(grey, log=scales)
    if align == "shift":
        values = spectrum[:: ANGLES // 45]
    elif scales:
        values = np.abs(scipy.fft.rfft2(spectrum, (ANGLES, 2 * RADII)))[:LOW, :LOW]
    else:
        values = np.abs(scipy.fft.rfft(spectrum, axis=0))[:LOW]
    return values.ravel() / (np.linalg.norm(values) + 1e-9)


def polar_spectrum(grey: NDArray[np.float32], *, log: bool) -> NDArray[np.float64]:
    """Return the magnitudes of the spectrum of a picture (H, W) by angle, clockwise over half a turn, and radius
    (ANGLES, RADII). Each radius is standardised over the angles; with ``log`` radii all are standardised together."""
    from skimage.transform import warp_polar

    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    flat = (grey - np.median(border)) * np.outer(*(_taper(side) for side in grey.shape))
    magnitude = scipy.fft.fftshift(np.abs(scipy.fft.fft2(flat, (SPECTRUM, SPECTRUM))))
    polar = warp_polar(
        np.log1p(magnitude), center=(SPECTRUM // 2, SPECTRUM // 2), radius=SPECTRUM / 2,
        output_shape=(2 * ANGLES, RADII), scaling="log" if log else "linear",
    )[:ANGLES]  # fmt: skip
    axis = None if log else 0
    polar = polar - polar.mean(axis=0)
    return polar / (polar.std(axis=axis, keepdims=True) + 1e-9)


def likely_turns(other: NDArray, mine: NDArray, *, spins: bool, scales: bool) -> list[tuple[float, float]]:
    """Return the (angle in degrees, scale) of the other picture against mine at which their polar spectra agree best.

    A spectrum repeats after half a turn, so each angle comes with its opposite. Without ``spins`` the angle is 0."""
    agreement = _agreement(other, mine, log=scales)
    if not spins:
        agreement = agreement[:1]
    halves = (0.0, 180.0) if spins else (0.0,)
    turns = [(-row * 180 / ANGLES, _scale_of(column, agreement.shape[1])) for row, column in _peaks(agreement)]
    return [(angle + half, scale) for angle, scale in turns for half in halves]


def _taper(length: int) -> NDArray[np.float64]:
    """Return weights (length,): 1 in the middle, falling to 0 in the outer tenths."""
    ends = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5) / (0.1 * length)
    return 0.5 - 0.5 * np.cos(np.pi * np.minimum(ends, 1))


def _agreement(other: NDArray, mine: NDArray, *, log: bool) -> NDArray[np.float64]:
    """Return the correlation of two polar spectra by how far ``other`` is turned (rows) and, with ``log``, scaled
    (columns, those of smaller scales at the end)."""
    if not log:
        product = scipy.fft.rfft(other, axis=0) * np.conj(scipy.fft.rfft(mine, axis=0))
        return scipy.fft.irfft(product.sum(axis=1), ANGLES)[:, None]  # (ANGLES, 1)
    size = (ANGLES, 2 * RADII)
    agreement = scipy.fft.irfft2(scipy.fft.rfft2(other, size) * np.conj(scipy.fft.rfft2(mine, size)), size)
    reach = int(LOG_SCALE / LOG_STEP)
    agreement[:, reach + 1 : 2 * RADII - reach] = -np.inf
    return agreement


def _peaks(agreement: NDArray) -> list[tuple[int, int]]:
    """Return the (row, column) of the PEAKS highest values whose rows lie APART; the last row is beside the first."""
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
    """Return the scale of a part whose spectrum is shifted by ``column`` of ``columns``; the last is beside the
    first."""
    signed = column - columns if column > columns // 2 else column
    return float(np.exp(-signed * LOG_STEP))
