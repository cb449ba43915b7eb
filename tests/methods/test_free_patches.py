import numpy as np
import pytest
import torch
from base_params import BASE
from sklearn.covariance import LedoitWolf

from flawline.checks import FlawlineError
from flawline.methods.free_patches import draw_features, enlarged, held_out_figures
from flawline.methods.one_class import Inputs
from flawline.methods.patch_gaussian_free import PatchGaussianFree
from flawline.methods.patch_memory_free import PatchMemoryFree, check_budget, nearest_distances, projected, whitening_of

MEMORY = BASE.patch_memory_free.scorer.but(scale=1, size=40, bits=16, smoothing=0.0)
GAUSSIAN = BASE.patch_gaussian_free.scorer.but(scale=1, smoothing=0.0)


def pixels(images):
    """A network that gives out a grid of 4 x 4 pixels, its means and its squares, as two features."""
    small = torch.nn.functional.avg_pool2d(images.mean(dim=1, keepdim=True), 4)
    return [torch.cat([small, small.square()], dim=1)]


def memory(**changes):
    return PatchMemoryFree(MEMORY.but(**changes), extractor=pixels)


def gaussian(**changes):
    return PatchGaussianFree(GAUSSIAN.but(**changes), extractor=pixels)


def seen(scorer, image):
    views = (torch.from_numpy(image)[None],)
    return Inputs((image,), scorer.embed(views)[0])


def texture(seed, height=32, width=48):
    return np.random.default_rng(seed).uniform(0.3, 0.7, (1, height, width)).astype(np.float32)


def flawed(image):
    image = image.copy()
    image[:, 8:16, 20:28] = 1.0
    return image


def learned(scorer, count=12, **more):
    return scorer.fit([seen(scorer, texture(i, **more)) for i in range(count)], seed=0)


SCORERS = {"memory": memory, "gaussian": gaussian}


@pytest.fixture(params=SCORERS)
def scorer(request):
    return SCORERS[request.param]()


# --- both ------------------------------------------------------------------------------------------------------------
def test_flaw_raises_the_map_where_it_lies_and_the_score(scorer):
    state = learned(scorer)
    normal, found = (scorer.score(state, seen(scorer, image)) for image in (texture(99), flawed(texture(99))))
    assert found.score > normal.score + 3
    assert found.map.shape == (32, 48)
    y, x = np.unravel_index(found.map.argmax(), found.map.shape)
    assert 8 <= y < 16
    assert 20 <= x < 28


def test_images_of_any_size_are_learned_from_and_scored(scorer):
    state = scorer.fit([seen(scorer, texture(i, height=32 + 4 * i)) for i in range(6)], seed=0)
    assert scorer.score(state, seen(scorer, texture(9, height=20, width=200))).map.shape == (20, 200)


def test_place_of_a_flaw_does_not_matter(scorer):
    state = learned(scorer)
    image = flawed(texture(99))
    mirrored = np.ascontiguousarray(image[:, ::-1, ::-1])
    first, second = (scorer.score(state, seen(scorer, each)).map for each in (image, mirrored))
    np.testing.assert_allclose(first, second[::-1, ::-1], atol=0.02)


def test_normal_images_that_were_not_learned_from_score_around_zero(scorer):
    state = learned(scorer, count=20)
    values = np.concatenate([scorer.score(state, seen(scorer, texture(100 + i))).map.ravel() for i in range(10)])
    assert abs(values.mean()) < 0.3
    assert 0.5 < values.std() < 1.5


def test_values_of_a_place_are_told_by_that_place():
    """One column of cells always differs from image to image: there a large distance is usual."""
    restless = memory(normalise="place", size=30)

    def image(seed):
        made = texture(seed)
        made[:, :, 4:8] = np.random.default_rng(seed).uniform(0, 1)
        return made

    inputs = [seen(restless, image(i)) for i in range(12)]
    by_place = restless.fit(inputs, seed=0)
    over_all = memory(size=30).fit(inputs, seed=0)
    new = seen(restless, image(77))
    told, raw = restless.score(by_place, new).map, memory(size=30).score(over_all, new).map
    rest = np.delete(told, np.s_[0:12], axis=1), np.delete(raw, np.s_[0:12], axis=1)
    assert np.abs(told[:, 4:8]).mean() / np.abs(rest[0]).mean() < np.abs(raw[:, 4:8]).mean() / np.abs(rest[1]).mean()


def test_place_needs_one_size():
    scorer = memory(normalise="place")
    with pytest.raises(
        FlawlineError, match=r"patch_memory_free with scorer.normalise = place compares .* are 2: 32 x 48, 36 x 48"
    ):
        scorer.fit([seen(scorer, texture(i, height=32 + 4 * (i == 2))) for i in range(3)], seed=0)
    state = learned(scorer)
    with pytest.raises(FlawlineError, match="learned images of 8 x 12 places, this one has 5 x 12"):
        scorer.score(state, seen(scorer, texture(0, height=20)))


