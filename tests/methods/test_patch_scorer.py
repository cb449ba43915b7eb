import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods import patch_scorer
from flawline.methods.one_class import Inputs
from flawline.methods.patch_scorer import (
    PatchScorer,
    check_grid,
    folds,
    fuse,
    held_out,
    least_over_neighbourhood,
    neighbours,
    patch_features,
    position_blocks,
    positions_to_map,
    view_spread,
)

MEMORY = BASE.patch_memory.scorer


class MeanScorer(PatchScorer):
    """The distance of a place is how far its mean feature is from the mean of all images."""

    name = "mean_scorer"
    least = 1

    def learn(self, embeddings, *, seed):
        return {"mean": torch.from_numpy(np.stack(embeddings).astype(np.float32).mean(0)).mean(-1)}

    def distances(self, state, embedding):
        return (torch.from_numpy(embedding.astype(np.float32)).mean(-1) - state["mean"]).abs()


def cells(images):
    """Stands for a pretrained network: means over cells of 4 and of 8 pixels."""
    return [torch.nn.functional.avg_pool2d(images, side) for side in (4, 8)]


def seen(scorer, *views):
    embeddings = scorer.embed(tuple(torch.from_numpy(view) for view in views))
    return [Inputs(tuple(view[i] for view in views), embedding) for i, embedding in enumerate(embeddings)]


@pytest.fixture
def photographs():
    return np.random.default_rng(0).random((6, 3, 16, 24), dtype=np.float32)


def test_finer_layers_are_averaged_to_the_coarsest_grid():
    fine = torch.arange(16.0).reshape(1, 1, 4, 4)
    coarse = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    features = patch_features([fine, coarse])
    assert features.shape == (1, 2, 2, 2)
    torch.testing.assert_close(features[0, :, :, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))
    torch.testing.assert_close(features[0, :, :, 1], coarse[0, 0])


def test_embeddings_are_views_by_places_by_features(photographs):
    scorer = MeanScorer(MEMORY, ("image", "cpcae"), extractor=cells)
    embeddings = scorer.embed((torch.from_numpy(photographs), torch.zeros(6, 1, 16, 24).expand(6, 3, 16, 24)))
    assert (embeddings.shape, embeddings.dtype) == ((6, 2, 2, 3, 6), np.float16)
    wanted = photographs[0, :, 8:, :8].mean((1, 2))  # of the place in the second row and first column
    np.testing.assert_allclose(embeddings[0, 0, 1, 0], np.concatenate([wanted, wanted]), atol=1e-3)
    assert not embeddings[:, 1].any()


@pytest.mark.parametrize(("block", "wanted_blocks"), [(1, 12), (5 * 2 * 5, 3), (10**6, 1)])
def test_blocks_of_places_hold_every_image_in_order(monkeypatch, block, wanted_blocks):
    monkeypatch.setattr(patch_scorer, "BLOCK", block)
    embeddings = list(np.random.default_rng(0).normal(size=(5, 2, 3, 4, 2)).astype(np.float16))
    blocks = list(position_blocks(embeddings, 1))
    assert len(blocks) == wanted_blocks
    wanted = np.stack([one[1] for one in embeddings], 2).reshape(12, 5, 2)
    np.testing.assert_array_equal(torch.cat(blocks), wanted.astype(np.float32))


