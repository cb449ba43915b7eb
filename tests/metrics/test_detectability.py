"""Probability of detection: fits against other libraries, sizes by hand, and that a90/95 keeps what it says."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from flawline.metrics.detectability import (
    NoCurveError,
    PODCurve,
    PODSurface,
    counted_by_size,
    equivalent_diameter,
    fit_pod,
    is_separated,
    measure_detectability,
    pod_metrics,
    rates_by_size,
)

TRUE = (-2.0, 3.0, 2.0)  # of 1, ln a, ln c


def tried(count=120, *, seed=0, contrasts=(0.05, 0.1, 0.2), true=TRUE, low=2.0, high=64.0):
    """Sizes, contrasts and hits of defects whose POD is known."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(low), np.log(high), count))
    aimed = np.resize(contrasts, count)
    hits = rng.random(count) < expit(true[0] + true[1] * np.log(sizes) + true[2] * np.log(aimed))
    return sizes, aimed, hits


def rows_of(sizes, contrasts, hits, kind="stain", **more):
    made = pd.DataFrame({"kind": kind, "aimed": contrasts, "size": sizes, "contrast": contrasts, "hit": hits})
    made["image"] = [f"{k % 7}.png" for k in range(len(made))]
    return made.assign(score=0.0, verdict="", learned=False, rejected=False).assign(**more)


# --- the fit ---------------------------------------------------------------------------------------------------------
def test_fit_is_that_of_scikit_learn_without_a_penalty():
    sizes, contrasts, hits = tried()
    fitted = fit_pod(sizes, contrasts, hits)
    logs = np.log(np.stack([sizes, contrasts], axis=1))
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logs, hits)
    np.testing.assert_allclose(fitted.coefficients, [*other.intercept_, *other.coef_[0]], rtol=1e-4)


def test_covariance_is_the_inverse_of_the_information():
    sizes, contrasts, hits = tried()
    fitted = fit_pod(sizes, contrasts, hits)
    rows = np.stack([np.ones(len(hits)), np.log(sizes), np.log(contrasts)], axis=1)
    pod = expit(rows @ fitted.coefficients)
    np.testing.assert_allclose(fitted.covariance, np.linalg.inv(rows.T * (pod * (1 - pod)) @ rows), rtol=1e-5)


def test_two_sizes_give_the_line_through_their_shares():
    """At 1: 1 of 4 found, logit -ln 3; at e: 3 of 4, logit ln 3. So b0 = -ln 3, b1 = 2 ln 3."""
    sizes = np.repeat([1.0, math.e], 4)
    fitted = fit_pod(sizes, np.full(8, 0.2), [0, 0, 0, 1, 1, 1, 1, 0])
    np.testing.assert_allclose(fitted.coefficients, [-math.log(3), 2 * math.log(3)], rtol=1e-6)
    curve = fitted.at(0.2)
    assert curve.size_at(0.5) == pytest.approx(math.exp(0.5))
    assert curve.size_at(0.9) == pytest.approx(math.exp(1.5))  # (ln 9 + ln 3) / (2 ln 3)


