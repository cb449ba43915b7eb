"""The probability of detection (POD) of defects of known size and contrast, as nondestructive testing tells it.

A defect of size a (the diameter of a disk of its area) and contrast c (the mean absolute change of its pixels, share of
full scale) is found or missed, and

    POD(a, c) = 1 / (1 + exp(-(b0 + b1 ln a + b2 ln c)))

is fitted to that by maximum likelihood. a50 and a90 are the sizes found five and nine times in ten, a90/95 is the size
at which the lower 95 % confidence bound of the POD, one-sided, is 0.9: the size that is found nine times in ten with
95 % confidence.

Source: MIL-HDBK-1823A (2009), Nondestructive evaluation system reliability assessment: hit/miss data, the logit link
on the logarithm of the size. Departs from it in two ways. One surface is fitted to all contrasts of a kind, since that
takes fewer defects than a curve each. And the bounds are Wald's on the logit scale, as statsmodels gives them, where
the handbook's are those of the likelihood ratio. Both were tried on one simulated detector: Wald's a90/95 lay above the
true a90 as often as it says, which tests/metrics/test_detectability.py holds, the likelihood ratio's less often. The
price is that a steep curve, with few defects where hits and misses meet, is sure of no size (Hauck & Donner 1977,
doi:10.1080/01621459.1977.10479969), which the note tells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.special import expit, logit
from scipy.stats import norm

from flawline.checks import FlawlineError
from flawline.metrics.intervals import exact_interval

NINE_IN_TEN, CONFIDENCE = 0.9, 0.95
WANTED = 60  # defects of a kind at the least, which the handbook asks for where they are found or missed
ALIKE = 0.05  # standard deviation of ln c below which contrasts are one
ROUNDING = 1e-7
STEPS = 41  # sizes of a drawn curve
BINS = 5  # sizes in which hits are counted beside a curve

FOUND = ("image", "kind", "aimed", "size", "contrast", "score", "verdict", "hit", "learned", "rejected")
TABLE = ("kind", "contrast", "defects", "hits", "images", "smallest", "largest", "a50", "a90", "a90_95", "note")
CURVES = ("kind", "contrast", "size", "pod", "low", "high")
RATES = ("smallest", "largest", "defects", "hits", "share", "low", "high", "predicted_low", "predicted_high")


class NoCurveError(FlawlineError):
    """Hits and misses do not tell a POD curve; the message is a sentence that says why."""


@dataclass(frozen=True)
class PODCurve:
    """logit POD(a) = ``intercept`` + ``slope`` ln a, with the ``covariance`` (2, 2) of the two."""

    intercept: float
    slope: float
    covariance: NDArray[np.float64]

    def pod(self, sizes: ArrayLike) -> NDArray[np.float64]:
        """Return the probability (n,) with which defects of ``sizes`` (n,) are found."""
        return expit(self.intercept + self.slope * np.log(sizes))

    def bounds(self, sizes: ArrayLike, *, confidence: float = CONFIDENCE) -> tuple[NDArray, NDArray]:
        """Return the lower and the upper bound (n,) of the POD, each one-sided with that confidence."""
        rows = np.stack([np.ones(np.shape(sizes)), np.log(sizes)], axis=-1)  # (n, 2)
        error = np.sqrt(np.einsum("ni,ij,nj->n", rows, self.covariance, rows))
        line, reach = rows @ [self.intercept, self.slope], norm.ppf(confidence) * error
        return expit(line - reach), expit(line + reach)

    def size_at(self, share: float) -> float:
        """Return the size that is found with probability ``share``: a90 of 0.9."""
        return _exp((logit(share) - self.intercept) / self.slope)

    def sure_size_at(self, share: float, *, confidence: float = CONFIDENCE) -> float:
        """Return the size from which the lower bound of the POD is at least ``share``: a90/95 of 0.9 and 0.95. Infinite
        where it reaches that at no size.

        Where the bound equals the share, (t + b1 u)^2 = z^2 (v00 + 2 u v01 + u^2 v11), with u = ln a, t = b0 - logit
        share: of the two roots the larger one is the lower bound's, the other the upper bound's (Fieller 1954)."""
        (v00, v01), (_, v11) = self.covariance
        z2, t = norm.ppf(confidence) ** 2, self.intercept - logit(share)
        square, half, rest = self.slope**2 - z2 * v11, t * self.slope - z2 * v01, t**2 - z2 * v00
        if square <= 0:  # the slope is not surely above zero
            return math.inf
        return _exp((-half + math.sqrt(max(half**2 - square * rest, 0.0))) / square)


@dataclass(frozen=True)
class PODSurface:
    """The POD over size and contrast: ``coefficients`` (2,) or (3,) of 1, ln a and, where contrasts differ, ln c."""

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def at(self, contrast: float) -> PODCurve:
        """Return the curve over the size of defects of one contrast."""
        row = np.array([[1.0, 0.0, math.log(contrast)], [0.0, 1.0, 0.0]])[:, : len(self.coefficients)]  # (2, p)
        intercept, slope = row @ self.coefficients
        return PODCurve(float(intercept), float(slope), row @ self.covariance @ row.T)


def fit_pod(sizes: ArrayLike, contrasts: ArrayLike, hits: ArrayLike) -> PODSurface:
    """Return the POD of defects (n,) that were found or missed, of these sizes and contrasts, both above 0.

    Raise NoCurveError where all or none were found, where size and contrast tell hits from misses without a mistake, so
    that the likelihood has no maximum, where larger ones are found no more often, and where the fit does not end."""
    from statsmodels.genmod.families import Binomial  # a third of a second
    from statsmodels.genmod.generalized_linear_model import GLM

    found = np.asarray(hits, bool)
    logs = [np.log(np.asarray(values, float)) for values in (sizes, contrasts)]
    rows = np.stack([np.ones(len(found)), logs[0], *([logs[1]] if np.std(logs[1]) > ALIKE else [])], axis=1)  # (n, p)
    if found.all() or not found.any():
        raise NoCurveError(all_or_none(int(found.sum()), len(found)))
    if is_separated(rows, found):
        raise NoCurveError(
            "size and contrast tell what is found from what is missed without a single mistake, so no curve can be "
            "fitted: more defects in between are needed"
        )
    result = GLM(found.astype(float), rows, family=Binomial()).fit()
    if not result.converged or not np.isfinite(result.bse).all():
        raise NoCurveError("the fit of the curve did not end")
    if result.params[1] <= 0:
        raise NoCurveError("larger defects are not found more often than smaller ones, so no size is found surely")
    return PODSurface(np.asarray(result.params), np.asarray(result.cov_params()))


def all_or_none(hits: int, defects: int) -> str:
    """Return in words that all or none of so many defects were found, and what that says of the POD (one-sided exact
    bound)."""
    low, high = exact_interval(hits, defects, confidence=2 * CONFIDENCE - 1)
    if hits:
        return f"all {defects} were found: at least {low:.0%} are, with 95 % confidence"
    return f"none of {defects} was found: at most {high:.0%} are, with 95 % confidence"


def is_separated(rows: NDArray, hits: NDArray[np.bool_]) -> bool:
    """Return True if a plane has all hits on one side and all misses on the other, some of either may be on it: then a
    logistic regression on ``rows`` (n, p) has no finite solution.

    Albert & Anderson 1984, doi:10.1093/biomet/71.1.1; as a linear program by Konis 2007."""
    scaled = rows / np.abs(rows).max(axis=0)
    signed = np.where(hits, 1.0, -1.0)[:, None] * scaled  # (n, p)
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(rows)), bounds=(-1, 1))
    return bool(signed.sum(axis=0) @ found.x > ROUNDING)


class Measured(NamedTuple):
    """A row for each kind and contrast (TABLE), and the drawn curves (CURVES)."""

    table: pd.DataFrame
    curves: pd.DataFrame


def measure_detectability(found: pd.DataFrame) -> Measured:
    """Return what is found of pseudo-defects, a row each (FOUND), of which some were ``aimed`` at one contrast.

    Sizes are in pixels. An a50, a90 or a90/95 is 0 below the smallest size that was tried and infinite beyond the
    largest, since a curve says nothing there, and missing where there is no curve; the note says why. The contrast is
    the geometric mean of those that the defects really have. Defects in images that are rejected as they are do not
    count: that these are found says nothing of them."""
    rows, curves = [], []
    for kind, every in found.groupby("kind", sort=False):
        counted = every[~every["rejected"].astype(bool)]
        if counted.empty:
            continue
        surface, why = _fitted(counted)
        for _, group in counted.groupby("aimed"):
            contrast = geometric_mean(group["contrast"])
            curve = None if surface is None else surface.at(contrast)
            rows.append(_row(str(kind), contrast, group, curve, why, len(every) - len(counted)))
            if curve is not None:
                curves.append(drawn(str(kind), contrast, group["size"], curve))
            elif group["hit"].all() or not group["hit"].any():
                curves.append(level(str(kind), contrast, group))
    return Measured(pd.DataFrame(rows, columns=list(TABLE)), _joined(curves))


def _fitted(counted: pd.DataFrame) -> tuple[PODSurface | None, str]:
    """Return the POD of the defects of a kind, or None and why there is none."""
    try:
        return fit_pod(counted["size"], counted["contrast"], counted["hit"]), ""
    except NoCurveError as reason:
        return None, str(reason)


def _row(
    kind: str, contrast: float, group: pd.DataFrame, curve: PODCurve | None, why: str, rejected: int
) -> tuple[object, ...]:
    hits, (low, high) = int(group["hit"].sum()), (float(group["size"].min()), float(group["size"].max()))
    sizes = (math.nan,) * 3 if curve is None else tuple(
        within(size, low, high) for size in
        (curve.size_at(0.5), curve.size_at(NINE_IN_TEN), curve.sure_size_at(NINE_IN_TEN))
    )  # fmt: skip
    doubts = [why]
    if curve is None and hits in (0, len(group)):
        doubts = [all_or_none(hits, len(group))]
    if sizes[1] <= high and sizes[2] == math.inf:
        doubts.append("too few defects lie where hits and misses meet to be sure: more are needed")
    if group["learned"].any():
        doubts.append("the detector learned from these images, so the figures are optimistic")
    if rejected:
        doubts.append(f"{rejected} defects of the kind in images that are rejected anyway do not count")
    note = "; ".join(filter(None, doubts))
    return (kind, contrast, len(group), hits, group["image"].nunique(), low, high, *sizes, note)


def within(size: float, low: float, high: float) -> float:
    """Return a size that was tried, 0 below these and infinite beyond them."""
    return 0.0 if size < low else math.inf if size > high else size


def drawn(kind: str, contrast: float, sizes: pd.Series, curve: PODCurve) -> pd.DataFrame:
    """Return a fitted curve over the ``sizes`` that were tried, with its bounds."""
    steps = np.geomspace(sizes.min(), sizes.max(), STEPS)
    low, high = curve.bounds(steps)
    return pd.DataFrame({"kind": kind, "contrast": contrast, "size": steps, "pod": curve.pod(steps), "low": low,
                         "high": high})  # fmt: skip


def level(kind: str, contrast: float, group: pd.DataFrame) -> pd.DataFrame:
    """Return the curve of defects of which all or none were found: level, between exact bounds."""
    hits, defects = int(group["hit"].sum()), len(group)
    low, high = exact_interval(hits, defects, confidence=2 * CONFIDENCE - 1)
    sizes = [group["size"].min(), group["size"].max()]
    return pd.DataFrame({"kind": kind, "contrast": contrast, "size": sizes, "pod": hits / defects, "low": low,
                         "high": high})  # fmt: skip


def counted_by_size(found: pd.DataFrame) -> pd.DataFrame:
    """Return the share of hits among the defects of each kind and aimed contrast in BINS groups of about as many, from
    the smallest on: kind, contrast, size (geometric mean), share, defects."""
    rows = []
    for (kind, _), group in found[~found["rejected"].astype(bool)].groupby(["kind", "aimed"], sort=False):
        contrast, ordered = geometric_mean(group["contrast"]), group.sort_values("size")
        for part in np.array_split(np.arange(len(ordered)), min(BINS, len(ordered))):
            some = ordered.iloc[part]
            rows.append((kind, contrast, geometric_mean(some["size"]), float(some["hit"].mean()), len(some)))
    return pd.DataFrame(rows, columns=["kind", "contrast", "size", "share", "defects"])


def rates_by_size(sizes: ArrayLike, hits: ArrayLike, curves: pd.DataFrame) -> pd.DataFrame:
    """Return how many real defects of ``sizes`` (n,) were found, a row each doubling of the size (RATES), with the
    exact 95 % interval of the share; beside it the lowest and the highest mean POD that ``curves`` (CURVES) have for
    defects of these sizes, by kind and contrast. Beyond the sizes that were tried a curve is taken to stay as it is."""
    real = pd.DataFrame({"size": np.asarray(sizes, float), "hit": np.asarray(hits, bool)})
    rows = []
    for power, group in real.groupby(np.floor(np.log2(real["size"])).astype(int)):
        count, predicted = int(group["hit"].sum()), predictions(group["size"], curves)
        rows.append((2.0**power, 2.0 ** (power + 1), len(group), count, count / len(group),
                     *exact_interval(count, len(group)), min(predicted, default=math.nan),
                     max(predicted, default=math.nan)))  # fmt: skip
    return pd.DataFrame(rows, columns=list(RATES))


def predictions(sizes: ArrayLike, curves: pd.DataFrame) -> list[float]:
    """Return the mean POD that each of the ``curves`` has for defects of ``sizes`` (n,)."""
    return [
        float(np.interp(np.log(sizes), np.log(one["size"]), one["pod"]).mean())
        for _, one in curves.groupby(["kind", "contrast"])
    ]


def pod_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Return the sizes, pixels, that a table (TABLE) has for each kind and contrast, as metrics: a90_95.stain.0.2.
    Those that lie below or beyond what was tried are left out."""
    named = {
        f"{name}.{row['kind']}.{row['contrast']:.2g}": float(row[name])
        for row in table.to_dict("records") for name in ("a50", "a90", "a90_95")
    }  # fmt: skip
    return {name: size for name, size in named.items() if 0 < size < math.inf}


def equivalent_diameter(area: float) -> float:
    """Return the diameter of a disk of so many pixels."""
    return 2 * math.sqrt(area / math.pi)


def geometric_mean(values: Sequence[float] | pd.Series) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _joined(curves: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=list(CURVES))


def _exp(value: float) -> float:
    """Return e to the power of ``value``, infinite where that is too large to write."""
    return math.exp(value) if value < 700 else math.inf
