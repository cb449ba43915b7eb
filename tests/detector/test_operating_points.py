import numpy as np
import pandas as pd
import pytest
from base_params import BASE

from flawline.detector.evaluating import calibrated_on
from flawline.detector.operating_points import operating_points
from flawline.metrics.intervals import exact_interval

COSTS = {"escape": 100, "overkill": 5, "review": 1, "defect_rate": 0.1}
PSEUDO = [8.5, 12.0, 15.0]


def table(good=(2.0, 6.0, 9.5), defective=(5.0, 7.5, 20.0)):
    """Nine calibration images that score 1 to 9, and test images."""
    rows = [("calibration", 0, float(k)) for k in range(1, 10)]
    rows += [("test", 0, score) for score in good] + [("test", 1, score) for score in defective]
    return pd.DataFrame(rows, columns=["split", "label", "score"])


def points_of(scores, **evaluation):
    params = BASE.evaluation.but(target_overkill=0.2, review_overkill=0.4, **evaluation)
    levels = calibrated_on(scores, params, pseudo=PSEUDO)
    return levels, operating_points(scores, PSEUDO, levels, params)


def test_the_ladder_doubles_what_is_promised_around_the_thresholds_as_they_are():
    levels, points = points_of(table())
    assert points["operating_point"].tolist() == ["tighter", "chosen", "looser"]
    assert points["reject_threshold"].tolist() == [6.0, 8.0, 9.0]  # 4, 2 and 1 of 10
    assert points["review_threshold"].tolist() == [6.0, 6.0, 6.0]  # 4 of 10
    np.testing.assert_allclose(points["promised_overkill"], [0.4, 0.2, 0.1])
    np.testing.assert_allclose(points["promised_flagged"], 0.4)
    np.testing.assert_allclose(points["expected_escape_rate"], 0.25)  # 1 of 4: none of the three pseudo-defects passes
    assert (levels.reject.value, levels.review.value) == (8.0, 6.0)


def test_what_came_of_each_is_counted_on_the_test_images_with_exact_intervals():
    _, points = points_of(table())
    row = points.set_index("operating_point").loc["chosen"]
    assert row[["good", "overkill", "reviewed_good"]].tolist() == [3, 1, 0]  # 9.5 is rejected; 6 is not above 6
    assert row[["defective", "escapes", "reviewed_defective"]].tolist() == [3, 1, 1]  # 5 passes, 7.5 is reviewed
    assert row[["overkill_rate_low", "overkill_rate_high"]].tolist() == pytest.approx(list(exact_interval(1, 3)))
    assert row["escape_rate"] == pytest.approx(1 / 3)
    assert "tested_cost" not in points


def test_costs_add_what_a_part_costs_the_oracle_and_all_parts_alike():
    levels, points = points_of(table(), costs=COSTS)
    by_name = points.set_index("operating_point")
    chosen, oracle = by_name.loc["chosen"], by_name.loc["oracle"]
    assert chosen["expected_cost"] == pytest.approx(levels.by_cost.cost)
    assert chosen["expected_cost"] == points.loc[points["review_threshold"].notna(), "expected_cost"].min()
    by_hand = 0.9 * chosen["overkill_rate"] * 5 + 0.1 * chosen["escape_rate"] * 100
    by_hand += 0.9 * chosen["reviewed_good"] / 3 + 0.1 * chosen["reviewed_defective"] / 3
    assert chosen["tested_cost"] == pytest.approx(by_hand)
    assert oracle["tested_cost"] <= by_name["tested_cost"].min()
    assert np.isnan(oracle["expected_cost"])
    alike = by_name.loc[["all pass", "all rejected", "all reviewed"], "expected_cost"]
    assert alike.tolist() == pytest.approx([10, 4.5, 1])


def test_without_defective_test_images_escapes_and_the_oracle_are_missing():
    _, points = points_of(table(defective=()), costs=COSTS)
    assert "escape_rate" not in points
    assert "oracle" not in points["operating_point"].tolist()
    assert points["overkill_rate"].notna().any()


def test_test_images_choose_nothing():
    one, other = (points_of(table(good=good), costs=COSTS)[0] for good in ((2.0, 6.0, 9.5), (100.0, 200.0)))
    assert one == other
