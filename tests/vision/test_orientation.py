"""Angles are known from how the pictures are drawn: stripes at an angle, a ramp, a blank."""

import math

import numpy as np
import pytest
import torch

from flawline.checks import FlawlineError
from flawline.vision.orientation import Orientation, angle_spread, gradients, orientation_of, orientations_of
from flawline.vision.turning import turn


def stripes(degrees, size=(64, 64), period=8.0):
    """Lines at ``degrees``, counter-clockwise from the horizontal."""
    ys, xs = np.indices(size)
    turned = np.deg2rad(degrees)
    across = xs * np.sin(turned) + ys * np.cos(turned)  # y points down, so the line's direction is (cos, -sin)
    return (0.5 + 0.3 * np.sin(2 * np.pi * across / period)).astype(np.float32)


def apart(one, other):
    return abs((one - other + 90) % 180 - 90)


@pytest.mark.parametrize("degrees", [0, 10, 45, 80, 90, 100, 135, 179])
def test_lines_have_the_angle_they_are_drawn_at(degrees):
    found = orientation_of(stripes(degrees))
    assert apart(found.angle_degrees, degrees) < 0.2
    assert found.coherence > 0.98
    assert not found.is_blank


def test_a_diagonal_that_rises_to_the_right_is_at_45():
    image = np.zeros((33, 33), np.float32)
    image[np.arange(33), 32 - np.arange(33)] = 1.0  # upper right to lower left
    assert apart(orientation_of(image).angle_degrees, 45) < 0.01


@pytest.mark.parametrize("degrees", [10.0, 75.0, -40.0])
def test_a_turned_picture_has_the_turned_angle(degrees):
    image = torch.from_numpy(np.random.default_rng(0).random((3, 1, 96, 96), np.float32)).cumsum(3)
    image = image / image.amax()
    (before, _), (after, _) = (orientations_of(x[:, 0, 16:-16, 16:-16]) for x in (image, turn(image, degrees)))
    assert all(apart(b + degrees, a) < 1.0 for b, a in zip(before.tolist(), after.tolist(), strict=True))


def test_an_image_that_is_not_square_has_the_same_angle():
    assert apart(orientation_of(stripes(30, (64, 100))).angle_degrees, 30) < 0.2


@pytest.mark.parametrize("image", [np.zeros((16, 16)), np.full((16, 20), 0.7)])
def test_a_blank_image_has_no_angle_and_says_so(image):
    found = orientation_of(image.astype(np.float32))
    assert found == Orientation(None, 0.0)
    assert found.is_blank


def test_a_blank_image_among_others_leaves_them_as_they_are():
    images = torch.stack([torch.zeros(32, 32), torch.from_numpy(stripes(30, (32, 32)))])
    angles, coherences = orientations_of(images)
    assert math.isnan(angles[0])
    assert coherences[0] == 0
    assert apart(float(angles[1]), 30) < 0.5


def test_what_looks_the_same_after_a_quarter_turn_is_not_coherent():
    chess = (np.indices((64, 64)) // 8).sum(axis=0) % 2
    assert orientation_of(chess.astype(np.float32)).coherence < 0.01
    noise = np.random.default_rng(0).random((64, 64), np.float32)
    assert orientation_of(noise).coherence < 0.2


def test_only_the_disk_counts():
    image = stripes(20)
    image[:8, :8] = np.random.default_rng(0).random((8, 8))  # a corner
    assert orientation_of(image).angle_degrees == pytest.approx(orientation_of(stripes(20)).angle_degrees, abs=1e-3)


def test_a_ramp_rises_by_its_slope():
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    down, across = gradients(ramp, 1.0)
    torch.testing.assert_close(across[..., 8:-8], torch.ones(1, 1, 32, 16))
    assert float(down.abs().max()) < 1e-5


@pytest.mark.parametrize(("image", "blur", "said"), [
    (np.zeros((3, 8, 8), np.float32), 1.0, r"image must have shape \(H, W\), got \(3, 8, 8\)"),
    (np.full((8, 8), np.nan, np.float32), 1.0, "image must be finite, got 64 pixels that are not"),
    (np.zeros((8, 8), np.float32), 0.0, "blur must be >= 0.001, got 0"),
])  # fmt: skip
def test_what_has_no_orientation_is_refused(image, blur, said):
    with pytest.raises(FlawlineError, match=said):
        orientation_of(image, blur)


def test_spread_by_hand():
    assert angle_spread(np.array([10.0, 10, 10])) == pytest.approx(0, abs=1e-4)
    assert angle_spread(np.array([1.0, 179.0])) == pytest.approx(1.0, abs=0.01)  # they are 2 degrees apart
    assert angle_spread(np.array([359.0, 1.0]), period=360) == pytest.approx(1.0, abs=0.01)
    assert angle_spread(np.array([20.0, np.nan])) == pytest.approx(0, abs=1e-4)
    assert math.isnan(angle_spread(np.array([np.nan])))
    assert angle_spread(np.arange(0.0, 180.0)) > 100  # every angle as often as every other
