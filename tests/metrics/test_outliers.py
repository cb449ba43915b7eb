import numpy as np
import pytest

from flawline.checks import FlawlineError
from flawline.metrics.outliers import OutlierThreshold, far_out, outlier_threshold


def test_threshold_is_the_quantile_of_normal_scores_and_counts_pseudo_defects_above():
    found = outlier_threshold(range(101), [50, 99, 100, 200], quantile=0.99)
    assert found.value == 99
    assert found.pseudo_detection == 0.5  # 100 and 200
    assert found.pseudo_auroc == pytest.approx(np.mean([50.5, 99.5, 100.5, 101]) / 101)
    assert (found.samples, found.pseudo_defects) == (101, 4)


def test_it_comes_back_from_json_and_promises_nothing():
    found = outlier_threshold([1.0, 2.0], [3.0], quantile=0.999)
    assert OutlierThreshold.from_dict(found.to_dict()) == found
    assert "99.9 % of the scores of 2 calibration images end at 2" in found.promise
    assert found.promise.endswith("It promises nothing.")
    rate = {"pseudo_detection_rate": 1.0, "pseudo_detection_rate_low": 0.025, "pseudo_detection_rate_high": 1.0}
    assert found.metrics() == pytest.approx({"pseudo_auroc": 1.0} | rate)  # of one trial the lower end is its tail


@pytest.mark.parametrize(("normal", "pseudo"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_without_scores_there_is_none(normal, pseudo):
    with pytest.raises(FlawlineError, match="scores must"):
        outlier_threshold(normal, pseudo, quantile=0.9)


# --- what stands out -------------------------------------------------------------------------------------------------
def test_scores_far_above_the_others_stand_out_and_those_of_a_tail_do_not():
    scores = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 5.0]
    assert far_out(scores).tolist() == [False] * 8 + [True]
    assert not far_out(scores[:8]).any()
    assert not far_out([1, 1, 1, 9]).any()  # too few to know what is usual
    assert not far_out([-50.0, *scores[:8]]).any()  # far below is not anomalous
    rng = np.random.default_rng(0)
    assert np.mean([far_out(rng.normal(size=60)).any() for _ in range(200)]) < 0.02
