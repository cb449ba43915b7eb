"""Turned pictures against the same pattern computed at the turned places, and against numpy's quarter turns."""

import math

import numpy as np
import pytest
import torch

from flawline.checks import FlawlineError
from flawline.vision.transform import Transform
from flawline.vision.turning import (
    SAMPLERS,
    canvas_margins,
    frame_side,
    inverse_of,
    round_trip_error,
    there_and_back,
    theta_of,
    turn,
)

HOW = list(SAMPLERS)


def pattern(size=(64, 64), degrees=0.0):
    """A smooth pattern without symmetry, and the same turned counter-clockwise, computed, not sampled: (1, 1, H, W)."""
    ys, xs = (np.indices(size) - (np.array(size) - 1)[:, None, None] / 2).astype(float)
    t = math.radians(degrees)
    x, y = math.cos(t) * xs - math.sin(t) * ys, math.sin(t) * xs + math.cos(t) * ys
    values = 0.5 + 0.2 * np.sin(0.5 * x + 1) + 0.2 * np.sin(0.3 * x - 0.6 * y + 2)
    return torch.from_numpy(values.astype(np.float32))[None, None]


def photograph(size=(64, 64), seed=0):
    rough = torch.from_numpy(np.random.default_rng(seed).random((1, 1, *size), np.float32))
    return torch.nn.functional.avg_pool2d(rough, 3, stride=1, padding=1)


def inscribed(size):
    ys, xs = np.indices(size) - (np.array(size) - 1)[:, None, None] / 2
    return torch.from_numpy(ys**2 + xs**2 < (min(size) / 2 - 12) ** 2)


# --- theta -----------------------------------------------------------------------------------------------------------
def test_theta_is_equation_8():
    (theta,) = theta_of(torch.tensor([30.0]))
    wanted = torch.tensor([[math.sqrt(3) / 2, -0.5, 0.0], [0.5, math.sqrt(3) / 2, 0.0]])
    torch.testing.assert_close(theta, wanted)


def test_inverse_of_theta_is_exact_and_what_the_paper_computes():
    theta = theta_of(torch.linspace(-400, 400, 33, dtype=torch.float64))
    back = inverse_of(theta)
    row = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(33, 1, 3)
    printed = torch.linalg.inv(torch.cat([theta, row], dim=1))[:, :2]  # section 6.1
    torch.testing.assert_close(back, printed, atol=1e-15, rtol=0)
    assert torch.equal(inverse_of(back), theta)


def test_inverse_undoes_a_shift_too():
    theta = theta_of(torch.tensor([20.0, 130.0]))
    theta[:, :, 2] = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])
    point = torch.tensor([3.0, -4.0, 1.0])
    there = theta @ point  # (2, 2)
    back = (inverse_of(theta) @ torch.cat([there, torch.ones(2, 1)], dim=1)[..., None])[..., 0]
    torch.testing.assert_close(back, point[:2].expand(2, 2))


def test_theta_turns_as_a_transform_of_that_angle_does():
    """Transform takes a pixel of the straight picture to the turned one; theta, target to source, is its inverse."""
    x, y = 10.0, 4.0
    moved = Transform(angle=25).matrix @ (y, x)  # (y, x)
    back = theta_of(torch.tensor([25.0], dtype=torch.float64))[0, :, :2] @ torch.tensor(
        [moved[1], moved[0]], dtype=torch.float64
    )
    np.testing.assert_allclose(back.numpy(), (x, y))


# --- samplers --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("size", [(8, 8), (9, 9)])
def test_quarter_turns_move_pixels_onto_pixels(how, size):
    x = photograph(size)
    for quarters in range(-1, 4):
        wanted = torch.rot90(x, quarters, (2, 3))
        torch.testing.assert_close(turn(x, 90.0 * quarters, how), wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("how", "most"), [("nearest", 0.04), ("bilinear", 0.012), ("bicubic", 4e-3), ("fourier", 3e-3)]
)
@pytest.mark.parametrize("size", [(64, 64), (65, 65), (64, 80)])
@pytest.mark.parametrize("degrees", [13.0, 45.0, 100.0, -160.0])
def test_a_turned_pattern_is_the_pattern_at_the_turned_places(how, most, size, degrees):
    error = (turn(pattern(size), degrees, how) - pattern(size, degrees)).abs()[0, 0]
    assert float(error[inscribed(size)].mean()) < most


