"""The scatter of a difference between two AUROCs that were measured on the same images.

Source: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, 837."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Placed = tuple[
    NDArray, NDArray
]  # of each anomalous image the share of normal ones below, of each normal one the share above
ROUNDING = 1e-12


def placements(normal: ArrayLike, anomalous: ArrayLike) -> Placed:
    """Return for each anomalous score (m,) the share of the normal ones (n,) below it, and for each normal one the
    share of anomalous ones above it; ties count half, and scores may be infinite. The mean of either is the AUROC."""
    ours, others = np.asarray(anomalous)[:, None], np.asarray(normal)[None]
    above = (ours > others) + 0.5 * (ours == others)
    return above.mean(axis=1), above.mean(axis=0)


def behind(one: Placed, other: Placed) -> tuple[float, float]:
    """Return by how much the AUROC of ``one`` is below that of the ``other`` on the same images, and the standard error
    of that difference."""
    parts = [theirs - ours for ours, theirs in zip(one, other, strict=True)]
    variance = sum(float(np.var(part, ddof=1)) / len(part) for part in parts if len(part) > 1)
    return float(parts[0].mean()), float(np.sqrt(variance))


def least_gain(one: Placed, other: Placed, *, confidence: float = 0.95) -> float:
    """Return the one-sided lower bound, with that confidence, of the AUROC of ``one`` minus that of the ``other``, by
    the normal distribution. Where both tell all images apart there is no scatter, and the bound is 0."""
    difference, error = behind(one, other)
    return 0.0 - (difference + float(ndtri(confidence)) * error)


def is_as_good(one: Placed, other: Placed, *, errors: float, least: float = 0.0) -> bool:
    """Return True if the AUROC of ``one`` is below the ``other``'s by at most so many standard ``errors``, or by at
    most ``least``."""
    difference, error = behind(one, other)
    return difference <= max(errors * error, least) + ROUNDING