def test_bounds_are_those_of_statsmodels():
    sizes, contrasts, hits = tried()
    rows = np.stack([np.ones(len(hits)), np.log(sizes), np.log(contrasts)], axis=1)
    result = GLM(hits.astype(float), rows, family=Binomial()).fit()
    where = np.geomspace(3, 60, 9)
    wanted = result.get_prediction(np.stack([np.ones(9), np.log(where), np.full(9, np.log(0.1))], axis=1))
    low, high = wanted.conf_int(alpha=0.1).T  # two-sided 90 %: one-sided 95 % each way
    ours = fit_pod(sizes, contrasts, hits).at(0.1)
    np.testing.assert_allclose(ours.bounds(where), [low, high], rtol=1e-5)
    np.testing.assert_allclose(ours.pod(where), wanted.predicted, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_a90_95_is_where_the_lower_bound_reaches_nine_in_ten(seed):
    curve = fit_pod(*tried(seed=seed)).at(0.1)
    wanted = brentq(lambda u: curve.bounds([math.exp(u)])[0][0] - 0.9, math.log(curve.size_at(0.9)), 20)
    assert curve.sure_size_at(0.9) == pytest.approx(math.exp(wanted))
    assert curve.sure_size_at(0.9) > curve.size_at(0.9) > curve.size_at(0.5)


def test_a90_95_by_hand_where_only_the_intercept_is_unsure():
    """logit POD = 2 ln a, its intercept off by 1: 2 ln a - z = logit 0.9."""
    curve = PODCurve(0.0, 2.0, np.diag([1.0, 0.0]))
    assert curve.sure_size_at(0.9) == pytest.approx(math.exp((math.log(9) + 1.6448536) / 2))


def test_a_slope_that_may_be_zero_is_sure_of_no_size():
    assert PODCurve(0.0, 1.0, np.diag([0.0, 1.0])).sure_size_at(0.9) == math.inf


def test_sizes_in_another_unit_give_the_same_curve():
    sizes, contrasts, hits = tried()
    pixels, mm = (fit_pod(scale * sizes, contrasts, hits).at(0.1) for scale in (1, 0.05))
    assert mm.sure_size_at(0.9) == pytest.approx(0.05 * pixels.sure_size_at(0.9))


def test_a_fainter_defect_must_be_larger_by_the_ratio_of_the_slopes():
    surface = PODSurface(np.array(TRUE), np.zeros((3, 3)))
    assert surface.at(0.1).size_at(0.9) / surface.at(0.2).size_at(0.9) == pytest.approx(2 ** (2 / 3))


def test_a90_95_covers_the_true_a90_as_often_as_it_says():
    """One-sided 95 %: of 250 draws of 60 defects, a90/95 lies below the true a90 in about 12."""
    true = PODSurface(np.array(TRUE), np.zeros((3, 3))).at(0.1).size_at(0.9)
    covered = []
    for seed in range(250):
        try:
            covered.append(fit_pod(*tried(60, seed=seed)).at(0.1).sure_size_at(0.9) >= true)
        except NoCurveError:
            continue
    assert len(covered) > 240
    assert 0.92 < np.mean(covered) < 0.99


# --- no curve --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("hits", "said"),
    [
        (np.ones(29), r"all 29 were found: at least 90% are, with 95 % confidence"),  # the 29 of 29 of NDT
        (np.zeros(10), r"none of 10 was found: at most 26% are"),  # 1 - 0.05 ** (1 / 10)
    ],
)
def test_all_or_none_is_a_sentence_with_what_it_says_of_the_pod(hits, said):
    with pytest.raises(NoCurveError, match=said):
        fit_pod(np.geomspace(2, 64, len(hits)), np.full(len(hits), 0.1), hits)


def test_hits_and_misses_without_overlap_have_no_curve():
    sizes = np.geomspace(2, 64, 20)
    with pytest.raises(NoCurveError, match="without a single mistake"):
        fit_pod(sizes, np.full(20, 0.1), sizes > 9)
    contrasts = np.resize([0.05, 0.2], 20)
    with pytest.raises(NoCurveError, match="without a single mistake"):
        fit_pod(sizes, contrasts, sizes * contrasts > 1.5)
    assert not is_separated(np.stack([np.ones(4), [1, 2, 3, 4]], axis=1), np.array([False, True, False, True]))
    touching = np.stack([np.ones(4), [1, 2, 2, 3]], axis=1)
    assert is_separated(touching, np.array([False, False, True, True]))  # quasi-complete


def test_pod_that_falls_with_the_size_is_told():
    sizes, contrasts, hits = tried(true=(2.0, -1.0, 0.0))
    with pytest.raises(NoCurveError, match="larger defects are not found more often"):
        fit_pod(sizes, contrasts, hits)


# --- tables ----------------------------------------------------------------------------------------------------------
def test_table_has_a_row_a_contrast_and_leaves_out_what_was_not_tried():
    found = rows_of(*tried())
    table, curves = measure_detectability(found)
    assert table["contrast"].tolist() == pytest.approx([0.05, 0.1, 0.2])
    assert table["defects"].tolist() == [40, 40, 40]
    assert table["hits"].sum() == found["hit"].sum()
    assert table["images"].tolist() == [7, 7, 7]
    wanted = fit_pod(found["size"], found["contrast"], found["hit"]).at(0.1).sure_size_at(0.9)
    assert table["a90_95"].iloc[1] == pytest.approx(wanted)
    assert curves.groupby("contrast")["size"].agg(["min", "max"]).to_numpy() == pytest.approx(
        table[["smallest", "largest"]].to_numpy()
    )
    assert (curves["low"] <= curves["pod"]).all()
    small = measure_detectability(found[found["size"] < 12]).table
    assert small["a90_95"].iloc[0] == math.inf  # lies beyond the largest that was tried


