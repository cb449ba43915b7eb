"""Vectors of many dimensions drawn as points of two, to be looked at: distances between far groups mean nothing."""

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_shape

LEAST_POINTS = 4
PERPLEXITY = 30.0
WIDTH = 50  # dimensions that PCA leaves


def tsne(vectors: NDArray, seed: int) -> NDArray[np.float64]:
    """Return the vectors (n, d) as points (n, 2), neighbours near each other.

    The perplexity is 30, of few vectors a third of the others' number. Raises FlawlineError for fewer than
    LEAST_POINTS. Source: van der Maaten & Hinton 2008, by way of Saeedi & Giusti 2022, Fig. 6."""
    from sklearn.decomposition import PCA  # takes a second to import
    from sklearn.manifold import TSNE

    check_shape("vectors", vectors, ("n", "d"))
    if len(vectors) < LEAST_POINTS:
        raise FlawlineError(f"t-SNE wants at least {LEAST_POINTS} vectors, got {len(vectors)}")
    reduced = np.asarray(vectors, np.float64)
    if not np.ptp(reduced, axis=0).any():  # all vectors are equal, which PCA cannot scale
        return np.zeros((len(reduced), 2))
    components = min(WIDTH, len(reduced))
    if reduced.shape[1] > components:
        reduced = PCA(components, random_state=seed).fit_transform(reduced)  # (n, components)
    perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
    init = "pca" if reduced.shape[1] > 1 else "random"
    return TSNE(2, perplexity=perplexity, init=init, random_state=seed).fit_transform(reduced).astype(np.float64)