def test_image_is_enlarged_before_it_is_looked_at():
    image = torch.rand(1, 1, 8, 12)
    assert enlarged(image, 1) is image
    assert enlarged(image, 2).shape == (1, 1, 16, 24)
    assert enlarged(image, "auto").shape == (1, 1, 16, 24)
    assert enlarged(torch.rand(1, 1, 128, 200), "auto").shape == (1, 1, 128, 200)
    assert memory(scale=2).embed((image,)).shape == (1, 4, 6, 2)


def test_drawn_features_are_some_of_all_and_each_once():
    embeddings = [np.full((2, 3, 1), i, np.float16) for i in range(5)]
    points = draw_features(embeddings, 12, seed=0)
    assert points.shape == (12, 1)
    assert set(points[:, 0].tolist()) <= {0, 1, 2, 3, 4}
    every = draw_features(embeddings, 1000, seed=0)
    assert torch.bincount(every[:, 0].long()).tolist() == [6] * 5


def test_held_out_figures_by_hand():
    mean, deviation = held_out_figures([torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 3.0]])], by_place=False)
    assert (float(mean), float(deviation)) == (2.0, 1.0)
    mean, deviation = held_out_figures([torch.ones(1, 2), torch.ones(1, 2)], by_place=False)
    assert (float(mean), float(deviation)) == (1.0, 1.0)


# --- the memory ------------------------------------------------------------------------------------------------------
def test_nearest_distances_are_those_of_all_pairs():
    points, kept = torch.randn(50, 7), torch.randn(9, 7)
    found = nearest_distances(points, kept, kept.square().sum(dim=1))
    torch.testing.assert_close(found, torch.cdist(points, kept).amin(dim=1), atol=1e-4, rtol=0)


def test_distances_stay_about_what_they_are_when_a_coreset_is_chosen():
    points = torch.randn(60, 232, generator=torch.Generator().manual_seed(1))
    few = projected(points)
    assert few.shape == (60, 64)
    torch.testing.assert_close(few, projected(points))
    ratio = torch.pdist(few) / torch.pdist(points)
    assert 0.9 < float(ratio.mean()) < 1.1
    assert float(ratio.std()) < 0.12
    small = points[:, :10]
    assert projected(small) is small


def test_no_more_is_kept_than_asked_for_in_as_many_bits():
    state = learned(memory(size=17, bits=8))
    assert (state["codes"].shape, state["codes"].dtype) == ((17, 2), torch.int8)


def test_whitened_distances_are_mahalanobis():
    points = torch.randn(400, 3) @ torch.tensor([[2.0, 0.5, 0], [0, 1.0, 0.3], [0, 0, 0.2]])
    whitening = whitening_of(points)
    wanted = torch.from_numpy(LedoitWolf().fit(points.numpy()).precision_).float()
    torch.testing.assert_close(whitening.mT @ whitening, wanted, rtol=0.02, atol=0.02)
    scorer = memory(whiten=True, size=400)
    state = scorer.learn(points)
    one = torch.tensor([[3.0, 1.0, 0.0]])
    differences = one - points
    nearest = (differences @ wanted * differences).sum(dim=1).amin().sqrt()
    torch.testing.assert_close(scorer.distances(state, one)[0], nearest, rtol=0.03, atol=0.02)


def test_memory_beyond_its_budget_is_refused_before_it_is_made():
    check_budget(1000, 100, 8, 0.1)
    with pytest.raises(FlawlineError, match=r"takes 0.2 MB, more than scorer.budget = 0.1 MB. Keep fewer"):
        check_budget(1000, 100, 16, 0.1)
    with pytest.raises(FlawlineError, match=r"more than scorer.budget"):
        learned(memory(budget=1e-5))


@pytest.mark.parametrize(("scorer", "count"), [(memory(), 1), (gaussian(), 1)], ids=["memory", "gaussian"])
def test_too_few_images_are_refused(scorer, count):
    with pytest.raises(FlawlineError, match=f"{scorer.name} needs at least {count + 1} normal images"):
        learned(scorer, count=count)


# --- the Gaussian ----------------------------------------------------------------------------------------------------
def test_gaussian_distances_are_mahalanobis_from_the_mean():
    points = torch.randn(500, 3) * torch.tensor([1.0, 2.0, 0.5]) + 4
    scorer = gaussian()
    state = scorer.learn(points)
    model = LedoitWolf().fit(points.numpy())
    wanted = torch.from_numpy(model.mahalanobis(points[:20].numpy())).float().sqrt()
    torch.testing.assert_close(scorer.distances(state, points[:20]), wanted, rtol=0.02, atol=0.02)