def test_what_is_always_found_is_told_of_the_contrast_alone():
    sizes, contrasts, _ = tried()
    found = rows_of(sizes, contrasts, np.ones(120, bool))
    table, curves = measure_detectability(found)
    assert (curves["pod"] == 1).all()
    assert curves["low"].to_numpy() == pytest.approx(0.05 ** (1 / 40))
    assert table["note"].tolist() == ["all 40 were found: at least 93% are, with 95 % confidence"] * 3
    assert table[["a50", "a90", "a90_95"]].isna().all(axis=None)
    assert pod_metrics(table) == {}
    assert rates_by_size([5.0], [True], curves)["predicted_low"].tolist() == [1.0]
    none = measure_detectability(found.assign(hit=False)).curves
    assert rates_by_size([5.0], [True], none)["predicted_high"].tolist() == [0.0]


def test_images_rejected_anyway_do_not_count_and_learned_ones_are_told():
    sizes, contrasts, hits = tried()
    extra = rows_of([2.0] * 9, [0.05] * 9, [True] * 9, rejected=True)
    plain, more = (
        measure_detectability(rows_of(sizes, contrasts, hits)),
        measure_detectability(pd.concat([rows_of(sizes, contrasts, hits, learned=True), extra])),
    )
    pd.testing.assert_frame_equal(plain.table.drop(columns="note"), more.table.drop(columns="note"))
    assert more.table["note"].str.contains("learned from these images, so the figures are optimistic").all()
    assert more.table["note"].str.contains("9 defects of the kind in images that are rejected anyway").all()
    assert counted_by_size(pd.concat([rows_of(sizes, contrasts, hits), extra]))["defects"].sum() == 120


def test_without_a_curve_nothing_is_predicted():
    sizes = np.geomspace(2, 64, 20)
    table, curves = measure_detectability(rows_of(sizes, np.full(20, 0.1), sizes > 9))
    assert curves.empty
    assert "without a single mistake" in table["note"].iloc[0]
    assert rates_by_size([5.0], [True], curves)[["predicted_low", "predicted_high"]].isna().all(axis=None)


def test_a_curve_too_steep_to_be_sure_of_says_so():
    sizes = np.geomspace(2, 64, 30)
    hits = sizes > 11
    first = int(hits.argmax())
    hits[[first, first - 1]] = False, True
    (row,) = measure_detectability(rows_of(sizes, np.full(30, 0.1), hits)).table.to_dict("records")
    assert 11 < row["a90"] < 14
    assert row["a90_95"] == math.inf
    assert "too few defects lie where hits and misses meet" in row["note"]


def test_nothing_tried_is_an_empty_table():
    table, curves = measure_detectability(rows_of([], [], []))
    assert table.empty
    assert curves.empty
    assert list(table)[:3] == ["kind", "contrast", "defects"]


def test_metrics_are_named_by_kind_and_contrast():
    table, _ = measure_detectability(rows_of(*tried(), kind="line"))
    assert pod_metrics(table)["a90_95.line.0.1"] == table["a90_95"].iloc[1]


def test_hits_are_counted_in_groups_of_about_as_many():
    counted = counted_by_size(rows_of([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10], [0.2] * 10, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]))
    assert counted["share"].tolist() == [0, 0.5, 1, 1, 1]
    assert counted["size"].iloc[0] == pytest.approx(math.sqrt(2))


def test_real_defects_are_counted_by_doubling_sizes_beside_what_was_predicted():
    curves = pd.DataFrame({"kind": "stain", "contrast": [0.1, 0.1, 0.2, 0.2], "size": [4.0, 16.0, 4.0, 16.0],
                           "pod": [0.2, 0.6, 0.5, 1.0]})  # fmt: skip
    rates = rates_by_size([8.0, 8.0, 9.0, 40.0], [True, False, True, True], curves)
    assert rates[["smallest", "largest", "defects", "hits"]].to_numpy().tolist() == [[8, 16, 3, 2], [32, 64, 1, 1]]
    middle = (2 * 0.5 + math.log(9 / 4) / math.log(4)) / 3  # of the way from 4 to 16
    assert rates["predicted_low"].tolist() == pytest.approx([0.2 + 0.4 * middle, 0.6])
    assert rates["predicted_high"].tolist() == pytest.approx([0.5 + 0.5 * middle, 1.0])
    assert rates["low"].iloc[1] == pytest.approx(0.025)  # 1 of 1, exact


def test_a_disk_has_its_own_diameter():
    assert equivalent_diameter(math.pi * 25) == pytest.approx(10)
