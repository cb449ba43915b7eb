import numpy as np
import pytest
import torch
from base_params import BASE
from scipy.ndimage import gaussian_filter

from flawline.methods.cae import CAE, squared_residual
from flawline.methods.maps import smooth
from flawline.methods.one_class import Inputs, level_state, reduction_in
from flawline.methods.reconstruction import PatchReconstructor
from flawline.methods.residual_map import ResidualMap
from flawline.metrics.reductions import Reduction


@pytest.fixture
def residual():
    """The residual image (37, 29) of an untrained autoencoder, float16, read-only."""
    torch.manual_seed(0)
    network = CAE(BASE.cae.model.but(latent_size=3, hidden_size=8), channels=3, size=16)
    image = np.random.default_rng(3).integers(0, 256, (3, 37, 29), dtype=np.uint8)
    found = (
        PatchReconstructor(network, BASE.cae.patches.but(size=16, stride=8), squared_residual)
        .reconstruct(image)
        .residual
    )
    found.setflags(write=False)
    return found


def scored(residual, smoothing):
    scorer = ResidualMap(BASE.cae.scorer.but(smoothing=smoothing), ("cae",))
    return scorer.score(scorer.fit([], seed=0), Inputs((residual,)))


def test_smoothing_is_scipys_gaussian_over_the_residual_image(residual):
    expected = gaussian_filter(residual.astype(np.float32), 2.5, mode="reflect")
    np.testing.assert_allclose(scored(residual, 2.5).map.astype(np.float32), expected, rtol=2e-3)


@pytest.mark.parametrize("smoothing", [0.0, 2.5])
def test_the_map_is_the_residual_image_smoothed_and_the_score_made_of_it(residual, smoothing):
    found = scored(residual, smoothing)
    assert (found.map.shape, found.map.dtype) == ((37, 29), np.float16)
    np.testing.assert_array_equal(found.map, smooth(residual, smoothing))
    assert found.score == Reduction(BASE.cae.scorer.image_score)(found.map)


def test_smoothing_by_zero_is_the_residual_image_to_the_bit(residual):
    assert residual.any()
    assert scored(residual, 0.0).map.tobytes() == residual.tobytes()
    assert scored(residual, 1.0).map.tobytes() != residual.tobytes()


@pytest.mark.parametrize("smoothing", [0.0, 3.0])
def test_a_constant_residual_stays_as_it_is(smoothing):
    np.testing.assert_allclose(scored(np.full((37, 29), 0.0625, np.float16), smoothing).map, 0.0625, rtol=1e-3)
    assert not scored(np.zeros((37, 29), np.float16), smoothing).map.any()


def test_nothing_is_learned_and_images_may_have_any_size():
    scorer = ResidualMap(BASE.cae.scorer, ("cae",))
    scorer.check(0)
    assert scorer.fit([], seed=0) == {}
    assert (scorer.learns, scorer.embeds, scorer.by_map, scorer.one_size) == (False, False, True, False)


def test_the_score_is_made_from_the_map_as_the_parameters_say(residual):
    asked = BASE.cae.scorer.but(smoothing=1.0, image_score={"reduction": "top_share", "share": 1.0})
    found = ResidualMap(asked, ("cae",)).score({}, Inputs((residual,)))
    assert found.score == pytest.approx(found.map.mean(dtype=np.float64), rel=1e-12)


def test_a_score_that_needs_a_level_is_none_until_the_level_is_in_the_state(residual):
    scorer = ResidualMap(BASE.cae.scorer.but(smoothing=1.0, image_score={"reduction": "region_mass"}), ("cae",))
    unknown = scorer.score({}, Inputs((residual,)))
    assert np.isnan(unknown.score)
    level = float(unknown.map.max()) - 0.5
    state = level_state(Reduction(scorer.params.image_score, level))
    known = scorer.score(state, Inputs((residual,)))
    assert reduction_in(scorer.params.image_score, state).level == level  # to the last bit
    assert known.score == Reduction(scorer.params.image_score, level)(known.map) > 0
    assert level_state(Reduction(scorer.params.image_score)) == {}
