import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flawline.metrics.conformal import calibrate_threshold
from flawline.metrics.reductions import Reduction, highest, learn_reduction
from flawline.params import ImageScoreParams

MAPS = arrays(
    np.float16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(-100, 100, width=16)
)  # (H, W)


def make(name, share=0.01, level=None):
    return Reduction(ImageScoreParams(reduction=name, share=share), level)


@pytest.fixture
def anomaly():
    """A map of 2 x 5 pixels, read-only."""
    values = np.array([[0, 1, 2, 3, 4], [9, 8, 7, 6, 5]], np.float16)
    values.setflags(write=False)
    return values


@pytest.mark.parametrize(
    ("reduction", "score"),
    [
        (make("maximum"), 9.0),
        (make("top_share", 0.2), 8.5),
        (make("top_share", 0.3), 8.0),
        (make("top_share", 0.34), 8.0),  # 3.4 pixels are 3
        (make("top_share", 1.0), 4.5),
        (make("top_share", 1e-9), 9.0),  # at least one pixel
        (make("region_mass", level=7.0), 3.0),  # (9 - 7) + (8 - 7)
        (make("region_mass", level=6.5), 4.5),
        (make("region_mass", level=9.0), 0.0),
    ],
)
def test_score_by_hand(anomaly, reduction, score):
    assert reduction(anomaly) == score


@given(anomaly=MAPS, share=st.floats(0.001, 1))
def test_top_share_is_the_mean_of_the_last_when_sorted(anomaly, share):
    count = max(1, round(share * anomaly.size))
    wanted = np.sort(anomaly, axis=None)[-count:]
    np.testing.assert_array_equal(np.sort(highest(anomaly, share)), wanted)
    assert make("top_share", share)(anomaly) == pytest.approx(wanted.mean(dtype=np.float64), abs=1e-9)


@given(anomaly=MAPS)
def test_a_share_near_none_is_the_maximum_and_all_is_the_mean(anomaly):
    assert make("top_share", 1e-9)(anomaly) == make("maximum")(anomaly) == anomaly.max()
    assert make("top_share", 1.0)(anomaly) == pytest.approx(anomaly.mean(dtype=np.float64), abs=1e-9)


@given(anomaly=MAPS, shares=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)))
def test_a_larger_share_never_scores_higher(anomaly, shares):
    small, large = sorted(shares)
    assert make("top_share", small)(anomaly) >= make("top_share", large)(anomaly) - 1e-9


@given(anomaly=MAPS, level=st.floats(-50, 50), threshold=st.floats(0.01, 50))
def test_a_score_above_a_threshold_needs_a_pixel_that_counts(anomaly, level, threshold):
    for reduction in (make("maximum"), make("top_share", 0.3), make("region_mass", level=level)):
        if reduction(anomaly) > threshold:
            assert (anomaly > np.float64(reduction.counts_from(threshold))).any()


def test_a_map_is_left_as_it_is_and_any_type_is_taken(anomaly):
    before = anomaly.copy()
    scores = {str(kind): make("top_share", 0.3)(anomaly.astype(kind)) for kind in (np.float16, np.float32, np.float64)}
    np.testing.assert_array_equal(anomaly, before)
    assert set(scores.values()) == {8.0}


def test_a_value_that_is_no_number_does_not_vanish(anomaly):
    broken = np.where(anomaly == 3, np.nan, anomaly)
    assert all(np.isnan(each(broken)) for each in (make("maximum"), make("top_share"), make("region_mass", level=7.0)))


# --- the level -------------------------------------------------------------------------------------------------------
def test_the_level_is_the_median_of_what_a_share_of_each_normal_image_reaches():
    values = np.arange(10, dtype=np.float16).reshape(2, 5)
    params = ImageScoreParams(reduction="region_mass", share=0.2)
    learned = learn_reduction(
        params, iter([values, values + 1, values * 100])
    )  # 8, 9 and 800 are reached by two pixels
    assert learned.level == 9.0
    assert learn_reduction(params, [values, values + 1]).level == 8.5
    assert learned(values * 2) == pytest.approx(9 + 7 + 5 + 3 + 1)  # 18, 16, 14, 12 and 10


def test_others_look_at_no_map_and_the_mass_needs_one():
    untouchable = (pytest.fail("a map was looked at") for _ in [0])
    for name in ("maximum", "top_share"):
        assert learn_reduction(ImageScoreParams(reduction=name, share=0.1), untouchable).level is None
        assert make(name).is_learned
    assert (make("maximum").is_maximum, make("top_share").is_maximum) == (True, False)
    assert not make("region_mass").is_learned
    with pytest.raises(ValueError, match="at least one map to learn the level"):
        learn_reduction(ImageScoreParams(reduction="region_mass", share=0.1), [])
    with pytest.raises(ValueError, match="needs the level that learn_reduction finds"):
        make("region_mass")(np.ones(3))


def test_thresholds_promise_what_they_do_although_the_level_comes_from_the_same_images():
    """Of 19 calibration images the promise is 5 % on average over draws of them."""
    rng = np.random.default_rng(0)
    strengths = np.exp(rng.normal(0, 0.5, (3000, 1)))
    pool = (strengths * rng.gamma(2, 1, (3000, 144))).astype(np.float16)  # normal images, some stronger than others
    params, beyond = ImageScoreParams(reduction="region_mass", share=0.05), []
    for _ in range(200):
        drawn = pool[rng.permutation(len(pool))[:69]]
        learned = learn_reduction(params, drawn[:19])
        threshold = calibrate_threshold([learned(one) for one in drawn[:19]], target_overkill=0.05).value
        beyond.append(np.mean([learned(one) > threshold for one in drawn[19:]]))
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.012)
