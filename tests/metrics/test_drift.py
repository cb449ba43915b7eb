import numpy as np
import pandas as pd
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from flawline.metrics.drift import COLUMNS, STAKES, Bets, capital_of, find_drift, limit_bets, start_of

ASKED = {"false_alarms": 0.01, "odd_share": 0.1}


def drift(values, training, **asked):
    return find_drift({"focus": values}, {"focus": training}, **{**ASKED, **asked}).iloc[0]


@pytest.fixture
def learned():
    return np.random.default_rng(0).normal(size=200)


# --- limits and bets -------------------------------------------------------------------------------------------------
def test_the_limit_of_19_images_is_the_highest_and_its_chance_that_of_wilks():
    """P(U(19) < 1 - u) = (1 - u)^19, so the chance that a new image is beyond is above u with that probability."""
    bets = limit_bets(np.arange(19.0), 1, odd_share=0.0, unsure=0.01)
    assert bets.limits.tolist() == [18.0]
    assert bets.chances == pytest.approx([1 - 0.01 ** (1 / 19)])
    assert limit_bets(np.arange(19.0), -1, odd_share=0.0, unsure=0.01).limits.tolist() == [0.0]


def test_limits_of_many_images_are_their_first_and_their_fifth_of_a_hundred_and_odd_ones_add_to_the_chance():
    bets = limit_bets(np.arange(199.0), 1, odd_share=0.25, unsure=0.01)
    assert bets.limits.tolist() == [197.0, 189.0]  # the 2nd and the 10th of 199
    beyond = 1 - scipy.stats.beta.ppf(0.01, [198, 190], [2, 10])
    assert bets.chances == pytest.approx(0.25 + 0.75 * beyond)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 400), st.floats(0, 0.9), st.sampled_from([-1, 1]))
def test_no_bet_grows_in_the_mean_where_images_are_beyond_as_often_as_is_said(images, odd_share, way):
    bets = limit_bets(np.arange(float(images)), way, odd_share=odd_share, unsure=0.001)
    inside, beyond = (bets.growth(np.full((1, len(bets.limits)), each))[0] for each in (False, True))
    chances = np.tile(bets.chances, len(STAKES))
    assert chances * beyond + (1 - chances) * inside == pytest.approx(np.ones(len(chances)))
    assert (inside > 0).all()


def test_equal_images_are_not_beyond_one_another():
    bets = Bets(np.array([3.0]), np.array([0.1]))
    assert bets.are_beyond(np.array([3.0, 3.1]), 1)[:, 0].tolist() == [False, True]


# --- capital ---------------------------------------------------------------------------------------------------------
def test_capital_is_shared_among_the_images_that_it_starts_with():
    """Of 1, 1/2 starts with the first image and 1/6 with the second; 1/2 and then 1/3 wait."""
    capital = capital_of(np.array([[4.0], [3.0]]))
    assert capital == pytest.approx([4 / 2 + 1 / 2, 3 * (4 / 2 + 1 / 6) + 1 / 3])


def test_capital_is_the_mean_of_the_bets():
    growth = np.array([[4.0, 0.1], [3.0, 0.1]])
    assert capital_of(growth) == pytest.approx((capital_of(growth[:, :1]) + capital_of(growth[:, 1:])) / 2)


def test_capital_that_always_wins_ends_at_a_number():
    assert np.isfinite(capital_of(np.full((5000, 1), 9.0))).all()


def test_a_drift_starts_where_what_was_won_is_most():
    growth = np.array([[0.5, 0.5], [2.0, 0.5], [0.5, 0.5], [2.0, 3.0], [2.0, 3.0]])
    assert start_of(growth) == (3, 1)
    assert start_of(growth[:, :1]) == (1, 0)  # 2 * 0.5 = 1 was won with the two images before: the first of equals


