import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods import patch_memory
from flawline.methods.one_class import Inputs
from flawline.methods.patch_memory import (
    Memory,
    PatchMemory,
    coreset,
    greedy_coreset,
    nearest_distances,
    quantise,
)

MEMORY = BASE.patch_memory.scorer


def memory_of(kept):
    """Return a memory of ``kept`` (h, w, M, D) as it is."""
    depth = kept.shape[-1]
    return Memory(kept, torch.ones(depth), torch.zeros(depth), kept.float().square().sum(-1))


def by_hand(seen, kept, search_radius):
    """Return what `nearest_distances` must, place by place."""
    height, width = seen.shape[:2]
    found = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            near = kept[
                max(0, y - search_radius) : y + search_radius + 1, max(0, x - search_radius) : x + search_radius + 1
            ]
            found[y, x] = np.linalg.norm(near.reshape(-1, near.shape[-1]) - seen[y, x], axis=1).min()
    return found


def inputs_of(count, *, views=1, depth=5, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(count, views, 3, 4, depth)).astype(np.float16)
    return [Inputs((np.zeros((1, 24, 32), np.float32),) * views, embedding) for embedding in embeddings]


@pytest.mark.parametrize("search_radius", [0, 1, 2, 5])
@pytest.mark.parametrize("at_a_time", [1, 300, 2**18])
@pytest.mark.parametrize("stored", [torch.float16, torch.float32])
def test_distances_are_those_of_a_search_place_by_place(monkeypatch, search_radius, at_a_time, stored):
    monkeypatch.setattr(patch_memory, "CACHED", at_a_time)
    monkeypatch.setattr(patch_memory, "FOUND", at_a_time)
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(4, 5, 6)).astype(np.float32)
    kept = rng.normal(size=(4, 5, 7, 6)).astype(np.float16)
    found = nearest_distances(torch.from_numpy(seen), memory_of(torch.from_numpy(kept).to(stored)), search_radius)
    np.testing.assert_allclose(found, by_hand(seen, kept.astype(np.float32), search_radius), rtol=1e-4)


def test_a_memory_too_large_to_be_held_as_numbers_is_searched_as_it_is_stored(monkeypatch):
    model = PatchMemory(MEMORY)
    inputs = inputs_of(6)
    state = model.fit(inputs, seed=0)
    held = model.ready(state)
    monkeypatch.setattr(patch_memory, "READY", 3 * 4 * 6 * 5 - 1)
    stored = model.ready(state)
    assert (held["codes"].dtype, stored["codes"].dtype) == (torch.float32, torch.int8)
    new = inputs_of(1, seed=1)[0].embedding
    torch.testing.assert_close(model.distances(held, new), model.distances(stored, new), rtol=1e-6, atol=0)


def test_what_is_normal_one_cell_away_is_normal_within_search_radius():
    kept = torch.zeros(3, 3, 1, 2)
    kept[1, 1] = torch.tensor([3.0, 4.0])
    seen = torch.zeros(3, 3, 2)
    seen[0, 0] = torch.tensor([3.0, 4.0])
    assert nearest_distances(seen, memory_of(kept), 0)[0, 0] == 5
    assert nearest_distances(seen, memory_of(kept), 1)[0, 0] == 0


def test_the_coreset_takes_the_middle_then_the_farthest():
    points = torch.tensor([[[0.0], [1.0], [2.0], [10.0], [4.0]]])  # mean 3.4
    assert greedy_coreset(points, 4).tolist() == [[4, 3, 0, 2]]


def test_the_coreset_is_within_twice_the_best_there_is():
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.normal(size=(4, 40, 3)).astype(np.float32))
    chosen = greedy_coreset(points, 8)
    assert all(len(set(row)) == 8 for row in chosen.tolist())
    for cloud, rows in zip(points, chosen, strict=True):
        radius = torch.cdist(cloud, cloud[rows]).amin(1).max()
        apart = torch.cdist(cloud[rows], cloud[rows]).add(torch.eye(8) * 1e9).min()
        assert radius <= apart + 1e-5  # of 9 points so far apart, two share a centre: no cover is below apart / 2
    assert greedy_coreset(points, 5).tolist() == chosen[:, :5].tolist()


