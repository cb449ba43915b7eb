import math

import pytest
import torch

from flawline.vision.localiser import Localiser, standardised


@pytest.mark.parametrize(("head", "outputs"), [("single", 1), ("double", 2)])
def test_localiser_is_table_2(head, outputs):
    localiser = Localiser(head, channels=3, size=64)
    kinds = [type(layer).__name__ for layer in (*localiser.convolutions, *localiser.dense)]
    assert kinds == ["Conv2d", "ReLU", "MaxPool2d"] * 4 + ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert localiser.dense[-1].out_features == outputs
    x = torch.rand(5, 3, 64, 64)
    assert localiser(x).shape == (5,)
    assert float(localiser(x).detach().abs().max()) < 30  # a new one turns little


def test_double_head_is_half_the_angle_of_cos_and_sin_and_single_is_radians():
    for head, bias, wanted in (
        ("double", [0.0, 2.0], 45.0),
        ("double", [-1.0, 0.0], 90.0),
        ("single", [1.0], 180 / math.pi),
    ):
        localiser = Localiser(head, channels=1, size=32)
        with torch.no_grad():
            localiser.dense[-1].weight.zero_()
            localiser.dense[-1].bias.copy_(torch.tensor(bias))
        assert float(localiser(torch.rand(1, 1, 32, 32)).detach()) == pytest.approx(wanted, abs=1e-4)


def test_localiser_does_not_see_brightness_and_contrast():
    localiser, x = Localiser("double", channels=1, size=32), torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(localiser(x), localiser(0.3 * x + 0.6), atol=1e-2, rtol=1e-3)
    plain = standardised(torch.rand(2, 1, 32, 32))
    torch.testing.assert_close(plain.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(plain.std(dim=(1, 2, 3)), torch.ones(2))
    assert (standardised(torch.full((1, 1, 4, 4), 0.7)) == 0).all()