# --- what is told ----------------------------------------------------------------------------------------------------
def test_images_far_outside_are_told_after_as_few_as_is_said_and_not_before(learned):
    least = drift([], learned)["least_images"]
    assert least == 5
    assert not drift([9.0] * (least - 1), learned)["drifts"]
    found = drift([9.0] * least, learned)
    assert (found["drifts"], found["direction"], found["since"], found["told_at"]) == (True, "higher", 1, least)
    assert drift([-9.0] * least, learned)["direction"] == "lower"


def test_a_late_drift_is_dated_to_its_first_image_though_some_have_no_figure(learned):
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=100), rng.normal(4, 1, size=50)])
    values[::7] = np.nan
    found = drift(values, learned)
    assert found["drifts"]
    assert abs(found["since"] - 101) <= 2
    assert 105 <= found["told_at"] <= 125
    assert found["images"] == np.isfinite(values).sum()
    assert found["found_low"] > 1.5


def test_a_drift_that_goes_on_is_told_by_the_image_it_was_told_by_before(learned):
    values = np.concatenate([np.zeros(20), np.full(40, 5.0)])
    first, whole = drift(values[:40], learned), drift(values, learned)
    assert (first["since"], first["told_at"]) == (whole["since"], whole["told_at"])


def test_false_alarms_are_no_more_than_are_said():
    """Nothing is left to odd images, so that the test is as sharp as it can be."""
    rng = np.random.default_rng(2)
    told = [drift(rng.normal(size=100), rng.normal(size=40), false_alarms=0.2, odd_share=0.0)["drifts"]
            for _ in range(80)]  # fmt: skip
    assert np.mean(told) <= 0.2


def test_capital_reaches_a_level_no_more_often_than_its_inverse_though_all_chances_are_as_large_as_can_be():
    """Ville's inequality: of 300 runs at most a fifth, but for three standard errors of 2.3 %; and it is no empty
    promise, some do."""
    rng, bets = np.random.default_rng(2), Bets(np.zeros(2), np.array([0.2, 0.3]))
    uniform = rng.random((300, 60, 1))
    reached = np.mean([capital_of(bets.growth(each < bets.chances)).max() >= 5 for each in uniform])
    assert 0.01 < reached < 0.2 + 3 * 0.023


def test_odd_images_are_no_drift_until_they_are_more_than_may_be(learned):
    rng = np.random.default_rng(3)
    told = {}
    for share in (0.1, 0.5):
        values = np.where(rng.random((40, 60)) < share, 20.0, rng.normal(size=(40, 60)))
        told[share] = np.mean([drift(each, learned)["drifts"] for each in values])
    assert told[0.1] == 0.0
    assert told[0.5] == 1.0


def test_only_higher_scores_count_and_what_is_asked_is_divided_among_the_figures(learned):
    values, training = {"score": [-9.0] * 50, "focus": [0.0] * 50}, {"score": learned, "focus": learned}
    found = find_drift(values, training, **ASKED)
    assert not found["drifts"].any()
    assert find_drift({**values, "score": [9.0] * 50}, training, **ASKED)["drifts"].tolist() == [True, False]
    assert found["needed"].tolist() == [400.0, 400.0]  # 2 * 2 / 0.01
    assert drift([0.0], learned)["needed"] == 200.0


@pytest.mark.parametrize("training", [[5.0] * 60, [5.0]])
def test_constant_training_images_tell_of_no_drift_to_the_same_value(training):
    assert not drift([5.0] * 500, training)["drifts"]


def test_a_few_training_images_can_hardly_tell_and_one_never():
    assert drift([], np.arange(10.0))["least_images"] == 13
    assert pd.isna(drift([], [1.0])["least_images"])
    assert not drift([99.0] * 2000, [1.0])["drifts"]


def test_without_images_there_is_nothing_and_without_training_images_no_row(learned):
    found = drift([], learned)
    assert (found["images"], found["drifts"]) == (0, False)
    assert pd.isna(found["found_low"])
    nothing = find_drift({"focus": [1.0]}, {"focus": []}, **ASKED)
    assert nothing.empty
    assert nothing.columns.tolist() == COLUMNS
