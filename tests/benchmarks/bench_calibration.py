"""What the calibration of a few good photographs promises, and what comes of it.

Of all good photographs of a category (FOLDER/train/good and FOLDER/test/good) so many are drawn, again and again; a
patch memory learns from them and is calibrated, by a held-out fifth (split) and fold by fold (cross). Of photographs
that were not drawn, good and defective, are told: the AUROC, the share of good ones above the reject threshold, and the
share of defective ones. All are means over the draws, with the standard error of the overkill.

    python tests/benchmarks/bench_calibration.py FOLDER [FOLDER ...] [--counts 10 20 40 80] [--draws 50] [--others 40]
        [--folds 10] [--method patch_memory] [--seed 0]

With ``--splits`` the promise itself is put to the test: the good photographs are split so often, at random, into some
to learn from, some that calibrate, and new ones, of which a detector rejects some wrongly; their mean share must be the
target but for chance. A target that so few cannot promise is refused in a sentence.

    python tests/benchmarks/bench_calibration.py FOLDER [FOLDER ...] --splits 200 [--learn 20] [--calibrate 39]
        [--targets 0.05 0.1 0.001] [--others 40] [--method patch_memory] [--seed 0]

39 calibrate, so that 5 % and 10 % are promised exactly. It ends with 1 where a mean is more than NOISE standard errors
above its target.

Photographs are taken as they are, not aligned."""

import argparse
from pathlib import Path

import numpy as np
from bench_orientation import MANY, SUFFIXES
from measure import BASE, PROJECT

from flawline.conf import read_tree
from flawline.intake.decoding import decode
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.one_class import IMAGE
from flawline.methods.registry import get_method
from flawline.metrics.conformal import calibrate_threshold
from flawline.metrics.images import image_metrics
from flawline.metrics.reductions import Reduction

NOISE = 3.0  # standard errors
HELD_OUT = 0.2  # share that calibrates in split


class Bank:
    """Photographs, embedded once, of which a method learns some and scores others."""

    def __init__(self, method, files):
        spec = get_method(method)
        self._scorer = spec.make_scorer(read_tree(PROJECT)[method]["scorer"])
        self._reduction = Reduction(self._scorer.params.image_score)
        self._images = [decode(path.read_bytes(), max_pixels=MANY) for path in files]
        everything = range(len(files))
        plain = InputSequence((IMAGE,), self._images, everything)
        self._embeddings = list(embed_all(self._scorer, plain, batch_size=1))

    def learn(self, rows):
        return self._scorer.fit(self._inputs(rows), seed=0)

    def scores(self, state, rows):
        return [self._reduction(self._scorer.anomaly_map(state, each)) for each in self._inputs(rows)]

    def _inputs(self, rows):
        return InputSequence((IMAGE,), self._images, [int(row) for row in rows], embeddings=self._embeddings)


def split(bank, drawn, _):
    """Return (calibration scores, what was learned) with a fifth held out."""
    kept = max(1, round(HELD_OUT * len(drawn)))
    state = bank.learn(drawn[kept:])
    return bank.scores(state, drawn[:kept]), state


def cross(bank, drawn, folds):
    """Return (calibration scores, what was learned) with each image scored by a model of the other folds."""
    of = np.arange(len(drawn)) % folds
    found = [score for fold in np.unique(of) for score in bank.scores(bank.learn(drawn[of != fold]), drawn[of == fold])]
    return found, bank.learn(drawn)


def trial(bank, good, defective, *, count, others, folds, rng):
    """Return for each calibration (promise, AUROC, overkill, detected) of one draw."""
    order = rng.permutation(good)
    drawn, new = order[:count], order[count : count + others]
    bad = rng.permutation(defective)[:others]
    return [told(bank, *calibrate(bank, drawn, folds), new, bad) for calibrate in (split, cross)]