def test_a_coreset_of_equal_points_takes_each_once():
    assert len(set(greedy_coreset(torch.ones(1, 4, 2), 3).tolist()[0])) == 3


def test_no_more_points_than_asked_for_are_all_kept():
    points = torch.rand(2, 3, 4)
    assert coreset(points, 3) is points
    assert coreset(points, None) is points
    assert coreset(points, 2).shape == (2, 2, 4)


def test_eight_bits_are_wrong_by_half_a_step_at_most():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 4, 50, 6)).astype(np.float32))
    values *= torch.tensor([1e-3, 1.0, 10.0, 100.0, 1.0, 1.0])
    values[..., 5] = 7.25
    codes, scale, offset = quantise(values, 8)
    assert codes.dtype == torch.int8
    step = (values.flatten(0, 2).amax(0) - values.flatten(0, 2).amin(0)) / 255
    assert ((codes * scale + offset - values).abs() <= step * 0.501 + 1e-6).all()
    assert (codes.min(), codes.max()) == (-128, 127)


def test_sixteen_bits_keep_float16_as_it_is():
    values = torch.rand(2, 2, 3, 4).half()
    codes, scale, offset = quantise(values, 16)
    assert codes.dtype == torch.float16
    torch.testing.assert_close(codes * scale + offset, values.float(), rtol=0, atol=0)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_head_finds_what_it_learned_and_nothing_else(bits):
    inputs = inputs_of(6)
    scorer = PatchMemory(MEMORY.but(size=None, bits=bits, search_radius=1), extractor=len)
    state = scorer.fit(inputs[:5], seed=0)
    kept = np.stack([each.embedding[0] for each in inputs[:5]], 2).astype(np.float32)
    step = 0.03 if bits == 8 else 2e-3
    np.testing.assert_allclose(scorer.distances(state, inputs[2].embedding)[0], 0, atol=step)
    wanted = by_hand(inputs[5].embedding[0].astype(np.float32), kept, 1)
    np.testing.assert_allclose(scorer.distances(state, inputs[5].embedding)[0], wanted, atol=step)


@pytest.mark.parametrize("search_radius", [0, 2])
def test_the_scorer_looks_as_far_as_it_is_told(search_radius):
    inputs = inputs_of(4)
    scorer = PatchMemory(MEMORY.but(size=None, bits=16, search_radius=search_radius), extractor=len)
    kept = np.stack([each.embedding[0] for each in inputs[:3]], 2).astype(np.float32)
    wanted = by_hand(inputs[3].embedding[0].astype(np.float32), kept, search_radius)
    found = scorer.distances(scorer.fit(inputs[:3], seed=0), inputs[3].embedding)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_views_are_remembered_apart():
    inputs = inputs_of(6, views=2)
    scorer = PatchMemory(MEMORY.but(size=3), ("image", "cpcae"), extractor=len)
    state = scorer.fit(inputs, seed=0)
    assert state["codes"].shape == (2, 3, 4, 3, 5)
    one = PatchMemory(MEMORY.but(size=3), extractor=len)
    for view in range(2):
        alone = [Inputs(each.views[:1], each.embedding[view : view + 1]) for each in inputs]
        expected = one.distances(one.fit(alone, seed=0), alone[0].embedding)
        torch.testing.assert_close(scorer.distances(state, inputs[0].embedding)[view], expected[0])


def test_the_same_images_give_the_same_state_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    states = [PatchMemory(MEMORY.but(size=2), extractor=len).fit(inputs_of(5), seed=1) for _ in range(2)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_an_image_of_another_size_is_told():
    scorer = PatchMemory(MEMORY, extractor=len)
    other = np.zeros((1, 3, 5, 5), np.float16)
    with pytest.raises(FlawlineError, match="patch_memory learned images of 3 x 4 grid positions, this one has 3 x 5"):
        scorer.distances(scorer.fit(inputs_of(2), seed=0), other)
