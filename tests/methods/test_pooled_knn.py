import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.features import three_way_pool
from flawline.methods.one_class import NO_MAP, Inputs
from flawline.methods.pooled_knn import PooledKNN, check_k, feature_scale, mean_nearest

POOLED = BASE.cpcae.scorer


def pyramid(images):
    """Stands for a pretrained network: two layers, of half and a quarter of the size."""
    half = torch.nn.functional.avg_pool2d(images, 2)
    return [half, torch.nn.functional.avg_pool2d(half, 2)]


@pytest.fixture
def images():
    images = np.random.default_rng(0).random((9, 3, 16, 16), dtype=np.float32)
    images.setflags(write=False)
    return images


def seen(scorer, images):
    embeddings = scorer.embed((torch.from_numpy(np.array(images)),))
    return [Inputs((image,), embedding) for image, embedding in zip(images, embeddings, strict=True)]


def test_the_mean_distance_to_the_two_nearest_of_three():
    bank = torch.tensor([[0.0, 3.0], [4.0, 0.0], [30.0, 40.0]])
    assert mean_nearest(torch.zeros(2), bank, 2) == 3.5


def test_features_that_never_vary_keep_their_scale():
    embeddings = torch.tensor([[1.0, 0.1], [3.0, 0.1], [5.0, 0.1]])
    mean, deviation = feature_scale(embeddings, 0)
    torch.testing.assert_close(mean, torch.tensor([3.0, 0.1]))
    torch.testing.assert_close(deviation, torch.tensor([(8 / 3) ** 0.5, 1.0]))


def test_a_feature_that_hardly_varies_does_not_decide_alone():
    embeddings = torch.tensor([[1.0, 0.0, 0.5], [3.0, 0.01, 0.5]])
    _, printed = feature_scale(embeddings, 0)
    torch.testing.assert_close(printed, torch.tensor([1.0, 0.005, 1.0]))
    _, deviation = feature_scale(embeddings, 0.3)
    floor = 0.3 * ((1 + 0.005**2) / 3) ** 0.5
    torch.testing.assert_close(deviation, torch.tensor([1.0, floor, floor]))


def test_features_of_which_none_varies_keep_their_scale():
    torch.testing.assert_close(feature_scale(torch.full((3, 2), 0.1), 0.1), (torch.full((2,), 0.1), torch.ones(2)))


def test_the_last_layer_is_pooled_as_asked(images):
    batch = torch.from_numpy(np.array(images))
    last = pyramid(batch)[-1]
    maxima = PooledKNN(POOLED.but(pooling="max"), extractor=pyramid).embed((batch,))
    np.testing.assert_array_equal(maxima, last.amax((2, 3)))
    three = PooledKNN(POOLED.but(pooling="three_way"), extractor=pyramid).embed((batch,))
    np.testing.assert_array_equal(three, three_way_pool(last))


def test_the_score_is_that_of_normalised_embeddings(images):
    scorer = PooledKNN(POOLED.but(pooling="max", k=3), extractor=pyramid)
    inputs = seen(scorer, images)
    found = scorer.score(scorer.fit(inputs[:8], seed=0), inputs[8])
    embeddings = np.stack([each.embedding for each in inputs])
    mean, deviation = embeddings[:8].mean(0), embeddings[:8].std(0)
    distances = np.linalg.norm((embeddings[:8] - embeddings[8]) / deviation, axis=1)
    assert mean.shape == (3,)
    assert found.score == pytest.approx(np.sort(distances)[:3].mean(), rel=1e-4)


def test_a_residual_image_has_a_map_and_a_photograph_none(images):
    params = POOLED.but(k=1, smoothing=0)
    for views in (("image",), ("mean_image",)):
        scorer = PooledKNN(params, views, extractor=pyramid)
        inputs = seen(scorer, images)
        found = scorer.score(scorer.fit(inputs, seed=0), inputs[0])
        wanted = NO_MAP if views == ("image",) else np.square(images[0]).mean(0).astype(np.float16)
        np.testing.assert_array_equal(found.map, wanted)


def test_of_two_views_both_are_embedded_and_the_residual_image_makes_the_map(images):
    scorer = PooledKNN(POOLED.but(k=1, smoothing=0), ("image", "cpcae"), extractor=pyramid)
    first, second = torch.from_numpy(np.array(images)), torch.from_numpy(np.array(images[::-1]))
    both = scorer.embed((first, second))
    np.testing.assert_array_equal(both, np.hstack([scorer.embed((first,)), scorer.embed((second,))]))
    each = Inputs((images[0], images[8]), both[0])
    found = scorer.score(scorer.fit([each], seed=0), each)
    np.testing.assert_array_equal(found.map, np.square(images[8]).mean(0).astype(np.float16))


def test_more_neighbours_than_images_are_told(images):
    check_k(9, 9)
    with pytest.raises(
        FlawlineError, match=r"scorer\.k = 10 neighbours .* there are 9 normal images.* Set scorer\.k to 9"
    ):
        check_k(10, 9)
    scorer = PooledKNN(POOLED.but(k=10), extractor=pyramid)
    with pytest.raises(FlawlineError, match=r"scorer\.k = 10"):
        scorer.fit(seen(scorer, images), seed=0)