@pytest.mark.parametrize("how", HOW)
def test_every_image_of_a_batch_has_its_own_angle(how):
    x = photograph().expand(3, 2, 64, 64)
    angles = torch.tensor([0.0, 50.0, 120.0])
    together = turn(x, angles, how)
    for one, angle in zip(together, angles, strict=True):
        torch.testing.assert_close(one, turn(x[:1], float(angle), how)[0])


@pytest.mark.parametrize("how", HOW)
def test_the_image_gets_a_gradient_and_all_but_nearest_give_the_angle_one(how):
    x, angle = pattern().requires_grad_(), torch.tensor([20.0], requires_grad=True)
    turn(x, angle, how).square().mean().backward()
    assert float(x.grad.abs().sum()) > 0
    assert (float(angle.grad.abs().sum()) > 0) == (how != "nearest")


def test_the_gradient_of_an_angle_is_that_of_finite_differences():
    x, wanted = pattern().double(), pattern(degrees=30).double()

    def cost(degrees):
        return (turn(x, degrees, "fourier") - wanted)[..., 16:48, 16:48].square().sum()

    angle = torch.tensor([24.0], dtype=torch.float64, requires_grad=True)
    cost(angle).backward()
    by_difference = (cost(torch.tensor([24.001])) - cost(torch.tensor([23.999]))) / 0.002
    assert float(angle.grad) == pytest.approx(float(by_difference), rel=1e-3)
    assert float(angle.grad) < 0  # further counter-clockwise it fits better


# --- there and back: Fig. 4 ------------------------------------------------------------------------------------------
def test_errors_of_the_samplers_are_in_the_order_that_the_default_was_chosen_by():
    x = photograph((96, 96))
    errors = [float(round_trip_error(x, 45.0, how)) for how in ("bilinear", "bicubic", "fourier")]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.5 * errors[1]


def test_error_is_in_grey_levels():
    x = torch.full((2, 1, 16, 16), 0.5)
    x[1, 0, :, ::2] = 0.0
    found = round_trip_error(x, 45.0, "bilinear")
    assert float(found[0]) == pytest.approx(0, abs=1e-3)
    assert 10 < float(found[1]) < 128  # stripes of 0 and 127.5 become their mean


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("size", [(40, 100), (100, 40), (41, 67)])
def test_nothing_of_an_image_that_is_not_square_is_lost_or_distorted(how, size):
    x = pattern(size)
    error = (there_and_back(x, 90.0, how) - x).abs()
    assert there_and_back(x, 90.0, how).shape == x.shape
    assert float(error.max()) < 1e-3
    assert float((there_and_back(x, 35.0, how) - x).abs().mean()) < 0.03


def test_canvas_holds_every_turn_and_is_no_larger_than_the_diagonal_needs():
    assert canvas_margins((30, 40)) == (5, 5, 10, 10)  # the diagonal is 50
    x = torch.zeros(1, 1, 30, 40)
    left, right, top, bottom = canvas_margins((30, 40))
    canvas = torch.nn.functional.pad(x + 1, (left, right, top, bottom))
    for degrees in (0, 30, 53.13, 90, 137):
        assert float(turn(canvas, degrees, "bilinear").sum()) == pytest.approx(1200, rel=2e-3)


@pytest.mark.parametrize(("side", "wanted"), [(128, 182), (64, 92), (127, 181), (16, 24), (1, 3)])
def test_frame_holds_the_square_at_every_angle_in_its_middle(side, wanted):
    assert frame_side(side) == wanted >= side * math.sqrt(2)
    assert (wanted - side) % 2 == 0


def test_unknown_sampler_and_uneven_sides_are_told():
    with pytest.raises(FlawlineError, match=r"no sampler 'bicubik' \(did you mean 'bicubic'\?\); there are: nearest"):
        turn(pattern(), 1.0, "bicubik")
    with pytest.raises(FlawlineError, match="both even or both odd, got 8 x 9: add a row or a column"):
        turn(pattern((8, 9)), 1.0, "fourier")