def test_neighbours_come_row_by_row_with_zeros_beyond_the_grid():
    grid = torch.arange(1.0, 7.0).reshape(2, 3, 1)
    assert neighbours(grid, 1)[0, :, 0].tolist() == [0, 0, 0, 0, 1, 2, 0, 4, 5]
    assert neighbours(grid, 0)[:, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_place_gets_back_the_least_that_any_place_has_for_it():
    least = torch.full((2, 9), 9.0)  # two places side by side
    least[0, 5] = 1.0  # what the left one has for its right neighbour
    least[1, 4] = 3.0  # what the right one has for itself
    assert least_over_neighbourhood(least, (1, 2), 1).tolist() == [[9.0, 1.0]]


def test_every_image_is_held_out_once_by_others_than_itself():
    parts = list(folds(10, 4, seed=3))
    assert sorted(i for _, held_out in parts for i in held_out) == list(range(10))
    assert all(sorted(learned + held_out) == list(range(10)) for learned, held_out in parts)
    assert [len(held_out) for _, held_out in parts] == [3, 3, 2, 2]
    assert parts == list(folds(10, 4, seed=3)) != list(folds(10, 4, seed=4))


def test_fewer_images_than_folds_are_held_out_one_by_one():
    assert sorted(held_out for _, held_out in folds(3, 4, seed=0)) == [[0], [1], [2]]


def test_views_of_any_scale_count_alike_when_fused():
    distances = torch.tensor([[1.0, 3.0], [100.0, 300.0], [7.0, 7.0]])[:, None]  # (3, 1, 2): the last says nothing
    spread = view_spread(distances)
    torch.testing.assert_close(spread, torch.tensor([1.0, 100.0, 1.0]))
    wanted = torch.tensor([[(1 + 1 + 7) / 3, (3 + 3 + 7) / 3]])
    torch.testing.assert_close(fuse(distances, spread), wanted)


def test_a_place_lies_in_the_middle_of_its_cell():
    places = torch.zeros(2, 3)
    places[1, 2] = 1
    anomaly = positions_to_map(places, (16, 24), 0)
    assert (anomaly.shape, anomaly.dtype) == ((16, 24), np.float16)
    assert anomaly[12:, 20:].min() == 1  # beyond the last centre it stays
    assert anomaly[7:9, 20].sum() == pytest.approx(1)  # halfway between the rows


def test_one_view_keeps_its_distances(photographs):
    scorer = MeanScorer(MEMORY.but(smoothing=0), extractor=cells)
    inputs = seen(scorer, photographs)
    state = scorer.fit(inputs, seed=0)
    found = scorer.score(state, inputs[0])
    distances = scorer.distances(state, inputs[0].embedding)[0]
    np.testing.assert_array_equal(found.map, positions_to_map(distances, (16, 24), 0))
    assert found.score == found.map.max()
    assert scorer.by_map


def test_each_image_comes_once_with_a_model_of_others():
    images = [f"image {i}" for i in range(6)]

    def learn(others, *, seed):
        return {"learned": list(others), "seed": seed}

    found = list(held_out(images, learn, lambda model: model | {"ready": True}, seed=5))
    assert sorted(image for _, image in found) == images
    folded = [(model["learned"], image) for model, image in found]
    assert folded == [([images[i] for i in learned], images[k]) for learned, rest in folds(6, 4, seed=5) for k in rest]
    assert {(model["seed"], model["ready"]) for model, _ in found} == {(5, True)}


def test_two_views_are_scaled_by_distances_of_images_not_learned_from(photographs):
    scorer = MeanScorer(MEMORY.but(smoothing=0), ("image", "cpcae"), extractor=cells)
    inputs = seen(scorer, photographs, photographs * np.float32(0.1))
    state = scorer.fit(inputs, seed=5)
    held = []
    for learned, rest in folds(6, 4, seed=5):
        model = scorer.learn([inputs[i].embedding for i in learned], seed=5)
        held += [scorer.distances(model, inputs[i].embedding).numpy() for i in rest]
    held = np.stack(held)  # (6, V, h, w)
    np.testing.assert_allclose(state["spread"], held.std((0, 2, 3)), rtol=1e-5)
    alone = scorer.distances(state, inputs[0].embedding)
    np.testing.assert_allclose(
        alone[0] / state["spread"][0],
        alone[1] / state["spread"][1],
        atol=0.05,  # float16
    )


def test_bad_images_are_told(photographs):
    scorer = MeanScorer(MEMORY, extractor=cells)
    inputs = seen(scorer, photographs)
    with pytest.raises(FlawlineError, match="mean_scorer compares images position by position"):
        scorer.fit([*inputs, *seen(scorer, photographs[:1, :, :, :16])], seed=0)
    with pytest.raises(FlawlineError, match="mean_scorer needs at least 1 normal images"):
        scorer.fit([], seed=0)
    fused = MeanScorer(MEMORY, ("image", "cpcae"), extractor=cells)
    with pytest.raises(FlawlineError, match="mean_scorer needs at least 2"):
        fused.fit(seen(fused, photographs[:1], photographs[:1]), seed=0)
    with pytest.raises(FlawlineError, match="learned images of 2 x 3 grid positions, this one has 2 x 2"):
        check_grid(seen(scorer, photographs[:1, :, :, :16])[0].embedding, (2, 3), "mean_scorer")
