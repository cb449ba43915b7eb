"""Drift: whether new images, in their order, still look as those that were learned from, by figures of each image.

A figure of an image is **beyond** if it is outside the limits that the training images set: the r-th lowest and the
r-th highest of n. Whatever the distribution, a new image of the same process is beyond one of them with a probability
that is itself a beta(r, n + 1 - r) variable of the draw of the training images (Wilks 1941, Determination of sample
sizes for setting tolerance limits; of split conformal p-values: Vovk 2012, Conditional validity of inductive conformal
predictors, doi:10.1007/s10994-013-5355-6). So it is at most the upper quantile u of that, but for a small probability.
Images may also be beyond because they are odd, for instance defective: a share ``odd_share`` of all. So the probability
of one more is at most c = odd_share + (1 - odd_share) u, whatever came before.

Against that is bet: a stake s of the capital is multiplied by 1 / c where an image is beyond, and lost where it is
not. The capital does not grow in the mean as long as nothing drifts. It is bet for several limits and stakes, and from
each image on, which weighs 1 / (t (t + 1)) of the capital for the t-th: so what starts late is found too. Their sum is
a test supermartingale (as the conformal test martingales of Vovk, Nouretdinov and Gammerman 2003, Testing
exchangeability on-line, but conditional on the training images), and by Ville's inequality (Ville 1939) it ever reaches
``needed`` with a probability of at most 1 / needed. Half of ``false_alarms`` is spent on that, half on the limits, both
divided by the number of figures (Bonferroni)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

SCORE = "score"
TAILS = (0.01, 0.05)  # shares of the training images that are beyond a limit, at least one image
STAKES = (0.3, 0.9)
LOWER, HIGHER = -1, 1
WORDS = {LOWER: "lower", HIGHER: "higher"}
MOST_ASKED = 200  # images, in `least_images`
HIGHEST = 1e12  # capital; what is above it says nothing more
SHOWN = (0.05, 0.95)  # quantiles of the ranges that a person is shown
COLUMNS = [
    "figure", "drifts", "direction", "since", "told_at", "beyond", "capital", "needed", "images", "least_images",
    "training_images", "training_low", "training_high", "found_low", "found_high",
]  # fmt: skip


@dataclass(frozen=True)
class Bets:
    """What is bet on one figure in one direction: the ``limits`` and the probability that an image is beyond each."""

    limits: NDArray[np.float64]  # (m,)
    chances: NDArray[np.float64]  # (m,)

    def are_beyond(self, values: NDArray[np.float64], direction: int) -> NDArray[np.bool_]:
        """Return which of ``values`` (n,) are beyond each limit (n, m)."""
        return direction * (values[:, None] - self.limits) > 0

    def growth(self, beyond: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return by how much the capital of each bet grows with each image, by what is ``beyond`` (n, m): (n, m *
        len(STAKES))."""
        return np.concatenate([1 + stake * (beyond / self.chances - 1) for stake in STAKES], axis=1)


def limit_bets(training: NDArray[np.float64], direction: int, *, odd_share: float, unsure: float) -> Bets:
    """Return the bets against the limits that ``training`` (n,) sets in a direction; a limit's chance is larger than is
    said with a probability of ``unsure``."""
    n, ordered = len(training), np.sort(direction * training)
    ranks = sorted({max(1, math.floor(tail * (n + 1))) for tail in TAILS})
    bounds = np.array([scipy.stats.beta.ppf(1 - unsure, rank, n + 1 - rank) for rank in ranks])
    limits = np.array([direction * ordered[n - rank] for rank in ranks])
    return Bets(limits, odd_share + (1 - odd_share) * bounds)


