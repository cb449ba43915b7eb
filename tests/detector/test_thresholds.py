from dataclasses import replace

import pytest

from flawline.detector.thresholds import Thresholds, calibrate, calibrate_by_cost, costs_of
from flawline.metrics.decisions import Costs
from flawline.metrics.outliers import outlier_threshold
from flawline.params import CostParams

LEVELS = calibrate([0.1 * k for k in range(1, 10)], target_overkill=0.1, review_overkill=0.4)


def test_calibrate_gives_the_kth_smallest_of_nine_scores():
    assert LEVELS.reject.value == pytest.approx(0.9)  # k = ceil(10 * 0.9) = 9
    assert LEVELS.review.value == pytest.approx(0.6)  # k = ceil(10 * 0.6) = 6


def test_review_is_never_above_reject():
    levels = calibrate([1.0, 2.0, 3.0, 4.0], target_overkill=0.5, review_overkill=0.01)
    assert levels.review == levels.reject


def test_thresholds_survive_json():
    assert Thresholds.from_dict(LEVELS.to_dict()) == LEVELS


def test_the_pseudo_supervised_threshold_survives_it_too():
    outlier = outlier_threshold([0.1, 0.2, 0.3], [0.25, 0.9], quantile=0.9)
    levels = replace(LEVELS, outlier=outlier)
    assert Thresholds.from_dict(levels.to_dict()) == levels


def test_maps_that_are_not_judged_by_have_a_limit_of_their_own():
    assert LEVELS.pixel is None
    assert LEVELS.on_map == LEVELS.reject
    apart = calibrate([1.0] * 9, target_overkill=0.1, review_overkill=0.4, map_maxima=[0.1 * k for k in range(1, 10)])
    assert (apart.reject.value, apart.on_map.value) == (1.0, pytest.approx(0.9))
    assert Thresholds.from_dict(apart.to_dict()) == apart


# --- by cost ---------------------------------------------------------------------------------------------------------
COSTS = Costs(escape=100, overkill=5, review=1, defect_rate=0.1)
GOOD, PSEUDO = [0.1 * k for k in range(1, 10)], [0.55, 0.75, 2.0]


def test_thresholds_by_cost_lie_where_the_choice_says_and_say_so():
    levels = calibrate_by_cost(GOOD, PSEUDO, COSTS, map_maxima=[float(k) for k in range(1, 10)], basis="monotone")
    shares = levels.by_cost.shares
    assert levels.reject.promised_overkill == pytest.approx(shares.overkill)
    assert levels.review.promised_overkill == pytest.approx(levels.by_cost.flagged)
    assert levels.pixel.promised_overkill == levels.reject.promised_overkill
    assert all(level.chosen and level.basis == "monotone" for level in (levels.reject, levels.review, levels.pixel))
    assert sum(score <= levels.review.value for score in PSEUDO) == round(shares.escape * 4) - 1  # (1 + passed) / 4
    assert Thresholds.from_dict(levels.to_dict()) == levels
    assert not LEVELS.reject.chosen


def test_costs_are_those_that_are_given():
    assert costs_of(None) is None
    assert costs_of(CostParams()) is None
    assert costs_of(CostParams(escape=100, overkill=5, review=1, defect_rate=0.1)) == COSTS
