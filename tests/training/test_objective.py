import json
from dataclasses import replace
from functools import partial

import pytest
from torch import nn

from flawline.training.objective import Phase, describe, minimise


class Pair(nn.Module):
    """``a`` has a weight and a bias, ``b`` a weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 1, bias=False)


class Summing:
    """A callable object."""

    def __call__(self, model, x, generator=None):
        return x.sum()


def mean_loss(model, x, generator=None, *, weight=1.0):
    return weight * x.mean()


def clip(model, *, bound):
    pass


def other_clip(model, *, bound):
    pass


PHASE = Phase("critic", mean_loss, ("a",), 5, partial(clip, bound=0.5))


# --- what a phase moves ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("parts", "moved"),
    [
        ((), ["a.weight", "a.bias", "b.weight"]),
        (("a", "b"), ["a.weight", "a.bias", "b.weight"]),
        (("b", "a"), ["b.weight", "a.weight", "a.bias"]),
        (("a",), ["a.weight", "a.bias"]),
        (("b",), ["b.weight"]),
    ],
)
def test_a_phase_moves_its_parts_in_their_order_and_without_any_all(parts, moved):
    model = Pair()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert [names[id(p)] for p in Phase("train", mean_loss, parts).parameters(model)] == moved


def test_a_part_that_the_model_lacks_is_an_error():
    with pytest.raises(AttributeError, match="no attribute 'critic'"):
        Phase("critic", mean_loss, ("critic",)).parameters(Pair())


# --- the name of a function ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (mean_loss, ["mean_loss"]),
        (Summing(), ["Summing"]),
        (partial(mean_loss, weight=0.5), ["mean_loss", [], {"weight": 0.5}]),
        (partial(mean_loss, "model", weight=2.0), ["mean_loss", ["model"], {"weight": 2.0}]),
        (partial(Summing(), generator=None), ["Summing", [], {"generator": None}]),
        (Summing().__call__, ["Summing.__call__"]),
    ],
)
def test_a_function_is_described_by_its_name_and_what_it_was_given(function, words):
    assert describe(function) == words
    assert json.loads(json.dumps(describe(function))) == words


def test_a_phase_is_described_by_all_that_shapes_it():
    assert PHASE.describe() == ["critic", ["mean_loss"], ["a"], 5, ["clip", [], {"bound": 0.5}], None]
    assert Phase("train", mean_loss).describe() == ["train", ["mean_loss"], [], 1, None, None]


@pytest.mark.parametrize(
    "other",
    [
        {"name": "train"},
        {"loss": Summing()},
        {"loss": partial(mean_loss, weight=2.0)},
        {"parts": ("a", "b")},
        {"times": 4},
        {"after": None},
        {"after": partial(clip, bound=0.25)},
        {"after": partial(other_clip, bound=0.5)},
        {"given": other_clip},
    ],
    ids=lambda other: next(iter(other)),
)
def test_no_two_phases_are_described_alike(other):
    one, another = (one_stage((phase,), mean_loss).describe() for phase in (PHASE, replace(PHASE, **other)))
    assert one != another


def test_an_objective_is_described_by_its_phases_in_order_and_what_is_watched():
    first = Phase("train", mean_loss)
    assert one_stage((first, PHASE), Summing()).describe() == [first.describe(), PHASE.describe(), ["Summing"]]
    assert one_stage((PHASE, first), Summing()).describe() == [PHASE.describe(), first.describe(), ["Summing"]]


def test_minimise_has_one_phase_that_moves_all_once_and_watches_its_loss():
    objective, model = minimise(mean_loss), Pair()
    (phase,) = objective.phases
    assert (phase.name, phase.loss, phase.times, phase.after) == ("train", mean_loss, 1, None)
    assert {id(p) for p in phase.parameters(model)} == {id(p) for p in model.parameters()}
    assert objective.watched is mean_loss
