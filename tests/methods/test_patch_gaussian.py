import numpy as np
import pytest
import torch
from base_params import BASE
from sklearn.covariance import ledoit_wolf

from flawline.checks import FlawlineError
from flawline.methods import patch_scorer
from flawline.methods.one_class import Inputs
from flawline.methods.patch_gaussian import (
    FLOOR,
    PatchGaussian,
    choose,
    mahalanobis,
    mean_variance,
    packed_whitening,
    shrunk_covariance,
)

GAUSSIAN = BASE.patch_gaussian.scorer


def inputs_of(count, *, depth=6, seed=0):
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, 1, 2, 3, depth)) @ rng.normal(size=(depth, depth)) + 3
    return [Inputs((np.zeros((1, 16, 24), np.float32),), one) for one in mixed.astype(np.float16)]


@pytest.mark.parametrize("count", [2, 5, 40, 1000])
def test_covariances_are_shrunk_as_scikit_learn_does(count):
    rng = np.random.default_rng(count)
    points = rng.normal(size=(3, count, 8)) @ rng.normal(size=(8, 8))
    centred = points - points.mean(1, keepdims=True)
    found = shrunk_covariance(torch.from_numpy(centred))
    for cloud, covariance in zip(points, found, strict=True):
        np.testing.assert_allclose(covariance, ledoit_wolf(cloud)[0], rtol=1e-6, atol=1e-9)


def test_clouds_that_look_round_are_taken_as_round():
    points = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.9], [0.0, -1.9]])  # the little difference may be by chance
    covariance = shrunk_covariance(torch.from_numpy(points)[None])[0]
    np.testing.assert_allclose(covariance, np.eye(2) * (2 * 2**2 + 2 * 1.9**2) / 4 / 2, atol=1e-12)
    np.testing.assert_allclose(covariance, ledoit_wolf(points)[0], atol=1e-12)


def test_where_nothing_varies_there_is_no_covariance():
    assert not shrunk_covariance(torch.zeros(2, 5, 3)).any()


def test_mahalanobis_by_hand():
    # variances 4 and 1, no covariance: (2, 1) is one deviation each way
    whitening = packed_whitening(torch.tensor([[[4.0, 0.0], [0.0, 1.0]]]))
    torch.testing.assert_close(whitening[:, 0], torch.tensor([0.5, 0.0, 1.0]))
    torch.testing.assert_close(
        mahalanobis(torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]), whitening), torch.tensor([[2**0.5, 3.0]])
    )


def test_whitened_lengths_are_mahalanobis_distances():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(4, 9, 9))
    covariance = factors @ factors.transpose(0, 2, 1) + np.eye(9)
    points = rng.normal(size=(4, 2, 9))
    found = mahalanobis(torch.from_numpy(points).float(), packed_whitening(torch.from_numpy(covariance).float()))
    inverses = np.linalg.inv(covariance)
    wanted = [[np.sqrt(x @ inverse @ x) for x in pair] for pair, inverse in zip(points, inverses, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_chosen_features_are_a_choice_by_seed():
    chosen = choose(50, 10, seed=1)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert (len(chosen), choose(50, 10, seed=1).tolist()) == (10, chosen.tolist())
    assert choose(50, 10, seed=2).tolist() != chosen.tolist()
    assert choose(4, None, seed=0).tolist() == [0, 1, 2, 3]


def test_more_features_than_there_are_are_told():
    with pytest.raises(
        FlawlineError, match=r"scorer\.dimensions = 100 .* have 40\. Set scorer\.dimensions to 40 or less"
    ):
        choose(40, 100, seed=0)


@pytest.mark.parametrize("dimensions", [None, 4])
@pytest.mark.parametrize("block", [1, 2**22])
def test_distances_are_those_of_scikit_learns_covariance(monkeypatch, dimensions, block):
    monkeypatch.setattr(patch_scorer, "BLOCK", block)
    inputs = inputs_of(31)
    scorer = PatchGaussian(GAUSSIAN.but(dimensions=dimensions, search_radius=0), extractor=len)
    state = scorer.fit(inputs[:30], seed=3)
    found = scorer.distances(state, inputs[30].embedding)[0]
    chosen = choose(6, dimensions, seed=3).numpy()
    values = np.stack([each.embedding[0] for each in inputs]).astype(np.float64)[..., chosen]  # (31, h, w, D)
    floor = FLOOR * values[:30].var(0).mean()
    for y in range(2):
        for x in range(3):
            covariance = ledoit_wolf(values[:30, y, x])[0] + floor * np.eye(len(chosen))
            away = values[30, y, x] - values[:30, y, x].mean(0)
            assert found[y, x] == pytest.approx(np.sqrt(away @ np.linalg.inv(covariance) @ away), rel=5e-3)


def test_within_reach_the_nearest_gaussian_counts():
    inputs = inputs_of(30)
    near, alone = (
        PatchGaussian(GAUSSIAN.but(dimensions=None, search_radius=search_radius), extractor=len)
        for search_radius in (1, 0)
    )
    state = near.fit(inputs, seed=0)
    embedding = inputs[0].embedding
    wanted = np.full((2, 3), np.inf)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            moved = np.roll(
                embedding, (dy, dx), axis=(1, 2)
            )  # what is seen at (y, x) meets the Gaussian at (y + dy, x + dx)
            found = np.roll(alone.distances(state, moved)[0], (-dy, -dx), axis=(0, 1))
            for y in range(2):
                for x in range(3):
                    if 0 <= y + dy < 2 and 0 <= x + dx < 3:
                        wanted[y, x] = min(wanted[y, x], found[y, x])
    np.testing.assert_allclose(near.distances(state, embedding)[0], wanted, rtol=1e-5)


def test_the_mean_variance_is_over_places_and_features(monkeypatch):
    monkeypatch.setattr(patch_scorer, "BLOCK", 1)
    embeddings = [each.embedding for each in inputs_of(9)]
    values = np.stack(embeddings).astype(np.float64)[..., [1, 4]]
    found = mean_variance(embeddings, 0, torch.tensor([1, 4]))
    assert found == pytest.approx(values.var(0).mean(), rel=1e-5)


def test_a_place_that_never_varied_is_held_to_a_share_of_the_usual_variance():
    inputs = inputs_of(20)
    for each in inputs:
        each.embedding[0, 0, 0] = 1
    scorer = PatchGaussian(GAUSSIAN.but(dimensions=None, search_radius=0), extractor=len)
    state = scorer.fit(inputs, seed=0)
    away = np.array(inputs[0].embedding)
    away[0, 0, 0, 2] += 1
    floor = FLOOR * mean_variance([each.embedding for each in inputs], 0, torch.arange(6))
    assert scorer.distances(state, away)[0, 0, 0].item() == pytest.approx(floor**-0.5, rel=5e-3)


def test_images_that_are_all_the_same_give_finite_distances():
    inputs = inputs_of(1) * 3
    scorer = PatchGaussian(GAUSSIAN.but(dimensions=None), extractor=len)
    state = scorer.fit(inputs, seed=0)
    assert not scorer.distances(state, inputs[0].embedding).any()
    assert torch.isfinite(scorer.distances(state, inputs[0].embedding + np.float16(1))).all()


def test_one_image_is_too_few():
    scorer = PatchGaussian(GAUSSIAN.but(dimensions=None), extractor=len)
    with pytest.raises(FlawlineError, match="patch_gaussian needs at least 2 normal images"):
        scorer.fit(inputs_of(1), seed=0)
