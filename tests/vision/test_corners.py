import numpy as np
import pytest
from moved_parts import part_of

from flawline.vision.corners import LEAST_PAIRS, find_corners, transform_by_corners
from flawline.vision.levels import grey_levels
from flawline.vision.transform import Transform


def corners_of(move=Transform(), size=(150, 160)):  # noqa: B008
    return find_corners(grey_levels(part_of(move, size=size, noise=4)), factor=1, size=size)


@pytest.mark.parametrize("wanted", [Transform(0, 6, -9), Transform(25, -3, 4)])
def test_move_is_found_about_the_middle(wanted):
    found = transform_by_corners(corners_of(), corners_of(wanted), scales=False, tolerance=3.0)
    assert abs(found.angle - wanted.angle) < 3
    assert np.hypot(found.shift_y - wanted.shift_y, found.shift_x - wanted.shift_x) < 3
    assert found.scale == 1.0


def test_points_are_those_of_the_whole_image_about_its_middle():
    grey = grey_levels(part_of(noise=4, size=(150, 160)))
    one, four = (find_corners(grey, factor=factor, size=(150 * factor, 160 * factor))[0] for factor in (1, 4))
    np.testing.assert_allclose(four, 4 * (one + 0.5 + np.array([75, 80])) - 0.5 - np.array([300, 320]))


def test_an_even_image_has_no_corners_and_nothing_is_found_without_them():
    assert find_corners(np.full((80, 90), 100, np.float32), factor=1, size=(80, 90)) is None
    assert transform_by_corners(None, corners_of(), scales=False, tolerance=3.0) is None
    assert transform_by_corners(corners_of(), None, scales=True, tolerance=3.0) is None
    points, descriptors = corners_of()
    few = (points[: LEAST_PAIRS - 1], descriptors[: LEAST_PAIRS - 1])
    assert transform_by_corners(few, few, scales=False, tolerance=3.0) is None
