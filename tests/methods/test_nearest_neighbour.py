import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.nearest_neighbour import NearestNeighbour, most_similar
from flawline.methods.one_class import Inputs


@pytest.fixture
def images():
    levels = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 7))
    images = (levels / np.float32(255)).astype(np.float32)
    images.setflags(write=False)
    return images


@pytest.fixture
def scorer():
    return NearestNeighbour(BASE.cae.scorer.but(smoothing=0))


def test_a_learned_image_has_no_distance(scorer, images):
    state = scorer.fit([Inputs((image,)) for image in images], seed=0)
    found = scorer.score(state, Inputs((images[3],)))
    assert found.score == pytest.approx(0, abs=1e-5)
    assert not found.map.any()


def test_score_and_map_are_those_of_the_nearest(scorer, images):
    state = scorer.fit([Inputs((image,)) for image in images], seed=0)
    sought = images[2] * np.float32(0.8)
    distances = np.linalg.norm((images - sought).reshape(5, -1), axis=1)
    found = scorer.score(state, Inputs((sought,)))
    assert found.score == pytest.approx(distances.min(), rel=1e-5)
    nearest = images[distances.argmin()]
    np.testing.assert_allclose(found.map, np.square(sought - nearest).mean(0), atol=1e-4)


def test_the_most_similar_is_the_nearest_one():
    rng = np.random.default_rng(1)
    bank = rng.integers(0, 256, (12, 2, 5, 5), dtype=np.uint8)
    for image in rng.random((20, 2, 5, 5)).astype(np.float32):
        wanted = np.square(bank / 255 - image).sum((1, 2, 3)).argmin()
        assert most_similar(torch.from_numpy(image), torch.from_numpy(bank)) == wanted


def test_the_bank_is_a_byte_a_value(scorer, images):
    bank = scorer.fit([Inputs((image,)) for image in images], seed=0)["bank"]
    assert (bank.dtype, tuple(bank.shape)) == (torch.uint8, images.shape)
    np.testing.assert_allclose(bank.numpy() / 255, images, atol=1e-6)


def test_images_of_several_sizes_cannot_be_compared(scorer, images):
    inputs = [Inputs((images[0],)), Inputs((images[1][:, :5],))]
    with pytest.raises(FlawlineError, match="nearest_neighbour compares images position by position"):
        scorer.fit(inputs, seed=0)
    with pytest.raises(FlawlineError, match="this one is 3 x 5 x 7"):
        scorer.score(scorer.fit(inputs[:1], seed=0), inputs[1])