def capital_of(growth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the capital (n,) after each image, of 1 before the first, if it is shared equally among bets with this
    ``growth`` (n, m), and each bet's among the images that it starts with."""
    started, capital = np.zeros(growth.shape[1]), np.empty(len(growth))
    for t, gain in enumerate(growth, 1):
        started = np.minimum(gain * (started + 1 / (t * (t + 1))), HIGHEST)
        capital[t - 1] = started.mean() + 1 / (t + 1)
    return capital


def start_of(growth: NDArray[np.float64]) -> tuple[int, int]:
    """Return the image, counted from 0, since which one of the bets with this ``growth`` (n, m) won most up to the last
    image, and which bet."""
    won = np.log(growth)[::-1].cumsum(axis=0)[::-1]  # (n, m): since each image
    image, bet = np.unravel_index(won.argmax(), won.shape)
    return int(image), int(bet)


def find_drift(
    values: Mapping[str, Sequence[float]], training: Mapping[str, Sequence[float]], *,
    false_alarms: float, odd_share: float,
) -> pd.DataFrame:  # fmt: skip
    """Return a row for each figure of ``training``: whether the figures of the new images, in their order, drift.

    ``values`` has the same figures, NaN of an image of which one is not known; of SCORE only higher ones count. The
    probability that any figure is told to drift though none does is at most ``false_alarms``, as long as training and
    new images are drawn alike and independently but for a share ``odd_share`` of the new ones.

    Columns: ``drifts``, ``direction`` (lower, higher or empty), ``since``: the number, from 1, of the image from which
    on it seems to, ``told_at``: that of the image by which it was sure; ``beyond``: how many of the images since then
    are beyond the wider of the limits; the highest ``capital`` and the one ``needed``; ``images`` that were looked at,
    and ``least_images``, with fewer of which nothing can be told (missing: it never can); the middle nine tenths of the
    training images and of those found, since the drift began where there is one. A figure without training images has
    no row."""
    known = {name: _finite(figures) for name, figures in training.items()}
    known = {name: figures for name, figures in known.items() if len(figures)}
    asked = {"needed": 2 * max(1, len(known)) / false_alarms, "odd_share": odd_share}
    rows = [_row(name, np.asarray(values[name], float), known[name], **asked) for name in known]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"since": "Int64", "told_at": "Int64", "least_images": "Int64"})


def least_images(bets: Sequence[Bets], needed: float) -> int | None:
    """Return how many images it takes until the capital is ``needed``, if each is beyond all limits of one direction
    and of no other; None: it never is, or after more than MOST_ASKED."""
    growths = [each.growth(np.full((MOST_ASKED, len(each.limits)), k == 0)) for k, each in enumerate(bets)]
    enough = capital_of(np.concatenate(growths, axis=1)) >= needed
    return int(enough.argmax()) + 1 if enough.any() else None


def _row(
    name: str, values: NDArray[np.float64], training: NDArray[np.float64], *, needed: float, odd_share: float
) -> dict[str, object]:
    ways = (HIGHER,) if name == SCORE else (LOWER, HIGHER)
    unsure = 1 / (needed * len(ways) * len(TAILS))
    bets = [limit_bets(training, way, odd_share=odd_share, unsure=unsure) for way in ways]
    about = {"figure": name, "needed": needed, "least_images": least_images(bets, needed),
             "training_images": len(training), **_range("training", training)}  # fmt: skip
    return about | _told(values, bets, ways, needed)


def _told(values: NDArray[np.float64], bets: Sequence[Bets], ways: Sequence[int], needed: float) -> dict[str, object]:
    """Return what the new images' ``values`` (n,) say against bets in each of the directions ``ways``."""
    places = np.flatnonzero(np.isfinite(values))
    known = values[places]
    beyond = [each.are_beyond(known, way) for each, way in zip(bets, ways, strict=True)]
    growth = np.concatenate([each.growth(which) for each, which in zip(bets, beyond, strict=True)], axis=1)
    capital = capital_of(growth)
    found = {"images": len(known), "capital": float(capital.max(initial=1.0))}
    told = np.flatnonzero(capital >= needed)[:1]
    if not len(told):
        return found | {"drifts": False, "direction": "", "beyond": 0, **_range("found", known)}
    since, bet = start_of(growth[: told[0] + 1])
    way = bet * len(ways) // growth.shape[1]
    return found | {
        "drifts": True, "direction": WORDS[ways[way]], "since": places[since] + 1, "told_at": places[told[0]] + 1,
        "beyond": int(beyond[way][since:, -1].sum()), **_range("found", known[since:]),
    }  # fmt: skip


def _range(whose: str, values: NDArray[np.float64]) -> dict[str, float]:
    low, high = np.quantile(values, SHOWN) if len(values) else (np.nan, np.nan)
    return {f"{whose}_low": float(low), f"{whose}_high": float(high)}


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    return array[np.isfinite(array)]
