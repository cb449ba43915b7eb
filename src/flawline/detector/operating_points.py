"""Operating points: tighter and looser thresholds beside those that a method has, what each promises, and what came of
it on test images. These measure and choose nothing; what is best on them is called an oracle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from flawline.detector.thresholds import Thresholds, calibrate, costs_of
from flawline.metrics.decisions import (
    Costs,
    Levels,
    Shares,
    cheapest,
    cheapest_review,
    counted_levels,
    expected_levels,
)
from flawline.metrics.intervals import rate_with_interval
from flawline.params import EvaluationParams

CHOSEN, TIGHTER, LOOSER, ORACLE = "chosen", "tighter", "looser", "oracle"
UNSEEN = {"pass": "all pass", "review": "all reviewed", "reject": "all rejected"}  # verdict -> operating point


@dataclass(frozen=True)
class OperatingPoint:
    """A pair of thresholds on scores."""

    name: str
    review: float
    reject: float


def operating_points(
    scores: pd.DataFrame, pseudo: Sequence[float], thresholds: Thresholds, evaluation: EvaluationParams
) -> pd.DataFrame:
    """Return a row for each operating point, the tightest first: its thresholds, what these promise of good parts, what
    is expected if defects are like pseudo-defects, and what was counted on the test images, with exact 95 % intervals.

    The ladder promises 1, 2, 4, ... of n + 1 good parts. Costs add what a part costs, the oracle of the test images,
    and what it costs to treat all parts alike."""
    calibration, costs = scores.loc[scores["split"] == "calibration", "score"].tolist(), costs_of(evaluation.costs)
    levels, tests = expected_levels(calibration, pseudo), scores[scores["split"] == "test"]
    chosen = OperatingPoint(CHOSEN, thresholds.review.value, thresholds.reject.value)
    points = [chosen, *_ladder(calibration, levels, evaluation, chosen.reject)]
    rows = [_row(point, levels, tests, costs) for point in sorted(points, key=lambda point: point.reject)]
    if costs is not None:
        rows += [*_oracle(levels, tests, costs), *_unseen(costs)]
    return pd.DataFrame(rows)


def _ladder(
    calibration: Sequence[float], levels: Levels, evaluation: EvaluationParams, chosen: float
) -> list[OperatingPoint]:
    """Return points whose reject thresholds promise twice as much overkill from step to step, up to a half."""
    costs, count, found = costs_of(evaluation.costs), len(calibration) + 1, {}
    for promised in 2 ** np.arange(int(np.log2(count))):
        review = max(evaluation.review_overkill, promised / count)
        limits = calibrate(calibration, target_overkill=promised / count, review_overkill=review)
        reject, review = limits.reject.value, limits.review.value
        if costs is not None:
            review = float(levels.scores[cheapest_review(levels, costs, _place(levels, reject))])
        if reject != chosen:
            found[reject] = OperatingPoint(TIGHTER if reject < chosen else LOOSER, review, reject)
    return list(found.values())


def _row(point: OperatingPoint, levels: Levels, tests: pd.DataFrame, costs: Costs | None) -> dict[str, Any]:
    shares = levels.shares(_place(levels, point.review), _place(levels, point.reject))
    promised = {"promised_overkill": shares.overkill, "promised_flagged": shares.overkill + shares.reviewed_good}
    expected = {"expected_escape_rate": shares.escape}
    if costs is not None:
        expected |= {"expected_review": shares.reviewed(costs.defect_rate), "expected_cost": shares.cost(costs)}
    return _thresholds(point) | promised | expected | _counted(point, tests, costs)


def _thresholds(point: OperatingPoint) -> dict[str, Any]:
    return {"operating_point": point.name, "reject_threshold": point.reject, "review_threshold": point.review}


def _counted(point: OperatingPoint, tests: pd.DataFrame, costs: Costs | None) -> dict[str, float]:
    """Return what came of the thresholds on test images; what could not be counted is missing."""
    of = {name: tests.loc[tests["label"] == label, "score"] for label, name in enumerate(("good", "defective"))}
    rejected, passed = (of["good"] > point.reject).sum(), (of["defective"] <= point.review).sum()
    looked = {name: ((score > point.review) & (score <= point.reject)).sum() for name, score in of.items()}
    good, defective = len(of["good"]), len(of["defective"])
    told = {"good": good, "overkill": rejected} | rate_with_interval("overkill_rate", rejected, good)
    told |= {"reviewed_good": looked["good"], "defective": defective, "escapes": passed}
    told |= rate_with_interval("escape_rate", passed, defective) | {"reviewed_defective": looked["defective"]}
    if costs is None or not good or not defective:
        return told
    shares = Shares(rejected / good, looked["good"] / good, passed / defective, looked["defective"] / defective)
    return told | {"tested_cost": shares.cost(costs)}


def _oracle(levels: Levels, tests: pd.DataFrame, costs: Costs) -> list[dict[str, Any]]:
    """Return the row of the thresholds that cost least on the test images themselves, where there are both kinds."""
    if tests["label"].nunique() < 2:
        return []
    counted = counted_levels(tests["score"], tests["label"])
    review, reject = (float(counted.scores[place]) for place in cheapest(counted, costs))
    point = OperatingPoint(ORACLE, review, reject)
    return [_thresholds(point) | _counted(point, tests, costs)]


def _unseen(costs: Costs) -> list[dict[str, Any]]:
    return [{"operating_point": UNSEEN[verdict], "expected_cost": cost} for verdict, cost in costs.unseen.items()]


def _place(levels: Levels, value: float) -> int:
    """Return the place of the highest level that is not above ``value``."""
    return max(0, int(np.searchsorted(levels.scores, value, side="right")) - 1)
