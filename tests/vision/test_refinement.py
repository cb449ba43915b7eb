import numpy as np
import pytest
from moved_parts import displaced, grain

from flawline.vision.refinement import Level, Picture, _updated, climb
from flawline.vision.transform import IDENTITY, Transform


@pytest.mark.parametrize("move", [Transform(3, 1, -1), Transform(-5, 0.5, 2, 1.05)])
@pytest.mark.parametrize("factor", [1, 2])
def test_gradient_is_the_change_of_the_correlation_for_a_step(move, factor):
    grey = grain(smooth=6.0)
    seen = np.zeros(grey.shape, bool)
    seen[15:-15, 15:-15] = True  # after each step all of these are shown
    level, picture = Level(grey, seen, factor, spins=True, scales=True), Picture(grey, factor, splines=True)
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


@pytest.mark.parametrize("splines", [False, True])
def test_climb_from_nearby_ends_at_the_move(splines):
    wanted = Transform(2, 1.5, -1.2, 1.03)
    whole = np.ones(grain().shape, bool)
    level, picture = Level(grain(), whole, 1, spins=True, scales=True), Picture(grain(wanted), 1, splines=splines)
    found, correlation = climb(level, picture, IDENTITY, 0.01)
    assert correlation > 0.99
    assert displaced(found, wanted) < (0.02 if splines else 0.1)


def test_what_is_not_sought_is_not_changed():
    level = Level(grain(), np.ones(grain().shape, bool), 1, spins=False, scales=False)
    found, _ = climb(level, Picture(grain(Transform(1, 1, 1)), 1), IDENTITY, 0.01)
    assert (found.angle, found.scale) == (0, 1)
    assert (found.shift_y, found.shift_x) == pytest.approx((1, 1), abs=0.2)


def test_step_is_in_the_reference():
    level = Level(grain(), np.ones(grain().shape, bool), 1, spins=True, scales=True)
    moved = level.stepped(Transform(90, 5, 5), np.array([2, 0, np.deg2rad(10), np.log(1.1)]))
    assert (moved.angle, moved.scale) == pytest.approx((100, 1.1))
    assert (moved.shift_y, moved.shift_x) == pytest.approx((5, 7))  # turned by 90 degrees, down is right


def test_picture_says_which_points_it_shows():
    picture = Picture(np.zeros((4, 6), np.float32), 1)
    assert picture.shows(np.array([[0, 3], [0, 5]], np.float32)) is None
    assert picture.shows(np.array([[0, 3.1, 2], [0, 5, -0.1]], np.float32)).tolist() == [True, False, False]
