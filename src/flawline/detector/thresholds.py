"""The limits on scores, and on maps, by which a detector judges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flawline.metrics.conformal import Threshold, calibrate_threshold
from flawline.metrics.outliers import OutlierThreshold


@dataclass(frozen=True)
class Thresholds:
    """Image scores above ``review`` are for a person to look at, those above ``reject`` are rejected.

    ``pixel`` is the limit on the map's values of a method whose image score is not the map's largest value: it only
    tells where to look. None: the limits on scores are those on the map, or there is no map. ``outlier`` is the
    pseudo-supervised threshold, by which nothing is judged: None where no pseudo-defects were scored."""

    reject: Threshold
    review: Threshold
    pixel: Threshold | None = None
    outlier: OutlierThreshold | None = None

    @property
    def on_map(self) -> Threshold:
        """The limit from which a pixel counts as defective."""
        return self.pixel or self.reject

    def to_dict(self) -> dict[str, Any]:
        levels = {"reject": self.reject, "review": self.review, "pixel": self.pixel, "outlier": self.outlier}
        return {name: level.to_dict() for name, level in levels.items() if level is not None}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Thresholds":
        outlier = OutlierThreshold.from_dict(tree["outlier"]) if "outlier" in tree else None
        limits = {name: Threshold.from_dict(level) for name, level in tree.items() if name != "outlier"}
        return cls(**limits, outlier=outlier)


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
