"""The scatter of a difference between two AUROCs, by hand and against drawn samples."""

import numpy as np
import pytest

from flawline.metrics.delong import behind, is_as_good, least_gain, placements


def test_placements_are_shares_whose_mean_is_the_auroc():
    of_defects, of_normals = placements([0.0, 1.0], [1.0, 2.0])
    assert of_defects.tolist() == [0.75, 1.0]
    assert of_normals.tolist() == [1.0, 0.75]
    infinite, _ = placements([0.0, np.inf], [np.inf, np.inf])
    assert infinite.mean() == 0.75


def test_the_same_scores_differ_by_nothing():
    one = placements([0.0, 1.0, 2.0], [1.0, 3.0])
    assert behind(one, one) == (0.0, 0.0)
    assert is_as_good(one, one, errors=0)


def test_the_standard_error_is_the_deviation_of_the_difference_over_samples():
    rng = np.random.default_rng(0)
    found, errors = [], []
    for _ in range(400):
        normal, anomalous = rng.normal(0, 1, (40, 1)), rng.normal(1, 1, (60, 1))
        blurred = [np.hstack([some, some + rng.normal(0, 1, some.shape)]) for some in (normal, anomalous)]
        good, worse = (placements(blurred[0][:, k], blurred[1][:, k]) for k in (0, 1))
        difference, error = behind(worse, good)
        found.append(difference)
        errors.append(error)
    assert np.mean(found) == pytest.approx(0.760 - 0.691, abs=0.01)  # Phi(1 / sqrt 2), Phi(1 / 2)
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.1)


def test_what_is_behind_by_more_than_errors_and_least_is_not_as_good():
    good, worse = placements([0.0, 1.0, 2.0, 3.0], [4.0, 5.0]), placements([0.0, 1.0, 2.0, 3.0], [2.5, 5.0])
    difference, error = behind(worse, good)
    assert difference == 0.125
    assert not is_as_good(worse, good, errors=0.9 * difference / error)
    assert is_as_good(worse, good, errors=1.1 * difference / error)
    assert is_as_good(worse, good, errors=0, least=0.2)


def test_the_bound_on_a_gain_is_one_sided():
    """Of two defects 1/4 and 0 is lost, of four good images 0, 0, 0 and 1/2: variances 1/32 / 2 and 1/16 / 4."""
    good, worse = placements([0.0, 1.0, 2.0, 3.0], [4.0, 5.0]), placements([0.0, 1.0, 2.0, 3.0], [2.5, 5.0])
    assert least_gain(worse, good) == pytest.approx(-0.125 - 1.6449 * (1 / 32) ** 0.5, abs=1e-4)
    assert least_gain(good, worse) == pytest.approx(0.125 - 1.6449 * (1 / 32) ** 0.5, abs=1e-4)
    assert least_gain(good, good) == 0.0
