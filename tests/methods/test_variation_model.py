import numpy as np
import pytest
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.one_class import Inputs
from flawline.methods.variation_model import VariationModel


def inputs_of(*values):
    """Return grey images as a scorer sees them, of 1 x 2 pixels."""
    return [Inputs((np.array([[pair]], np.float32),)) for pair in values]


@pytest.fixture
def scorer():
    return VariationModel(BASE.cae.scorer.but(smoothing=0))


def test_distances_count_in_each_pixels_own_deviations(scorer):
    state = scorer.fit(inputs_of((0.4, 0.1), (0.6, 0.5)), seed=0)  # means 0.5 and 0.3, deviations 0.1 and 0.2
    found = scorer.score(state, inputs_of((0.7, 0.2))[0])  # 2 and -1/2 deviations
    np.testing.assert_allclose(found.map, [[4, 0.25]], rtol=1e-3)
    assert found.score == pytest.approx(2.125, rel=1e-5)


def test_a_pixel_that_never_varied_is_held_to_one_grey_level(scorer):
    state = scorer.fit(inputs_of((0.2, 1.0), (0.6, 1.0)), seed=0)
    found = scorer.score(state, inputs_of((0.4, 1.0 - 3 / 255))[0])
    np.testing.assert_allclose(found.map, [[0, 9]], rtol=1e-3, atol=1e-6)


def test_mean_and_deviation_are_those_of_all_images(scorer):
    images = np.random.default_rng(0).random((40, 3, 5, 4), dtype=np.float32)
    state = scorer.fit([Inputs((image,)) for image in images], seed=0)
    np.testing.assert_allclose(state["mean"], images.mean(0), rtol=1e-5)
    np.testing.assert_allclose(state["deviation"], images.std(0), rtol=1e-5)


def test_images_of_several_sizes_cannot_be_compared(scorer):
    other = Inputs((np.zeros((1, 2, 2), np.float32),))
    with pytest.raises(FlawlineError, match="variation_model compares images position by position"):
        scorer.fit([*inputs_of((0, 0)), other], seed=0)
    with pytest.raises(FlawlineError, match="learned images of 1 x 1 x 2"):
        scorer.score(scorer.fit(inputs_of((0, 0)), seed=0), other)
