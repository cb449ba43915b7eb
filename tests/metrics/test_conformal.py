import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawline.checks import FlawlineError
from flawline.metrics.conformal import Threshold, calibrate_threshold, percent


def test_99_scores_at_1_percent_take_the_highest_and_keep_the_target():
    threshold = calibrate_threshold(range(1, 100), target_overkill=0.01)  # k = ceil(100 * 0.99) = 99
    assert threshold == Threshold(99.0, 0.01, 0.01, samples=99, needed=99)
    assert threshold.kept


def test_199_scores_at_1_percent_take_the_second_highest():
    threshold = calibrate_threshold(range(1, 200), target_overkill=0.01)  # k = ceil(200 * 0.99) = 198
    assert (threshold.value, threshold.promised_overkill) == (198.0, 0.01)


def test_19_scores_at_5_percent_are_just_enough():
    threshold = calibrate_threshold(range(1, 20), target_overkill=0.05)
    assert (threshold.value, threshold.promised_overkill, threshold.needed) == (19.0, 0.05, 19)


def test_too_few_scores_promise_what_they_can():
    threshold = calibrate_threshold([0.3, 0.1, 0.2], target_overkill=0.01)
    assert (threshold.value, threshold.promised_overkill) == (0.3, 0.25)
    assert not threshold.kept


def test_order_of_the_scores_does_not_matter_and_they_stay_as_they_were():
    scores = np.random.default_rng(0).random(50)
    scores.setflags(write=False)
    assert calibrate_threshold(scores, target_overkill=0.1) == calibrate_threshold(scores[::-1], target_overkill=0.1)


@pytest.mark.parametrize("parts", [3, 7, 10, 20, 49, 100, 1000, 10_000])
def test_rates_that_floats_cannot_hold_lose_no_image(parts):
    scores = np.arange(parts - 1)
    threshold = calibrate_threshold(scores, target_overkill=1 / parts)
    assert (threshold.needed, threshold.value) == (parts - 1, parts - 2)
    assert threshold.kept
    assert not calibrate_threshold(scores[1:], target_overkill=1 / parts).kept


def test_mean_overkill_over_many_draws_is_within_the_target_and_near_the_promise():
    generator = np.random.default_rng(0)
    draws = generator.gamma(1.0, size=(4000, 60))
    thresholds = [calibrate_threshold(draw, target_overkill=0.1) for draw in draws]
    overkill = np.exp([-threshold.value for threshold in thresholds]).mean()  # share of the gamma above: exp(-value)
    assert overkill <= 0.1
    assert overkill == pytest.approx(thresholds[0].promised_overkill, rel=0.02)  # k = 55: 1 - 55 / 61


@given(st.lists(st.floats(0, 1, width=16), min_size=1, max_size=300), st.floats(0.001, 0.999))
def test_a_threshold_is_a_score_and_flags_no_more_calibration_images_than_asked(scores, target):
    threshold = calibrate_threshold(scores, target_overkill=target)
    assert threshold.value in scores
    assert np.mean(np.array(scores) > threshold.value) <= target
    assert threshold.kept == (len(scores) >= threshold.needed)


def test_the_promise_names_target_threshold_and_images():
    threshold = calibrate_threshold(np.full(210, 0.0213), target_overkill=0.01)
    assert threshold.promise == (
        "At most 1 % of good parts are expected above 0.0213 (210 calibration images; 1 % overkill needs at least 99)."
    )


def test_a_weaker_promise_says_how_much_weaker():
    threshold = calibrate_threshold(np.arange(10), target_overkill=0.01)
    assert threshold.promise == (
        "10 calibration images promise at most 9.1 % overkill; 1 % overkill needs at least 99. "
        "The threshold is the highest calibration score."
    )
    assert calibrate_threshold([1.0], target_overkill=0.01).promise.startswith("1 calibration image promises at most")


@pytest.mark.parametrize(
    ("rate", "text"), [(0.01, "1 %"), (0.07, "7 %"), (1 / 11, "9.1 %"), (1 / 7, "14.3 %"), (1 / 3, "33.4 %")]
)
def test_percentages_are_rounded_up(rate, text):
    assert percent(rate) == text


def test_a_threshold_survives_json():
    threshold = calibrate_threshold(np.linspace(0, 1, 30, dtype=np.float32), target_overkill=np.float64(0.05))
    assert Threshold.from_dict(json.loads(json.dumps(threshold.to_dict()))) == threshold


def test_no_scores_are_refused():
    with pytest.raises(FlawlineError, match="at least one score of a normal calibration image, got none"):
        calibrate_threshold([], target_overkill=0.01)


def test_scores_that_are_not_finite_are_counted():
    with pytest.raises(FlawlineError, match="scores must be finite, got 2 of 4 that are not"):
        calibrate_threshold([0.1, np.nan, np.inf, 0.2], target_overkill=0.01)


@pytest.mark.parametrize("target", [0, 1, -0.1, 1.5, np.nan])
def test_a_target_that_is_no_rate_is_refused(target):
    with pytest.raises(FlawlineError, match="target_overkill must be larger than 0 and smaller than 1, got"):
        calibrate_threshold([0.1], target_overkill=target)
