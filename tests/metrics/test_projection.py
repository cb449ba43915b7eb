import numpy as np
import pytest

from flawline.checks import FlawlineError
from flawline.metrics.projection import LEAST_POINTS, tsne


def two_groups(dimensions, each=12):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2 * each, dimensions)).astype(np.float32)
    vectors[each:] += 20
    vectors.setflags(write=False)
    return vectors


@pytest.mark.parametrize("dimensions", [1, 3, 80])
def test_two_far_groups_stay_apart(dimensions):
    places = tsne(two_groups(dimensions), seed=0)
    assert places.shape == (24, 2)
    centres = np.stack([places[:12].mean(axis=0), places[12:].mean(axis=0)])
    nearest = np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1)
    assert nearest.tolist() == [0] * 12 + [1] * 12


def test_the_same_seed_gives_the_same_places():
    vectors = two_groups(5)
    np.testing.assert_array_equal(tsne(vectors, seed=3), tsne(vectors, seed=3))


def test_the_fewest_and_equal_vectors():
    assert np.isfinite(tsne(np.eye(LEAST_POINTS, 200), seed=0)).all()
    np.testing.assert_array_equal(tsne(np.ones((6, 3)), seed=0), np.zeros((6, 2)))


def test_fewer_than_the_fewest_and_no_vectors():
    with pytest.raises(FlawlineError, match="t-SNE wants at least 4 vectors, got 3"):
        tsne(np.eye(3), seed=0)
    with pytest.raises(FlawlineError, match=r"vectors must have shape \(n, d\), got \(4, 2, 2\)"):
        tsne(np.zeros((4, 2, 2)), seed=0)
