"""The limits on scores, and on maps, by which a detector judges."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flawline.metrics.conformal import Threshold, calibrate_threshold
from flawline.metrics.decisions import CostChoice, Costs, choose_by_cost
from flawline.metrics.outliers import OutlierThreshold
from flawline.params import CostParams

LIMITS = ("reject", "review", "pixel")
KINDS: dict[str, Any] = dict.fromkeys(LIMITS, Threshold) | {"outlier": OutlierThreshold, "by_cost": CostChoice}


@dataclass(frozen=True)
class Thresholds:
    """Image scores above ``review`` are for a person to look at, those above ``reject`` are rejected.

    ``pixel`` is the limit on the map's values of a method whose image score is not the map's largest value: it only
    tells where to look. None: the limits on scores are those on the map, or there is no map. ``outlier`` is the
    pseudo-supervised threshold, by which nothing is judged: None where no pseudo-defects were scored. ``by_cost`` is
    what is expected of thresholds that were chosen by costs; None: they were not."""

    reject: Threshold
    review: Threshold
    pixel: Threshold | None = None
    outlier: OutlierThreshold | None = None
    by_cost: CostChoice | None = None

    @property
    def on_map(self) -> Threshold:
        """The limit from which a pixel counts as defective."""
        return self.pixel or self.reject

    def is_one(self, score: float | None) -> bool:
        """Whether a score is itself a threshold on scores: the least difference then makes another verdict."""
        return score in (self.review.value, self.reject.value)

    def to_dict(self) -> dict[str, Any]:
        levels = {name: getattr(self, name) for name in KINDS}
        return {name: level.to_dict() for name, level in levels.items() if level is not None}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Thresholds":
        made: dict[str, Any] = {name: KINDS[name].from_dict(level) for name, level in tree.items()}
        return cls(**made)


def calibrate(
    scores: Sequence[float], *, target_overkill: float, review_overkill: float, map_maxima: Sequence[float] = (),
    basis: str = "split", map_basis: str | None = None,
) -> Thresholds:  # fmt: skip
    """Return the thresholds from the image scores of normal calibration images, and from the maxima
    ``map_maxima`` of their maps where these are something else. ``basis`` is what their promises rest on, ``map_basis``
    that of the maxima where it is another."""
    review = max(review_overkill, target_overkill)
    return Thresholds(
        calibrate_threshold(scores, target_overkill=target_overkill, basis=basis),
        calibrate_threshold(scores, target_overkill=review, basis=basis),
        calibrate_threshold(map_maxima, target_overkill=target_overkill, basis=map_basis or basis)
        if len(map_maxima)
        else None,
    )


def calibrate_by_cost(
    scores: Sequence[float], pseudo: Sequence[float], costs: Costs, *, map_maxima: Sequence[float] = (),
    basis: str = "split", map_basis: str | None = None,
) -> Thresholds:  # fmt: skip
    """Return the thresholds that cost least, from the image scores of normal calibration images and of pseudo-defects;
    the rest is as `calibrate` has it. What is promised of each is what its place among the scores promises."""
    choice = choose_by_cost(scores, pseudo, costs)
    levels = calibrate(
        scores, target_overkill=choice.shares.overkill, review_overkill=choice.flagged, map_maxima=map_maxima,
        basis=basis, map_basis=map_basis,
    )  # fmt: skip
    limits = {name: getattr(levels, name) for name in LIMITS}
    chosen = {name: replace(limit, chosen=True) for name, limit in limits.items() if limit is not None}
    return replace(levels, **chosen, by_cost=choice)


def costs_of(params: CostParams | None) -> Costs | None:
    """Return the costs that are given as parameters, if they are."""
    return Costs(**params.model_dump()) if params is not None and params.given else None
