"""What the choice of a method is worth: what pseudo-defects say of every candidate, beside what real defects say.

Of categories that were registered (`kedro run --pipelines=ingestion,registration --params category=NAME,raw=FOLDER`),
for every seed: the AUROC of each candidate on pseudo-defects, by which one is chosen, and on the test images, by its
own image score, learned from all good images. Regret is what the chosen one is behind the best candidate, points of
AUROC; the rank correlation is Spearman's, over the candidates. The best candidate is an oracle: it takes the labels of
test images to know it.

    python tests/benchmarks/bench_choice.py CATEGORY [CATEGORY ...] [--seeds 0 1 2] [--project FOLDER]"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import BASE, PROJECT
from scipy.stats import spearmanr

from flawline.checks import FlawlineError
from flawline.intake.registration import frames_seen
from flawline.methods.auto import Auto
from flawline.methods.maps import within
from flawline.methods.method_choice import choose_method, score_name
from flawline.methods.trial import Seeing, make_trial
from flawline.metrics.delong import placements
from flawline.metrics.reductions import Reduction
from flawline.params import AutoScorerParams
from flawline.storage.ragged import RaggedArray
from flawline.storage.tensors import read_tensors
from flawline.vision.fitting import evenly_spread

SHOWN = ["candidate", "image_score", "chosen", "auroc", "behind", "error", "folds", "seconds", "real"]


class Category:
    """The registered images of a category."""

    def __init__(self, project, name):
        home = project / "data" / "03_primary" / name
        self.images = RaggedArray(home / "images")
        self.manifest, alignment = (
            pd.read_csv(home / f"{table}.csv", keep_default_na=False) for table in ("usable_manifest", "alignment")
        )
        self._seen = frames_seen(self.manifest, alignment, read_tensors(home / "aligner.safetensors")[0])
        split, label = self.manifest["split"], self.manifest["label"]
        good = split.isin(["train", "validation", "calibration"]) & (label == 0)
        self.good, self.test = np.flatnonzero(good), np.flatnonzero(split == "test")
        self.labels, self.is_good = label.to_numpy()[self.test], label.to_numpy() == 0

    def trial(self, rows, folds, defects=0, seed=0):
        images = [self.images[row] for row in rows]
        seen = [self._seen(self.manifest["image"].iloc[row]) for row in rows]
        return make_trial(images, seen, folds, BASE.defect_injection, defects=defects, seed=seed)


def chosen(category, seed):
    """Return the table of the choice, and its seconds."""
    rows = category.good[evenly_spread(len(category.good), BASE.auto.choice.images)]
    folds = np.random.default_rng(seed).permutation(np.arange(len(rows)) % BASE.auto.choice.folds)
    begun = time.perf_counter()
    trial = category.trial(rows, folds, BASE.auto.choice.defects, seed)
    table, *_ = choose_method(trial, BASE.auto, review_overkill=BASE.evaluation.review_overkill)
    return table, time.perf_counter() - begun


def real_aurocs(category):
    """Return the AUROC of the test images by (candidate, image score)."""
    rows = np.concatenate([category.good, category.test])
    trial = category.trial(rows, np.zeros(len(rows), int))
    seeing, found = Seeing(trial), {}
    for name, candidate in BASE.auto.candidates.items():
        for score in BASE.auto.choice.image_scores:
            found[name, score_name(score)] = np.nan
        try:
            scores = test_scores(candidate, trial, seeing, len(category.good))
        except FlawlineError:
            continue
        for score, values in zip(BASE.auto.choice.image_scores, scores, strict=True):
            of_defects, _ = placements(values[category.labels == 0], values[category.labels == 1])
            found[name, score_name(score)] = of_defects.mean()
    return found


def test_scores(candidate, trial, seeing, good):
    """Return the scores (image scores, n) of all images behind the ``good`` ones, which are learned from."""
    reductions = [Reduction(score) for score in BASE.auto.choice.image_scores]
    auto = Auto(AutoScorerParams(**dict(candidate), image_score=BASE.auto.choice.image_scores[0]))
    state = auto.fit(seeing.inputs(auto, range(good)), seed=0)
    tests = range(good, len(trial.images))
    maps = (within(auto.anomaly_map(state, each), trial.seen[row])
            for row, each in zip(tests, seeing.inputs(auto, tests), strict=True))  # fmt: skip
    return np.array([[reduce(one) for reduce in reductions] for one in maps]).T


def parse(description):
    """Return the arguments: categories that were registered, seeds, and the project that they are in."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", nargs="+", metavar="CATEGORY")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--project", type=Path, default=PROJECT)
    return parser.parse_args()


def main():
    args = parse(__doc__)
    for name in args.categories:
        category = Category(args.project, name)
        real = real_aurocs(category)
        for seed in args.seeds:
            tell(f"{name}, seed {seed}", *chosen(category, seed), real, len(category.good))


def tell(title, table, seconds, real, good):
    """Print a choice beside what its candidates are worth."""
    keys = zip(table["candidate"], table["image_score"], strict=True)
    table["real"] = [real.get(key, np.nan) for key in keys]
    best, picked = np.nanmax(list(real.values())), table[table["chosen"]].iloc[0]
    usable = table.dropna(subset=["auroc", "real"])
    rank = spearmanr(usable["auroc"], usable["real"]).statistic if len(usable) > 2 else np.nan
    print(
        f"\n{title}: {picked['candidate']} chosen by {good} good images in {seconds:.0f} s: {picked['real']:.3f}, "
        f"best {best:.3f}, regret {100 * (best - picked['real']):.1f}, rank correlation {rank:.2f}"
    )
    print(table[SHOWN].round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
