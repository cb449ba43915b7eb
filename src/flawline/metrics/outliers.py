"""The pseudo-supervised threshold: where normal scores end, and what pseudo-defects say of drawing the line there.

Alpdemir 2022, section 3.3: the 99.9 % quantile of the scores of normal samples, taken once pseudo-defects are told from
them. It promises nothing: of few scores, it is little less than the highest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawline.metrics.conformal import finite_scores
from flawline.metrics.images import ranking
from flawline.metrics.intervals import rate_with_interval

FENCE = 3.0  # interquartile ranges above the upper quartile: "far out" in Tukey 1977, Exploratory Data Analysis
LEAST = 8  # scores, of which the quartiles can be told


def far_out(scores: Sequence[float]) -> NDArray[np.bool_]:
    """Return which of ``scores`` (n,) lie far above the others: more than FENCE interquartile ranges above the upper
    quartile; none of fewer than LEAST. Raise FlawlineError if there are none, or some are not finite."""
    values = finite_scores(scores)
    low, high = np.quantile(values, [0.25, 0.75])
    return (values > high + FENCE * (high - low)) & (len(values) >= LEAST)


@dataclass(frozen=True)
class OutlierThreshold:
    """The ``quantile`` of ``samples`` normal scores, and how ``pseudo_defects`` pseudo-defects score: the area under
    the ROC curve against the normal ones, and the share above the threshold."""

    value: float
    quantile: float
    samples: int
    pseudo_auroc: float
    pseudo_detection: float
    pseudo_defects: int

    @property
    def kept(self) -> bool:
        """Whether it keeps what it promises, which is nothing."""
        return True

    @property
    def promise(self) -> str:
        """What it says in a sentence a user can read."""
        return (
            f"{100 * self.quantile:g} % of the scores of {self.samples} calibration images end at {self.value:.3g}; "
            f"{100 * self.pseudo_detection:.0f} % of {self.pseudo_defects} pseudo-defects lie above (AUROC "
            f"{self.pseudo_auroc:.3f}). It promises nothing."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "OutlierThreshold":
        """Return the threshold that ``to_dict`` wrote."""
        return cls(**tree)

    def metrics(self) -> dict[str, float]:
        """Return what is told beside the metrics of test images; no label takes part."""
        found = round(self.pseudo_detection * self.pseudo_defects)
        rate = rate_with_interval("pseudo_detection_rate", found, self.pseudo_defects)
        return {"pseudo_auroc": self.pseudo_auroc} | rate


def outlier_threshold(normal: Sequence[float], pseudo: Sequence[float], *, quantile: float) -> OutlierThreshold:
    """Return the threshold from the scores of held-out normal images, and of pseudo-defective ones.

    Raise FlawlineError if there are no normal or no pseudo-defective scores, or some are not finite."""
    normals, defects = finite_scores(normal), finite_scores(pseudo)
    value = float(np.quantile(normals, quantile))
    labels = np.repeat([False, True], [len(normals), len(defects)])
    auroc = ranking(np.concatenate([normals, defects]), labels)["image_auroc"]
    return OutlierThreshold(value, quantile, len(normals), auroc, float((defects > value).mean()), len(defects))
