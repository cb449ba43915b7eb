"""A template sought in a picture at every shift at once, by the picture's spectrum."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

LEAST_VARIANCE = 0.25  # of the levels beneath a template, squared grey levels: where it is less, nothing is found


@dataclass(frozen=True, eq=False)
class Template:
    """What is sought, as spectra (2, n, m): its standardised levels, and the pixels that count, their number apart."""

    spectra: NDArray[np.complex64]
    count: int


def make_template(levels: NDArray[np.float32], seen: NDArray[np.bool_], size: tuple[int, int]) -> Template:
    """Return the template of ``levels`` (h, w) at the pixels ``seen`` (h, w), its middle pixel (h // 2, w // 2) being
    its origin, for pictures whose spectra are those of ``size``; neither side may be longer."""
    planes = np.zeros((2, *size), np.float32)
    count = int(seen.sum())
    height, width = levels.shape
    planes[0, :height, :width][seen] = standardised(levels[seen])[0]
    planes[1, :height, :width] = seen
    planes = np.roll(planes, (-(height // 2), -(width // 2)), axis=(1, 2))
    return Template(np.conj(scipy.fft.rfft2(planes)), count)


class Search:
    """A picture (h, w) in which templates are sought at every shift; its border goes on for ``border`` pixels.

    Source: Padfield 2012, Masked object registration in the Fourier domain, Eq. 20, the picture itself unmasked.
    scikit-image's phase_cross_correlation with masks transforms template and masks again for every picture and returns
    no correlation. The picture and its square are transformed once, whatever the number of templates."""

    def __init__(self, picture: NDArray[np.float32], border: int):
        self.border = border
        shape = tuple(side + 2 * border for side in picture.shape)
        height, width = (scipy.fft.next_fast_len(side, real=True) for side in shape)
        self.size: tuple[int, int] = (height, width)
        self._reach = tuple(min(2 * border + 1, side) for side in shape)
        around = [(border, whole - side - border) for whole, side in zip(self.size, picture.shape, strict=True)]
        centred = np.pad(picture - picture.mean(), around, mode="edge")
        self._spectra = scipy.fft.rfft2(np.stack([centred, centred**2]))  # (2, n, m)

    def best_position(self, template: Template, middle: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
        """Return the point (y, x) of the picture on which the template's origin lies where the two correlate best, and
        the normalised correlation there. Tried are the pixels up to ``border`` from the picture's ``middle`` (y, x)."""
        levels, seen = template.spectra
        plain, square = self._spectra
        top, left = np.floor(middle).astype(int)
        sums = scipy.fft.irfft2(np.stack([plain * levels, plain * seen, square * seen]), self.size)
        found, total, squares = sums[:, top : top + self._reach[0], left : left + self._reach[1]]
        spread = squares - total**2 / template.count
        correlation = found / np.sqrt(np.maximum(spread, LEAST_VARIANCE * template.count))
        y, x = np.unravel_index(np.argmax(correlation), correlation.shape)
        return np.array([top + y, left + x]) - self.border, float(correlation[y, x])


def standardised(levels: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return levels (n,) with mean 0 and length 1, and the length that they had; zeros where all are alike."""
    centred = levels - levels.mean()
    length = float(np.sqrt(np.vdot(centred, centred)))
    return (centred / np.float32(length) if length > 1e-5 else np.zeros_like(centred)), length
