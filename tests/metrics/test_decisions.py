import json
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from flawline.checks import FlawlineError
from flawline.metrics.decisions import (
    CostChoice,
    Costs,
    Shares,
    cheapest,
    cheapest_review,
    choose_by_cost,
    counted_levels,
    expected_levels,
)

COSTS = Costs(escape=100, overkill=5, review=1, defect_rate=0.1)
SCORES = st.lists(st.floats(0, 1, width=16), min_size=1, max_size=12)
COST = st.floats(0.01, 100)


def test_a_part_costs_what_its_mistakes_and_reviews_do():
    shares = Shares(overkill=0.2, reviewed_good=0.3, escape=0.5, reviewed_defective=0.25)
    assert shares.reviewed(0.1) == pytest.approx(0.9 * 0.3 + 0.1 * 0.25)
    assert shares.cost(COSTS) == pytest.approx(0.9 * 0.2 * 5 + 0.1 * 0.5 * 100 + 0.295 * 1)


def test_expected_levels_are_what_calibration_promises_and_pseudo_defects_make_likely():
    levels = expected_levels([3.0, 1.0, 1.0, 2.0], [0.5, 1.5, 9.0])
    assert levels.scores.tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(levels.good_above, [3 / 5, 2 / 5, 1 / 5])  # (1 + above) / (n + 1)
    np.testing.assert_allclose(levels.defective_below, [2 / 4, 3 / 4, 3 / 4])  # (1 + not above) / (m + 1)


def test_counted_levels_are_shares_of_what_is_there():
    levels = counted_levels([1.0, 2.0, 2.0, 4.0], [0, 0, 1, 1])
    assert levels.scores.tolist()[1:] == [1.0, 2.0, 4.0]
    assert levels.scores[0] < 1.0  # nothing passes
    assert levels.good_above.tolist() == [1.0, 0.5, 0.0, 0.0]
    assert levels.defective_below.tolist() == [0.0, 0.0, 0.5, 1.0]


@given(SCORES, SCORES, COST, COST, COST, st.floats(0.01, 0.99), st.none() | st.floats(0, 1))
def test_no_other_pair_of_thresholds_costs_less_within_the_capacity(
    good, bad, escape, overkill, review, rate, capacity
):
    costs, levels = Costs(escape, overkill, review, rate, capacity), expected_levels(good, bad)
    pairs = combinations_with_replacement(range(len(levels.scores)), 2)
    every = [levels.shares(*pair) for pair in pairs]
    allowed = [
        each.cost(costs) for each in every if each.reviewed(rate) <= (1 if capacity is None else capacity) + 1e-9
    ]
    found = levels.shares(*cheapest(levels, costs))
    assert found.cost(costs) == pytest.approx(min(allowed))
    assert found.reviewed(rate) <= (1 if capacity is None else capacity) + 1e-9


@pytest.mark.parametrize("costs", [replace(COSTS, review_capacity=0), replace(COSTS, review=101)])
def test_nothing_is_reviewed_without_capacity_or_where_a_review_is_dearer_than_any_mistake(costs):
    levels = expected_levels(range(20), range(10, 60))
    review, reject = cheapest(levels, costs)
    assert review == reject


def test_a_review_that_costs_nothing_is_had_as_far_as_the_capacity_goes():
    levels = expected_levels(range(19), [18.5])
    free = replace(COSTS, review=0, review_capacity=0.5)
    review = cheapest_review(levels, free, reject=18)
    assert levels.shares(review, 18).reviewed(0.1) <= 0.5 < levels.shares(review - 1, 18).reviewed(0.1)


def test_dearer_escapes_lower_the_review_threshold_and_dearer_overkill_raises_the_reject_threshold():
    generator = np.random.default_rng(0)
    good, bad = generator.normal(size=200), generator.normal(2, 1, size=200)
    cheap = replace(COSTS, overkill=1.5)
    plain, escapes, overkill = (
        choose_by_cost(good, bad, costs).shares
        for costs in (cheap, replace(cheap, escape=1000), replace(cheap, overkill=50))
    )
    assert escapes.escape < plain.escape
    assert overkill.overkill < plain.overkill


def test_all_parts_alike_cost_what_their_verdict_does():
    assert COSTS.unseen == pytest.approx({"pass": 10, "reject": 4.5, "review": 1})
    assert set(replace(COSTS, review_capacity=0.5).unseen) == {"pass", "reject"}  # nobody can look at all


def test_overkill_at_a_level_that_the_same_images_chose_is_about_what_its_place_promises():
    """The choice favours levels that chance made look cheap, so it is a quarter more."""
    generator, found, costs = np.random.default_rng(0), [], replace(COSTS, review=10, defect_rate=0.02)
    for _ in range(400):
        good = generator.normal(size=60)
        shares = choose_by_cost(good, good + 2 * generator.exponential(size=60), costs).shares
        limit = np.sort(good)[round(61 * (1 - shares.overkill)) - 1]
        found.append((shares.overkill, norm.sf(limit)))
    promised, realised = np.mean(found, axis=0)
    assert realised / promised == pytest.approx(1.25, abs=0.15)


def test_a_choice_survives_json():
    choice = choose_by_cost([1.0, 2.0, 3.0], [2.5, 9.0], COSTS)
    assert CostChoice.from_dict(json.loads(json.dumps(choice.to_dict()))) == choice


def test_without_pseudo_defects_nothing_is_known_of_escapes():
    with pytest.raises(FlawlineError, match="costs need the scores of pseudo-defects, and there are none"):
        choose_by_cost([1.0], [], COSTS)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_images_of_one_kind_are_no_levels(labels):
    with pytest.raises(FlawlineError, match="labels must hold good and defective images, got"):
        counted_levels([1.0, 2.0], labels)
