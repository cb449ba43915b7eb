"""Pass, review or reject by what mistakes and reviews cost: the thresholds of the least expected cost a part.

No defective part is needed. How good parts score is known from the calibration images; that defective ones score like
pseudo-defects is assumed, and how many parts are defective, a person says."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawline.checks import FlawlineError
from flawline.metrics.conformal import finite_scores
from flawline.metrics.images import checked_pair


@dataclass(frozen=True)
class Costs:
    """What one part costs, in any unit that is the same for all. A part that is looked at is judged rightly then."""

    escape: float  # a defective part that passes
    overkill: float  # a good part that is rejected
    review: float  # a part that a person looks at
    defect_rate: float  # share of the parts that are defective
    review_capacity: float | None = None  # share of the parts that persons can look at; None: all

    @property
    def unseen(self) -> dict[str, float]:
        """What a part costs where all of them get the same verdict; no review of all where persons cannot."""
        found = {"pass": self.defect_rate * self.escape, "reject": (1 - self.defect_rate) * self.overkill}
        return found | ({"review": self.review} if self.review_capacity in (None, 1) else {})


@dataclass(frozen=True)
class Shares:
    """What two thresholds do: shares of the good parts, and of the defective ones."""

    overkill: float  # good ones that are rejected
    reviewed_good: float
    escape: float  # defective ones that pass
    reviewed_defective: float

    def reviewed(self, defect_rate: float) -> float:
        """Return the share of all parts that a person looks at."""
        return float((1 - defect_rate) * self.reviewed_good + defect_rate * self.reviewed_defective)

    def cost(self, costs: Costs) -> float:
        """Return what a part costs on average."""
        mistakes = (1 - costs.defect_rate) * self.overkill * costs.overkill + (
            costs.defect_rate * self.escape * costs.escape
        )
        return float(mistakes + self.reviewed(costs.defect_rate) * costs.review)


@dataclass(frozen=True)
class Levels:
    """Scores at which a threshold can lie, rising, and what lies on either side of each: arrays (n,)."""

    scores: NDArray[np.float64]
    good_above: NDArray[np.float64]  # share of the good parts that score higher
    defective_below: NDArray[np.float64]  # share of the defective parts that do not

    def shares(self, review: int, reject: int) -> Shares:
        """Return what the thresholds at places ``review`` and ``reject`` do."""
        above, below = self.good_above, self.defective_below
        return Shares(
            overkill=float(above[reject]),
            reviewed_good=float(above[review] - above[reject]),
            escape=float(below[review]),
            reviewed_defective=float(below[reject] - below[review]),
        )


def expected_levels(calibration: Sequence[float], pseudo: Sequence[float]) -> Levels:
    """Return the calibration scores as levels: of good parts (n + 1 - k) / (n + 1) are expected above the k-th of n, as
    `conformal.calibrate_threshold` promises; of defective parts, as if they were pseudo-defects that are not above,
    one more of m + 1, since none of m does not mean never.

    Raise FlawlineError if there are no scores of either, or some are not finite."""
    if not len(pseudo):
        raise FlawlineError(
            "costs need the scores of pseudo-defects, and there are none: make the detector again (kedro run --params "
            "category=...), or choose by inspection.target_overkill"
        )
    normal, defects = np.sort(finite_scores(calibration)), np.sort(finite_scores(pseudo))
    values = np.unique(normal)
    above = len(normal) - np.searchsorted(normal, values, side="right")
    below = np.searchsorted(defects, values, side="right")
    return Levels(values, (1 + above) / (len(normal) + 1), (1 + below) / (len(defects) + 1))


def counted_levels(scores: ArrayLike, labels: ArrayLike) -> Levels:
    """Return the scores (N,) of images with ``labels`` (N,), 0 good and 1 defective, as levels, and one below them all:
    what lies on either side is counted. What is chosen among these is an oracle on the same images.

    Raise FlawlineError unless there are images of both."""
    score, defective = checked_pair(scores, labels)
    if defective.all() or not defective.any():
        got = f"got {defective.sum()} defective of {len(score)}"
        raise FlawlineError(f"labels must hold good and defective images, {got}")
    values = np.unique(score)
    values = np.insert(values, 0, np.nextafter(values[0], -np.inf))
    good, bad = np.sort(score[~defective]), np.sort(score[defective])
    above = 1 - np.searchsorted(good, values, side="right") / len(good)
    return Levels(values, above, np.searchsorted(bad, values, side="right") / len(bad))


def cheapest(levels: Levels, costs: Costs) -> tuple[int, int]:
    """Return the places of the review and of the reject threshold that cost least, within the capacity for reviews."""
    pairs = [(cheapest_review(levels, costs, reject), reject) for reject in range(len(levels.scores))]
    return min(pairs, key=lambda pair: levels.shares(*pair).cost(costs))


def cheapest_review(levels: Levels, costs: Costs, reject: int) -> int:
    """Return the place of the review threshold that costs least beside the reject threshold at place ``reject``."""
    rate = costs.defect_rate
    above = (1 - rate) * levels.good_above + rate * (1 - levels.defective_below)  # (n,) share of all parts, falling
    capacity = 1.0 if costs.review_capacity is None else costs.review_capacity
    first = int(np.argmax(above - above[reject] <= capacity + 1e-12))  # of those that leave no more to review
    cost = rate * levels.defective_below * costs.escape + above * costs.review  # (n,) but for what is rejected
    return first + int(np.argmin(cost[first : reject + 1]))


@dataclass(frozen=True)
class CostChoice:
    """Thresholds that were chosen by ``costs``, and what is expected of them: an estimate where it is of defects, since
    these were ``pseudo_defects`` pseudo-defects."""

    costs: Costs
    shares: Shares
    pseudo_defects: int

    @property
    def cost(self) -> float:
        """What a part is expected to cost."""
        return self.shares.cost(self.costs)

    @property
    def flagged(self) -> float:
        """The share of the good parts that are expected to be rejected or looked at."""
        return self.shares.overkill + self.shares.reviewed_good

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "CostChoice":
        """Return the choice that ``to_dict`` wrote."""
        return cls(Costs(**tree["costs"]), Shares(**tree["shares"]), tree["pseudo_defects"])


def choose_by_cost(calibration: Sequence[float], pseudo: Sequence[float], costs: Costs) -> CostChoice:
    """Return the choice of thresholds at calibration scores that costs least, from the scores of good images and of
    pseudo-defects. Raise FlawlineError if there are no scores of either, or some are not finite."""
    levels = expected_levels(calibration, pseudo)
    return CostChoice(costs, levels.shares(*cheapest(levels, costs)), len(pseudo))
