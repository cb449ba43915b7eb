from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moved_parts import SIZE, aligner_of, displaced, part_of
from scipy.ndimage import affine_transform, gaussian_filter

from flawline.vision.foreground import block_mean
from flawline.vision.levels import grey_levels
from flawline.vision.matching import Matcher, _distinct, _Picture, _updated
from flawline.vision.transform import IDENTITY, Transform

WHOLE = np.ones(SIZE, bool)


def grain(move=IDENTITY, smooth=2.0, side=SIZE[0]):
    """A texture without a part, moved about the middle (side, side)."""
    large = gaussian_filter(np.random.default_rng(0).normal(0, 1, (3 * side, 3 * side)), smooth)
    back = np.linalg.inv(move.matrix)
    first = 3 * side // 2 - back @ (side // 2 + np.array([move.shift_y, move.shift_x]))
    cut = affine_transform(large, back, first, (side, side), order=3)
    return (128 + 40 * cut / large.std()).astype(np.float32)


def test_correlation_is_that_of_the_pixels_that_count():
    grey, other = (grey_levels(part_of(seed=seed)) for seed in (0, 1))
    seen = np.zeros(SIZE, bool)
    seen[20:90, 30:100] = True
    wanted = np.corrcoef(grey[seen], other[seen])[0, 1]
    assert Matcher(grey, seen).correlation(other, IDENTITY) == pytest.approx(wanted, abs=1e-6)


def test_self_likeness_by_angle_falls_and_is_one_at_none():
    grey = block_mean(grey_levels(part_of()), 1)
    matcher = Matcher(grey, np.ones(SIZE, bool))
    likeness = matcher.by_angle(grey, [0, 45, 90])
    assert likeness[0] == pytest.approx(1, abs=1e-3)
    assert likeness[1:].max() < 0.9


# --- where to begin --------------------------------------------------------------------------------------------------
def test_part_is_found_where_something_beside_it_misleads_its_mass():
    wanted = Transform(70, 2, -3)
    image = part_of(wanted, seed=1).copy()
    image[0, 6:106, 5:17] = 80
    found = aligner_of().align(image)
    assert found.aligned
    assert displaced(found.move, wanted) < 0.5


@pytest.mark.parametrize(("wanted", "scales"), [(Transform(33, 4, -5), False), (Transform(-20, 3, 2, 0.85), True)])
def test_turned_grain_is_found_without_a_part(wanted, scales):
    matcher = Matcher(grain(), np.ones((SIZE[0], SIZE[0]), bool), scales=scales)
    found, correlation = matcher.find(grain(wanted))
    assert correlation > 0.95
    assert displaced(found, wanted) < 0.2


# --- refinement ------------------------------------------------------------------------------------------------------
@settings(max_examples=10, deadline=None)
@given(angle=st.floats(-180, 179), y=st.floats(-8, 8), x=st.floats(-8, 8))
def test_found_move_is_a_top_of_the_correlation(angle, y, x):
    matcher = Matcher(grey_levels(part_of()), WHOLE)
    grey = grey_levels(part_of(Transform(angle, y, x), seed=1))
    move, correlation = matcher.find(grey)
    around = [
        replace(move, **{number: getattr(move, number) + step})
        for number in ("angle", "shift_y", "shift_x") for step in (-0.25, 0.25)
    ]  # fmt: skip
    assert correlation > max(matcher.correlation(grey, each) for each in around)


@pytest.mark.parametrize("move", [Transform(3, 1, -1), Transform(-5, 0.5, 2, 1.05)])
@pytest.mark.parametrize("side", [0, 1])
def test_gradient_is_the_change_of_the_correlation_for_a_step(move, side):
    grey = grain(smooth=6.0)
    seen = np.zeros(grey.shape, bool)
    seen[15:-15, 15:-15] = True  # after each step all of these are shown
    matcher = Matcher(grey, seen, scales=True)
    level = matcher.levels[side]
    picture = _Picture(grey, level.factor, splines=True)
    _, gradient = level.compared(picture, move)
    for k, size in enumerate((0.05, 0.05, 0.001, 0.001)):
        step = size * np.eye(4)[k]
        higher, lower = (level.compared(picture, level.stepped(move, sign * step))[0] for sign in (1, -1))
        assert gradient[k] == pytest.approx((higher - lower) / (2 * size), rel=0.1, abs=1e-4)


def test_inverse_curvature_explains_the_last_step_and_stays_symmetric():
    generator = np.random.default_rng(0)
    factor = generator.normal(size=(4, 4))
    curvature = factor @ factor.T + np.eye(4)
    step = generator.normal(size=4)
    after = _updated(np.eye(4), step, curvature @ step)
    np.testing.assert_allclose(after @ curvature @ step, step)
    np.testing.assert_allclose(after, after.T, atol=1e-12)
    np.testing.assert_array_equal(_updated(np.eye(4), step, -step), np.eye(4))


def test_candidates_that_nearly_turn_alike_are_one_also_across_half_a_turn():
    found = [(Transform(angle), c) for angle, c in ((179, 0.5), (-178, 0.7), (20, 0.6), (27, 0.4))]
    assert [move.angle for move, _ in _distinct(found)] == [-178, 20, 27]
    scales = [(Transform(0, scale=scale), c) for scale, c in ((1.0, 0.9), (1.05, 0.8), (1.2, 0.7))]
    assert [move.scale for move, _ in _distinct(scales)] == [1.0, 1.2]
