from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

from flawline import figures
from flawline.checks import FlawlineError
from flawline.figures.photographs import MARK, TRUTH


def gray(height=20, width=30, value=100, dtype=np.uint8):
    image = np.full((1, height, width), value, dtype)
    image.setflags(write=False)
    return image


def box(y, x, height, width):
    return SimpleNamespace(y=y, x=x, height=height, width=width)


def test_heat_at_top_and_above_is_the_last_colour_and_nan_is_grey():
    colours = figures.heat(np.array([[0, 2.0, 5.0, np.nan]], np.float16), top=2.0)
    last = np.rint(np.array(matplotlib.colormaps["inferno"].colors[-1]) * 255)
    assert colours.shape == (1, 4, 3)
    np.testing.assert_allclose(colours[0, 1], last, atol=1)
    np.testing.assert_array_equal(colours[0, 1], colours[0, 2])
    assert len(set(colours[0, 3].tolist())) == 1


@pytest.mark.parametrize("top", [0, -1, np.nan])
def test_heat_wants_a_top_above_zero(top):
    with pytest.raises(FlawlineError, match=r"top must be > 0, got"):
        figures.heat(np.zeros((2, 2)), top=top)


def test_heat_wants_a_map():
    with pytest.raises(FlawlineError, match=r"anomaly_map must have shape \(H, W\), got \(1, 2, 2\)"):
        figures.heat(np.zeros((1, 2, 2)), top=1)


def test_to_rgb8_of_each_type():
    assert figures.to_rgb8(gray(value=7)).shape == (20, 30, 3)
    assert (figures.to_rgb8(gray(value=7)) == 7).all()
    assert (figures.to_rgb8(gray(value=0.2, dtype=np.float32)) == 51).all()
    assert (figures.to_rgb8(gray(value=65535, dtype=np.uint16)) == 255).all()


def test_to_rgb8_keeps_the_order_of_the_channels():
    image = np.stack([np.full((2, 2), v, np.uint8) for v in (1, 2, 3)])
    np.testing.assert_array_equal(figures.to_rgb8(image)[0, 0], [1, 2, 3])


def test_to_rgb8_shows_a_12_bit_image_bright_unless_told_the_white():
    image = gray(value=4095, dtype=np.uint16)
    assert (figures.to_rgb8(image) == 255).all()
    assert (figures.to_rgb8(image, white=1) == 16).all()


def test_to_rgb8_refuses_other_types():
    with pytest.raises(FlawlineError, match="image must be uint8, uint16 or float, got int64"):
        figures.to_rgb8(np.zeros((1, 2, 2), np.int64), white=1)
    with pytest.raises(FlawlineError, match=r"image must have shape \(C, H, W\), got \(2, 2\)"):
        figures.to_rgb8(np.zeros((2, 2), np.uint8))


def test_overlay_touches_only_pixels_beyond_the_threshold_and_the_box_lines():
    anomaly_map = np.zeros((20, 30), np.float32)
    anomaly_map[5:8, 10:14] = 1
    anomaly_map[0, 0] = 0.5  # at the threshold, not beyond it
    seen = figures.overlay(gray(), anomaly_map, 0.5, [box(5, 10, 3, 4)])
    changed = (seen != 100).any(axis=2)
    wanted = np.zeros((20, 30), bool)
    wanted[4:9, 9:15] = True  # the region and one pixel of line around it
    np.testing.assert_array_equal(changed, wanted)
    np.testing.assert_array_equal(seen[4, 9], MARK)


def test_overlay_without_anything_found_is_the_photograph():
    seen = figures.overlay(gray(), np.zeros((20, 30)), np.inf, [])
    np.testing.assert_array_equal(seen, figures.to_rgb8(gray()))


def test_overlay_outlines_the_marked_defect_outside_of_it():
    mask = np.zeros((20, 30), bool)
    mask[5:8, 5:8] = True
    seen = figures.overlay(gray(), np.zeros((20, 30)), 1, [], mask=mask)
    assert (seen[mask] == 100).all()
    np.testing.assert_array_equal(seen[4, 6], TRUTH)


def test_overlay_draws_a_box_over_the_edge_of_the_image():
    seen = figures.overlay(gray(), np.zeros((20, 30)), 1, [box(0, 0, 20, 30), box(19.6, 29.8, 0.1, 0.1)])
    assert seen.shape == (20, 30, 3)


def test_overlay_wants_a_map_of_the_images_size():
    with pytest.raises(FlawlineError, match=r"anomaly_map must have shape \(20, 30\), got \(10, 15\)"):
        figures.overlay(gray(), np.zeros((10, 15)), 1, [])
