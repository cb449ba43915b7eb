"""What `auto` makes of a few good photographs: which method it chooses by them, what is promised, and what comes of it.

Of all good images of a category that was registered (`kedro run --pipelines=ingestion,registration --params
category=NAME,raw=FOLDER,registration.align=auto`) so many are drawn, again and again. `auto` chooses by them, the
chosen method learns them and is calibrated fold by fold, as in a run. Of images that were not drawn, good and
defective, are told: the AUROC, the share of good ones above the reject threshold, and the share of defective ones. All
are means over the draws, with the standard errors of AUROC and overkill. The alignment alone was learned from all
training images.

    python tests/benchmarks/bench_few_good.py CATEGORY [CATEGORY ...] [--counts 10 20 40 80] [--draws 10] [--others 40]
        [--seed 0] [--project FOLDER]"""

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from bench_calibration import cross, told
from bench_choice import Category
from measure import BASE, PROJECT

from flawline.methods.auto import Auto
from flawline.methods.maps import within
from flawline.methods.method_choice import choose_method
from flawline.methods.trial import Seeing
from flawline.metrics.reductions import Reduction


class Bank:
    """All images of a category, of which a chosen method learns some and scores others."""

    def __init__(self, seeing, trial, scorer):
        self._seeing, self._seen = seeing, trial.seen
        self._auto, self._reduction = Auto(scorer), Reduction(scorer.image_score)

    def learn(self, rows):
        return self._auto.fit(self._inputs(rows), seed=0)

    def scores(self, state, rows):
        return [self._reduction(within(self._auto.anomaly_map(state, each), self._seen[row]))
                for row, each in zip(rows, self._inputs(rows), strict=True)]  # fmt: skip

    def _inputs(self, rows):
        return self._seeing.inputs(self._auto, [int(row) for row in rows])


def choose(category, rows, seed):
    """Return (candidate, scorer) that the images at ``rows`` of a category choose."""
    folds = np.arange(len(rows)) % BASE.auto.choice.folds
    trial = category.trial(rows, folds, BASE.auto.choice.defects, seed)
    table, scorer, _ = choose_method(trial, BASE.auto, review_overkill=BASE.evaluation.review_overkill)
    return table.loc[table["chosen"], "candidate"].item(), scorer


def draw(category, whole, *, count, others, rng, seed):
    """Return the candidate that one draw chooses, and (promise, AUROC, overkill, detected) of it. ``whole`` is a trial
    of all images, and what was seen of it."""
    trial, seeing = whole
    good = rng.permutation(np.flatnonzero(category.is_good))
    drawn, new = good[:count], good[count : count + others]
    bad = rng.permutation(np.flatnonzero(~category.is_good))[:others]
    used = drawn[np.linspace(0, count - 1, min(count, BASE.auto.choice.images)).round().astype(int)]
    name, scorer = choose(category, used, seed)
    bank = Bank(seeing, trial, scorer)
    calibration, state = cross(bank, drawn, BASE.evaluation.calibration.folds)
    return name, told(bank, calibration, state, new, bad)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+", metavar="CATEGORY")
    parser.add_argument("--counts", nargs="+", type=int, default=[10, 20, 40, 80])
    for name, default in (("draws", 10), ("others", 40), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--project", type=Path, default=PROJECT)
    args = parser.parse_args()
    print(f"{'category':<12}{'good':>5}{'promise':>9}{'AUROC':>8}{'+-':>7}{'overkill':>10}{'+-':>7}{'detected':>10}"
          f"{'seconds':>9}  chosen")  # fmt: skip
    for each in args.categories:
        category = Category(args.project, each)
        trial = category.trial(range(len(category.images)), np.zeros(len(category.images), int))
        whole = trial, Seeing(trial)
        for count in args.counts:
            rng, begun = np.random.default_rng([args.seed, count]), time.perf_counter()
            names, found = zip(*(draw(category, whole, count=count, others=args.others, rng=rng, seed=k)
                                 for k in range(args.draws)), strict=True)  # fmt: skip
            tell(each, count, names, np.array(found), (time.perf_counter() - begun) / args.draws)


def tell(category, count, names, found, seconds):
    """Print a line on what the draws found (draws, 4)."""
    (promise, auroc, overkill, detected), error = found.mean(axis=0), found.std(axis=0) / np.sqrt(len(found))
    chosen = ", ".join(f"{name} {times}" for name, times in Counter(names).most_common())
    print(f"{category:<12}{count:>5}{promise:>9.4f}{auroc:>8.4f}{error[1]:>7.4f}{overkill:>10.4f}{error[2]:>7.4f}"
          f"{detected:>10.4f}{seconds:>9.1f}  {chosen}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
