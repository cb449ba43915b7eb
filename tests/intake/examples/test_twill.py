import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.intake.examples.twill import draw_twill, turned
from flawline.vision.orientation import angle_spread, orientations_of

TWILL = BASE.examples.twill.but(image_size=(128, 128), train=12, calibration=1, anomalous_test=6)


def orientations(images):
    stacked = torch.from_numpy(np.stack([image[0] for image in images])).float() / 255
    return orientations_of(stacked, 1.0)


def test_turned_by_a_quarter_and_by_nothing_is_exact():
    plane = np.random.default_rng(0).random((9, 9))
    np.testing.assert_allclose(turned(plane, 0.0, (9, 9)), plane, atol=1e-9)
    np.testing.assert_allclose(turned(plane, 90.0, (9, 9)), np.rot90(plane), atol=1e-9)
    np.testing.assert_allclose(turned(plane, 90.0, (5, 5)), np.rot90(plane)[2:7, 2:7], atol=1e-9)


def test_turning_goes_the_way_that_orientations_count():
    lines = np.tile(np.sin(np.arange(151) / 2)[:, None], (1, 151))  # level
    found = [
        float(orientations_of(torch.from_numpy(turned(lines, angle, (96, 96))).float()[None])[0]) for angle in (20, 75)
    ]
    assert found == pytest.approx([20, 75], abs=0.5)


def test_swatches_have_one_clear_orientation_and_lie_at_any_angle():
    angles, coherence = orientations([each.image for each in draw_twill(TWILL) if each.mask is None])
    assert float(coherence.min()) > 0.25
    assert angle_spread(angles.numpy()) > 35  # all angles alike: 81 or more at random


def test_no_corner_is_empty_and_masks_are_what_is_damaged():
    even = TWILL.but(sensor_noise=0.0, light=0.0)
    for swatch in draw_twill(even):
        assert swatch.image.shape == (1, 128, 128)
        assert swatch.image[0][[0, 0, -1, -1], [0, -1, 0, -1]].min() > 40
        assert swatch.mask is None or 60 <= swatch.mask.sum() < 128 * 128 / 4
