import numpy as np
import pytest
from base_params import BASE
from pydantic import ValidationError

from flawline.intake.examples.fabric import KINDS, damage_yarn, draw_fabric, draw_weave

FABRIC = BASE.examples.fabric.but(image_size=(96, 160), defect_length=(30.0, 60.0))
PERFECT = FABRIC.but(unevenness=0.0, sensor_noise=0.0, light=0.0)


def weave(params=PERFECT, seed=0):
    return draw_weave(params, np.random.default_rng(seed))


def test_even_weave_repeats_every_two_yarns_both_ways():
    cloth = weave()
    np.testing.assert_allclose(cloth[:-10], cloth[10:], atol=1e-9)
    np.testing.assert_allclose(cloth[:, :-10], cloth[:, 10:], atol=1e-9)
    assert np.abs(cloth[:-5] - cloth[5:]).max() > 0.05  # of two neighbours, only one is on top


def test_uneven_yarns_differ_from_each_other_and_no_two_strips_are_alike():
    uneven = weave(FABRIC)
    assert np.abs(uneven[:-10] - uneven[10:]).max() > 0.02
    assert np.abs(uneven - weave(FABRIC, seed=1)).max() > 0.02


@pytest.mark.parametrize("seed", range(12))
def test_damage_is_one_piece_as_long_and_wide_as_asked_for(seed):
    from scipy.ndimage import label

    cloth = weave()
    changed = damage_yarn(cloth, PERFECT, np.random.default_rng(seed)) != cloth
    assert label(changed, np.ones((3, 3)))[1] == 1
    rows, columns = (np.ptp(index) + 1 for index in np.nonzero(changed))
    assert 3 <= min(rows, columns) <= 40
    assert max(rows, columns) <= 61


def test_every_kind_of_damage_comes():
    cloth = weave()
    darker = [damage_yarn(cloth, PERFECT, np.random.default_rng(seed)).min() < cloth.min() for seed in range(60)]
    assert 10 < sum(darker) < 32  # a missing yarn is dark, the two other kinds are bright
    assert len(KINDS) == 3


def test_mask_is_what_differs_from_the_same_strip_without_damage():
    strips = list(draw_fabric(FABRIC.but(sensor_noise=0.0, anomalous_test=4)))
    for strip in (each for each in strips if each.mask is not None):
        assert strip.image.shape == (1, 96, 160)
        assert 20 < strip.mask.sum() < 96 * 160 / 4


def test_strips_differ_in_light():
    means = [strip.image.mean() for strip in draw_fabric(FABRIC.but(train=20))]
    assert 0.05 < np.std(means) / np.mean(means) < 0.12  # uniform within 12 % each way: 7 %


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"defect_length": (9.0, 3.0)}, "defect_length must be"), ({"defect_width": (1.0, 9.0)}, "must fit the image")],
)
def test_parameters_that_cannot_be_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        FABRIC.but(**changes)
