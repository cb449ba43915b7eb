import numpy as np
import pytest
from defect_images import PARAMS, flat, rng, textured

from flawline.vision.defects.base import (
    Draw,
    UnseenError,
    box_of,
    draw_place,
    draw_until_visible,
    grid_around,
    mask_at,
    mean_change,
    sample,
    turned,
)


def test_box_is_the_smallest_that_holds_the_region():
    region = np.zeros((6, 8), bool)
    region[1, 2] = region[3, 5] = True
    assert box_of(region) == (slice(1, 4), slice(2, 6))


def test_sample_is_bilinear_and_mirrors_at_the_border():
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4) / 12
    points = np.array([[0, 0.5, -1], [1, 1, 0]])
    np.testing.assert_allclose(sample(image, points), [[1 / 12, 3 / 12, 0]], atol=1e-6)


def test_points_turn_counter_clockwise_as_one_sees_the_image():
    right = np.array([[0.0], [1.0]])  # (y, x), y points down
    np.testing.assert_allclose(turned(right, 90), [[-1], [0]], atol=1e-12)  # now up
    np.testing.assert_allclose(turned(turned(right, 37), -37), right, atol=1e-12)


def test_grid_around_holds_every_pixel_up_to_its_reach():
    grid = grid_around(1.2)
    assert grid.shape == (2, 25)
    assert (grid.min(), grid.max()) == (-2, 2)


def test_place_is_one_where_nothing_is_cut_off_if_there_is_any():
    region = np.zeros((30, 30), bool)
    region[10:15, 10:15] = True
    pixels, shape = np.stack(np.nonzero(region)), grid_around(2)
    (y, x), kept = draw_place(shape, region, pixels, rng())
    middles = [tuple(draw_place(shape, region, pixels, rng(seed))[0]) for seed in range(40)]
    assert kept.any()
    assert middles.count((12, 12)) > 15  # the only one that fits is among twenty drawn of 25 half of the time
    np.testing.assert_array_equal(kept, region[shape[0] + y, shape[1] + x])


def test_place_at_the_border_keeps_what_lies_in_the_image():
    region = np.ones((2, 2), bool)
    middle, kept = draw_place(grid_around(3), region, np.stack(np.nonzero(region)), rng())
    assert kept.sum() == 4
    assert (mask_at(grid_around(3)[:, kept] + middle[:, None], (2, 2))).all()


def test_mean_change_counts_clipped_values():
    mask = np.zeros((100, 100), bool)
    mask[0, :2] = True
    assert mean_change(flat(0.75), mask, np.array([[1.5, 0.5]])) == pytest.approx(0.25)
    assert mean_change(flat(0.75), ~mask & mask, np.zeros((1, 0))) == 0


def test_draws_go_on_until_one_can_be_seen():
    image, params, strengths = textured(np.float32, (1, 9, 9)), PARAMS.blend.but(visible=0.5), iter([0, 0.01, 0.9, 0])
    mask = np.ones((9, 9), bool)

    def draw():
        strength = next(strengths)
        return Draw(mask, image[:, mask] * (1 - strength), {"strength": strength})

    assert draw_until_visible("blend", draw, image, params).drawn == {"strength": 0.9}


def test_draws_are_bounded_and_the_error_says_how_many():
    image, mask = flat(0.5, (1, 4, 4)), np.ones((4, 4), bool)
    with pytest.raises(UnseenError, match=r"scar must change .* 7 draws changed them by 0 at the most.*scar\.visible"):
        draw_until_visible("scar", lambda: Draw(mask, image[:, mask], {}), image, PARAMS.scar.but(attempts=7))
