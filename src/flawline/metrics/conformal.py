"""Thresholds on image scores, each with a promise: at most this share of good parts is expected above it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Context
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError

# What a promise rests on. split: the calibration images were not learned from. cross: each was scored by a model of the
# other folds, and new images are scored by one of all; monotone: so too, and no score rises when one more image is
# learned from, so that the promise is proven.
BASES = ("split", "cross", "monotone")


@dataclass(frozen=True)
class Threshold:
    """An image is flagged if its score is larger than ``value``. Overkill rates are shares of good parts, in [0, 1]."""

    value: float
    target_overkill: float  # what was asked for
    promised_overkill: float  # what the calibration images can promise
    samples: int  # calibration images
    needed: int  # calibration images that the target needs
    basis: str = "split"  # what the promise rests on: one of BASES
    chosen: bool = False  # whether what was asked for was chosen by the same images

    @property
    def kept(self) -> bool:
        """Whether the promise is at least as good as the target."""
        return self.promised_overkill <= self.target_overkill * (1 + 1e-12)

    @property
    def promise(self) -> str:
        """The promise in a sentence a user can read."""
        target = f"{percent(self.target_overkill)} overkill"
        images = f"{self.samples} calibration image" + "s" * (self.samples > 1)
        how = "" if self.basis == "split" else ", each scored by a model that did not learn it"
        if self.chosen:
            about = f"About {percent(self.promised_overkill)} of good parts are expected above {self.value:.3g}"
            return f"{about} ({images}{how}), by experience and not by proof, since the same images chose it."
        if self.kept:
            expected = f"At most {percent(self.target_overkill)} of good parts are expected above {self.value:.3g}"
            return f"{expected} ({images}{how}; {target} needs at least {self.needed}){self._proof}."
        refused = f"{images}{how}{',' if how else ''} cannot promise {target}, which needs at least {self.needed}"
        promises = "it promises" if self.samples == 1 else "they promise"
        weaker = f"{promises} at most {percent(self.promised_overkill)}{self._proof}"
        return f"{refused}: {weaker}. The threshold is the highest calibration score."

    @property
    def _proof(self) -> str:
        return ", by experience and not by proof" if self.basis == "cross" else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Threshold":
        """Return the threshold that ``to_dict`` wrote."""
        return cls(**tree)


def calibrate_threshold(
    scores: Sequence[float] | NDArray, *, target_overkill: float, basis: str = "split"
) -> Threshold:
    """Return the threshold that flags at most ``target_overkill`` of good parts, from the scores (n,) of normal images.
    ``basis`` is one of BASES.

    With k = ceil((n + 1)(1 - target)), the k-th smallest score is exceeded by a new normal image with probability at
    most 1 - k / (n + 1), whatever the distribution, if calibration and new images are exchangeable. The probability is
    over the calibration images too: one calibration can do worse. Where k > n the highest score is taken, and its
    promise, 1 / (n + 1), is weaker than the target.

    Raises FlawlineError for no scores, scores that are not finite, or a target outside (0, 1). Source: split conformal
    prediction, Vovk, Gammerman, Shafer 2005 (Algorithmic Learning in a Random World) and Lei et al. 2018, Sec. 2.2,
    doi:10.1080/01621459.2017.1307116."""
    target, ordered = exact(target_overkill), np.sort(finite_scores(scores))
    n = len(ordered)
    k = min(math.ceil((n + 1) * (1 - target)), n)
    return Threshold(
        value=float(ordered[k - 1]),
        target_overkill=float(target_overkill),
        promised_overkill=(n + 1 - k) / (n + 1),
        samples=n,
        needed=math.ceil(1 / target) - 1,
        basis=basis,
    )


def p_value(score: float, calibration: Sequence[float] | NDArray) -> float:
    """Return the share of good parts of which a score of at least ``score`` is to be expected, in (0, 1]: one more than
    the ``calibration`` scores (n,) that are as high, of n + 1.

    If calibration and new images are exchangeable, it is at most alpha of a good part with probability at most alpha,
    for every alpha. A score is above the threshold of `calibrate_threshold` just where its p-value is at most what that
    promises. Raises FlawlineError for no scores, or such as are not finite. Source: Vovk, Gammerman, Shafer 2005
    (Algorithmic Learning in a Random World), Sec. 2.2."""
    known = finite_scores(calibration)
    return float(1 + (known >= score).sum()) / (len(known) + 1)


def exact(target_overkill: float) -> Fraction:
    """Return the rate as the fraction that was meant: floats make (99 + 1)(1 - 0.01) or 1 / 0.01 miss the integer."""
    if not 0 < target_overkill < 1:
        raise FlawlineError(f"target_overkill must be larger than 0 and smaller than 1, got {target_overkill}")
    return Fraction(target_overkill).limit_denominator(10**12) or Fraction(target_overkill)


def finite_scores(scores: Sequence[float] | NDArray) -> NDArray[np.float64]:
    """Return ``scores`` as float64 (n,). Raise FlawlineError if there are none, or some are not finite."""
    array = np.asarray(scores, np.float64).ravel()  # (n,)
    if not array.size:
        raise FlawlineError("scores must hold at least one score of a normal calibration image, got none")
    if bad := int((~np.isfinite(array)).sum()):
        raise FlawlineError(f"scores must be finite, got {bad} of {array.size} that are not")
    return array


def percent(rate: float) -> str:
    """Return ``rate`` as a percentage of three digits, rounded up: a promise must not be rounded down."""
    rounded = Context(prec=3, rounding=ROUND_CEILING).create_decimal(str(round(100 * rate, 9)))
    return f"{float(rounded):g} %"
