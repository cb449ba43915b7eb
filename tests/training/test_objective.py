import json
from dataclasses import replace
from functools import partial

import pytest
from torch import nn, ones

from flawline.checks import FlawlineError
from flawline.training.objective import (
    Batch,
    Best,
    Objective,
    Phase,
    Stage,
    Stop,
    check_objective,
    check_own,
    describe,
    give,
    minimise,
    one_stage,
)


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
    (stage,) = objective.stages
    (phase,) = stage.phases
    assert (phase.name, phase.loss, phase.times, phase.after) == ("train", mean_loss, 1, None)
    assert {id(p) for p in phase.parameters(model)} == {id(p) for p in model.parameters()}
    assert stage.watched is mean_loss


# --- stages ----------------------------------------------------------------------------------------------------------
def start(model, material, own):
    return {}


def after_epoch(model, material, own):
    return own, {"spread": 1.0}


def falls(values):
    return values[-1] < 0.5


STAGE = Stage((PHASE,), mean_loss, name="second", series=("spread",))


@pytest.mark.parametrize(
    "other",
    [
        {"phases": (PHASE, PHASE)},
        {"watched": Summing()},
        {"given": clip},
        {"start": start},
        {"after_epoch": after_epoch},
        {"best": Best("spread")},
        {"best": Best(highest=True)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_shapes_a_stages_weights_shows_in_what_describes_it(other):
    shown = Objective((STAGE,)).describe(), Objective((replace(STAGE, **other),)).describe()
    assert shown[0] != shown[1]
    assert json.loads(json.dumps(shown[1])) == shown[1]


@pytest.mark.parametrize("other", [{"epochs": 7}, {"stop": Stop("spread", falls)}, {"name": "third"}])
def test_what_ends_a_stage_does_not_show_so_that_a_longer_run_goes_on(other):
    assert replace(STAGE, **other).describe() == STAGE.describe()


def test_several_stages_are_described_in_their_order_and_one_as_it_always_was():
    other = replace(STAGE, watched=Summing())
    assert Objective((STAGE, other)).describe() == [STAGE.describe(), other.describe()]
    assert Objective((STAGE,)).describe() == STAGE.describe() == [PHASE.describe(), ["mean_loss"]]


def test_a_stage_records_the_losses_of_its_phases_and_its_own_series():
    stage = Stage((PHASE, Phase("train", mean_loss)), mean_loss, series=("spread",))
    assert stage.all_series() == ("critic_loss", "train_loss", "seconds", "validation_loss", "spread")


def test_more_fields_of_a_stage_can_be_given_with_one_loss():
    (stage,) = minimise(mean_loss, epochs=3, best=Best("train_loss")).stages
    assert (stage.epochs, stage.best) == (3, Best("train_loss"))


def test_the_loss_gets_the_patches_or_what_given_makes_of_the_batch_without_gradient():
    model, batch = nn.Linear(2, 2), Batch(ones(3, 2), None, {"scale": ones(1) * 2})
    assert give(None, model, batch) is batch.x
    made = give(lambda model, batch: model(batch.x) * batch.own["scale"], model, batch)
    assert (made.shape, made.requires_grad) == ((3, 2), False)


# --- when a stage ends, which epoch is kept --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("best", "value", "before", "better"),
    [
        (Best(), 5.0, [], True),
        (Best(), 1.0, [2.0, 3.0], True),
        (Best(), 2.0, [2.0, 3.0], False),  # ties go to the earlier epoch
        (Best(), 2.5, [2.0, 3.0], False),
        (Best(highest=True), -5.0, [], True),
        (Best(highest=True), 4.0, [2.0, 3.0], True),
        (Best(highest=True), 3.0, [2.0, 3.0], False),
        (Best(highest=True), 2.5, [2.0, 3.0], False),
    ],
)
def test_the_best_epoch_is_the_first_with_the_lowest_or_highest_value(best, value, before, better):
    assert best.is_better(value, before) is better


def test_a_stop_is_described_by_its_series_its_function_and_the_epochs_it_needs():
    assert Stop("spread", falls, 4).describe() == ["spread", ["falls"], 4]
    assert Stop("spread", falls).describe() != Stop("spread", max).describe()


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (Objective(()), "an objective needs at least one stage, got none"),
        (
            Objective((STAGE, replace(STAGE, stop=Stop("spraed", falls)))),
            r"the stop of the stage 'second' looks at 'spraed' \(did you mean 'spread'\?\), which the stage never "
            r"records: it would never fire\. The stage records critic_loss, seconds, validation_loss, spread\.",
        ),
        (
            Objective((replace(STAGE, series=(), best=Best("spread", highest=True)),)),
            "the best of the stage 'second' looks at 'spread', which the stage never records",
        ),
        (
            Objective((replace(STAGE, stop=Stop("train_loss", falls)),)),  # another stage's, maybe
            "the stop of the stage 'second' looks at 'train_loss'",
        ),
        (
            Objective((replace(STAGE, stop=Stop("spread", falls, least_epochs=11)),)),
            r"the stop of the stage 'second' never fires: it needs 11 epochs, the stage has 10\. Give it more epochs",
        ),
        (
            Objective((replace(STAGE, epochs=3, stop=Stop("spread", falls, least_epochs=4)),)),
            "it needs 4 epochs, the stage has 3",
        ),
    ],
    ids=["no stage", "unknown stop", "unknown best", "another's series", "too few epochs", "too few of its own"],
)
def test_an_objective_that_cannot_end_as_it_says_is_refused(objective, message):
    with pytest.raises(FlawlineError, match=message):
        check_objective(objective, 10)


def test_an_objective_that_can_end_as_it_says_is_taken():
    check_objective(minimise(mean_loss), 1)
    check_objective(Objective((STAGE, replace(STAGE, stop=Stop("spread", falls, 10), best=Best("spread")))), 10)
    check_objective(Objective((replace(STAGE, epochs=11, stop=Stop("critic_loss", falls, 11)),)), 10)


def test_own_tensors_must_be_those_that_the_stage_names():
    check_own(STAGE, {}, "what start returns")
    stage = replace(STAGE, own=("a", "b"))
    check_own(stage, {"b": ones(1), "a": ones(1)}, "what start returns")
    with pytest.raises(FlawlineError, match=r"what start returns must hold .* 'second': wanted a, b, got none\."):
        check_own(stage, {}, "what start returns")
    with pytest.raises(FlawlineError, match=r"the checkpoint must hold .* 'second': wanted none, got c\."):
        check_own(STAGE, {"c": ones(1)}, "the checkpoint")
