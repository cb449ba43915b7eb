import numpy as np
import pytest
import torch
from base_params import BASE
from pydantic import ValidationError

from flawline.methods.filter_bank import bank_map, learn_normal, make_bank, responses, standardised

PARAMS = BASE.texture.scorer.bank.but(spots=(1.0,), bars=((1.0, 6.0),), angles=4, side=15, window=24)
BANK = make_bank(PARAMS)


def weave(seed, height=40, width=60):
    return torch.from_numpy(np.random.default_rng(seed).normal(0.5, 0.05, (height, width)).astype(np.float32))


def test_bank_has_a_filter_a_spot_and_one_a_bar_and_angle_each_of_sum_1():
    assert BANK.shape == (1 + 4, 1, 15, 15)
    torch.testing.assert_close(BANK.sum(dim=(1, 2, 3)), torch.ones(5))


def test_bars_at_right_angles_are_each_other_turned():
    torch.testing.assert_close(BANK[1, 0].rot90(), BANK[3, 0])
    assert BANK[1, 0, 7].sum() > 3 * BANK[1, 0, :, 7].sum()  # at 0 degrees it lies across


def test_even_image_gives_its_own_value_everywhere():
    torch.testing.assert_close(responses(torch.full((9, 30), 0.3), BANK), torch.full((5, 9, 30), 0.3))


def test_small_image_is_relative_to_its_median_and_a_large_one_to_what_is_around():
    small = weave(0, 20, 24)
    wanted = (small - small.median()) / (small.std(correction=0) + PARAMS.soft * 0.05)
    torch.testing.assert_close(standardised(small, 0.05, PARAMS), wanted)
    shaded = weave(1) + torch.linspace(0, 1, 60)  # light falls off: no part is brighter than what is around it
    assert abs(float(standardised(shaded, 0.05, PARAMS)[:, 20:40].mean())) < 0.1


@pytest.mark.parametrize("size", [(24, 24), (40, 60)])
def test_faint_bar_stands_out_where_it_lies(size):
    normal = learn_normal([weave(i, *size) for i in range(9)], BANK, PARAMS)
    image = weave(99, *size)
    before = bank_map(image, BANK, normal, PARAMS)
    image[10, 4:20] += 0.08  # one and a half deviations of a pixel: nothing by itself
    found = bank_map(image, BANK, normal, PARAMS)
    assert float(found[10, 8:16].mean()) > 1.6 * float(before[10, 8:16].mean())
    assert float(found[10, 8:16].mean()) > 1.6 * float(found[20:].mean())


def test_normal_responses_have_mean_and_deviation_of_all_pixels_together():
    images = [weave(i) for i in range(3)]
    normal = learn_normal(images, BANK, PARAMS)
    every = torch.cat([responses(standardised(each, normal.contrast, PARAMS), BANK).flatten(1) for each in images], 1)
    torch.testing.assert_close(normal.mean, every.mean(dim=1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(normal.deviation, every.std(dim=1, correction=0), atol=1e-5, rtol=1e-4)
    assert float(normal.contrast) == pytest.approx(0.05, abs=0.003)


def test_filter_without_a_middle_is_refused():
    with pytest.raises(ValidationError, match="side must be odd"):
        PARAMS.but(side=14)