def told(bank, calibration, state, new, bad):
    """Return (promise, AUROC, overkill, detected) of what was learned, on good images that are ``new`` and bad ones."""
    threshold = calibrate_threshold(calibration, target_overkill=BASE.evaluation.target_overkill)
    scores, labels = np.array(bank.scores(state, [*new, *bad])), np.repeat([0, 1], [len(new), len(bad)])
    auroc, above = image_metrics(scores, labels, np.inf)[0]["image_auroc"], scores > threshold.value
    return threshold.promised_overkill, auroc, above[labels == 0].mean(), above[labels == 1].mean()


def check_splits(folder, args):
    """Print what is rejected of good photographs that are new, over many splits; return whether a target was missed."""
    good, _ = images_of(folder)
    bank, rng = Bank(args.method, good), np.random.default_rng(args.seed)
    least = args.learn + args.calibrate
    if len(good) <= least:
        raise SystemExit(f"{folder} holds {len(good)} good photographs, wanted more than {least} to test on the others")
    found = np.array(
        [rejected(bank, rng.permutation(len(good)), args) for _ in range(args.splits)]
    )  # (splits, targets)
    missed = False
    for target, shares in zip(args.targets, found.T, strict=True):
        threshold = calibrate_threshold(np.arange(args.calibrate), target_overkill=target)  # of any scores
        mean, error = shares.mean(), shares.std(ddof=1) / np.sqrt(args.splits)
        missed |= bool(mean > threshold.promised_overkill + NOISE * error)
        told = "" if threshold.kept else threshold.promise
        print(f"{folder.name:<12}{target:>8g}{threshold.promised_overkill:>9.4f}{mean:>10.4f}{error:>8.4f}  {told}",
              flush=True)  # fmt: skip
    return missed


def rejected(bank, order, args):
    """Return the share of new good photographs above the threshold for each target, of one split."""
    learned, calibrating, new = np.split(order, [args.learn, args.learn + args.calibrate])
    state = bank.learn(learned)
    calibration, scores = bank.scores(state, calibrating), np.array(bank.scores(state, new[: args.others]))
    limits = [calibrate_threshold(calibration, target_overkill=target).value for target in args.targets]
    return [(scores > limit).mean() for limit in limits]


def images_of(folder):
    """Return the good photographs of a folder, and the defective ones."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    good = [path for path in files if path.parent.name == "good"]
    return good, [path for path in files if path.parent.parent.name == "test" and path.parent.name != "good"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--counts", nargs="+", type=int, default=[10, 20, 40, 80])
    for name, default in (("draws", 50), ("others", 40), ("folds", BASE.evaluation.calibration.folds), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--method", default="patch_memory")
    for name, default in (("splits", 0), ("learn", 20), ("calibrate", 39)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--targets", nargs="+", type=float, default=[0.05, 0.1, 0.001])
    args = parser.parse_args()
    if args.splits:
        print(f"{'category':<12}{'target':>8}{'promise':>9}{'rejected':>10}{'+-':>8}")
        missed = [check_splits(folder, args) for folder in args.folders]
        raise SystemExit(int(any(missed)))
    print(f"{'category':<12}{'good':>5} {'':<6}{'promise':>9}{'AUROC':>8}{'overkill':>10}{'+-':>7}{'detected':>10}")
    for folder in args.folders:
        good, defective = images_of(folder)
        bank = Bank(args.method, [*good, *defective])
        places = np.arange(len(good)), np.arange(len(good), len(good) + len(defective))
        for count in args.counts:
            rng = np.random.default_rng([args.seed, count])
            found = np.array([trial(bank, *places, count=count, others=args.others, folds=args.folds, rng=rng)
                              for _ in range(args.draws)])  # (draws, 2, 4)  # fmt: skip
            error = found[..., 2].std(axis=0) / np.sqrt(args.draws)
            for name, (promise, auroc, overkill, detected), off in zip(
                ("split", "cross"), found.mean(axis=0), error, strict=True
            ):
                print(f"{folder.name:<12}{count:>5} {name:<6}{promise:>9.4f}{auroc:>8.4f}{overkill:>10.4f}{off:>7.4f}"
                      f"{detected:>10.4f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
