import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawline.checks import FlawlineError
from flawline.metrics.conformal import BASES, Threshold, calibrate_threshold, p_value, percent


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


@pytest.mark.parametrize("target", [0.05, 0.1])
def test_over_random_splits_of_the_same_scores_mean_overkill_is_the_target_and_no_more(target):
    """59 calibrate, so that both targets are promised exactly; `bench_calibration.py` does so with photographs."""
    generator = np.random.default_rng(1)
    scores, overkill = generator.gamma(2.0, size=120), []
    for _ in range(1000):
        mixed = generator.permutation(scores)
        threshold = calibrate_threshold(mixed[:59], target_overkill=target)
        overkill.append((mixed[59:] > threshold.value).mean())
    assert threshold.promised_overkill == pytest.approx(target)
    assert abs(np.mean(overkill) - target) <= 3 * np.std(overkill) / np.sqrt(1000)


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
        "10 calibration images cannot promise 1 % overkill, which needs at least 99: they promise at most 9.1 %. The "
        "threshold is the highest calibration score."
    )
    one = calibrate_threshold([1.0], target_overkill=0.001).promise
    assert one.startswith(
        "1 calibration image cannot promise 0.1 % overkill, which needs at least 999: it promises at most 50 %."
    )


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


def test_a_threshold_that_the_same_images_chose_is_told_by_experience():
    chosen = replace(calibrate_threshold(range(1, 100), target_overkill=0.03), chosen=True)
    assert chosen.promise == (
        "About 3 % of good parts are expected above 97 (99 calibration images), by experience and not by proof, since "
        "the same images chose it."
    )
    assert Threshold.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


# --- p-values ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("score", "p"), [(5, 0.1), (4, 0.2), (0.5, 0.7), (0, 1), (4.5, 0.1)])
def test_a_p_value_counts_the_calibration_scores_that_are_as_high_and_the_new_one(score, p):
    assert p_value(score, [4, 0, 1, 0, 3, 1, 0.5, 2, 0.2]) == pytest.approx(p)  # of 9: (1 + as high) / 10


@given(st.lists(st.floats(0, 1, width=16), min_size=1, max_size=99), st.floats(0, 1), st.floats(0.001, 0.999))
def test_a_score_is_above_the_threshold_just_where_its_p_value_is_at_most_the_promise(scores, score, target):
    threshold = calibrate_threshold(scores, target_overkill=target)
    assert (score > threshold.value) == (p_value(score, scores) <= threshold.promised_overkill)


def test_p_values_of_good_parts_are_no_smaller_than_chance_makes_them():
    generator = np.random.default_rng(0)
    found = np.array([p_value(new, rest) for new, *rest in generator.normal(size=(4000, 20))])
    shares = [(found <= k / 20).mean() for k in range(1, 21)]
    np.testing.assert_allclose(shares, np.arange(1, 21) / 20, atol=0.025)  # three standard errors


def test_a_p_value_needs_calibration_scores():
    with pytest.raises(FlawlineError, match="at least one score of a normal calibration image, got none"):
        p_value(0.1, [])


# --- what the promise rests on ---------------------------------------------------------------------------------------
def test_a_promise_says_that_it_rests_on_models_that_did_not_learn_the_image_and_whether_it_is_proven():
    said = {basis: calibrate_threshold(range(99), target_overkill=0.01, basis=basis).promise for basis in BASES}
    assert (
        said["split"] == "At most 1 % of good parts are expected above 98 (99 calibration images; 1 % overkill needs "
        "at least 99)."
    )
    told = (
        "At most 1 % of good parts are expected above 98 (99 calibration images, each scored by a model that did not "
        "learn it; 1 % overkill needs at least 99)"
    )
    assert said["monotone"] == told + "."
    assert said["cross"] == told + ", by experience and not by proof."
    few = calibrate_threshold(range(9), target_overkill=0.01, basis="cross").promise
    told = "9 calibration images, each scored by a model that did not learn it, cannot promise 1 % overkill, which"
    wanted = f"{told} needs at least 99: they promise at most 10 %, by experience and not by proof."
    assert few.startswith(wanted)


@pytest.mark.parametrize("folds", [2, 5, 20])
def test_nearest_neighbours_keep_their_promise_though_every_image_is_learned_from_and_calibrates(folds):
    generator = np.random.default_rng(folds)
    overkill = []
    for _ in range(2000):
        good, new = generator.normal(size=20), generator.normal(size=50)
        distances = abs(good[:, None] - good)
        same = (np.arange(20) % folds)[:, None] == np.arange(20) % folds
        scores = np.where(same, np.inf, distances).min(axis=1)
        threshold = calibrate_threshold(scores, target_overkill=0.1, basis="monotone")
        overkill.append((abs(new[:, None] - good).min(axis=1) > threshold.value).mean())
    assert threshold.promised_overkill == pytest.approx(2 / 21)
    assert np.mean(overkill) <= threshold.promised_overkill + 3 * np.std(overkill) / np.sqrt(2000)
    assert np.mean(overkill) > (0.5 if folds > 2 else 0.1) * threshold.promised_overkill  # and do not waste it
