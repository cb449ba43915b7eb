"""Corners of two pictures, paired by what surrounds them, and the transform on which most pairs agree."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flawline.vision.transform import Transform, middle

CORNERS = 200  # that are compared at most
LEAST_PAIRS = 6  # corners that must be paired and agree
Corners = tuple[NDArray[np.float64], NDArray[np.bool_]]  # points (n, 2) about the image's middle, descriptors (n, 256)


def find_corners(grey: NDArray[np.float32], *, factor: int, size: Sequence[int]) -> Corners | None:
    """Return the corners of an image of ``size`` (H, W), of which ``grey`` holds the means of blocks of ``factor``
    pixels each way; None where there are too few."""
    from skimage.feature import ORB

    orb = ORB(n_keypoints=CORNERS, fast_threshold=0.04)
    try:
        orb.detect_and_extract(grey / 255)
    except RuntimeError:  # it finds no corner at all
        return None
    if len(orb.keypoints) < LEAST_PAIRS:
        return None
    return (orb.keypoints + 0.5) * factor - 0.5 - middle(size), orb.descriptors


def transform_by_corners(
    reference: Corners | None, image: Corners | None, *, scales: bool, tolerance: float
) -> Transform | None:
    """Return the transform on which most pairs of corners agree to ``tolerance`` pixels; None where hardly any do."""
    from skimage.feature import match_descriptors
    from skimage.measure import ransac
    from skimage.transform import EuclideanTransform, SimilarityTransform

    if reference is None or image is None:
        return None
    pairs = match_descriptors(reference[1], image[1], cross_check=True)
    if len(pairs) < LEAST_PAIRS:
        return None
    start, end = reference[0][pairs[:, 0]], image[0][pairs[:, 1]]
    kind = SimilarityTransform if scales else EuclideanTransform
    found, inliers = ransac(
        (start[:, ::-1], end[:, ::-1]), kind, min_samples=2, residual_threshold=tolerance, max_trials=300, rng=0
    )
    if found is None or inliers is None or inliers.sum() < LEAST_PAIRS:
        return None
    scale = float(found.scale) if scales else 1.0
    return Transform(-np.rad2deg(found.rotation), found.translation[1], found.translation[0], scale)
