"""What fusing two memories is worth: the distances of `patch_memory`, which knows places, and of `patch_memory_free`,
which does not, each told by those of held-out normal images (of every place, or of all), and averaged.

Of categories that were registered (`kedro run --pipelines=ingestion,registration --params category=NAME,raw=FOLDER`):
the AUROC of the test images by each memory alone and by their fusions, and that of pseudo-defects in held-out
normal images; the highest 1 % of the map is the image score. The fused ones look at an image twice as long.

    python tests/benchmarks/bench_fusion.py CATEGORY [CATEGORY ...] [--seeds 0 1 2] [--project FOLDER]"""

import numpy as np
import pandas as pd
import torch
from bench_choice import Category, parse
from measure import BASE

from flawline.methods.auto import Auto
from flawline.methods.free_patches import held_out_figures
from flawline.methods.maps import within
from flawline.methods.one_class import embeddings_of
from flawline.methods.patch_scorer import held_out, positions_to_map
from flawline.methods.trial import DEFECTS, NORMAL, Seeing
from flawline.metrics.delong import placements
from flawline.metrics.reductions import Reduction
from flawline.params import AutoScorerParams, ImageScoreParams
from flawline.vision.fitting import evenly_spread

SCORE = ImageScoreParams(reduction="top_share", share=0.01)
ALONE, FUSED = ("patch_memory", "patch_memory_free"), "fused"


class Memory:
    """A memory, and the distances (h, w) that held-out normal images have to it."""

    def __init__(self, name, seeing, rows, seed):
        settings = dict(BASE.auto.candidates[name])
        change = {"features": {**settings["settings"]["features"], "side": 256}}
        self.auto = Auto(AutoScorerParams(**{**settings, "change": change}, image_score=SCORE))
        self.place = name == "patch_memory"
        embeddings, _ = embeddings_of(seeing.inputs(self.auto, rows))
        learn = self.auto.scorer.learn if self.place else self.auto.scorer._model_of
        folds = held_out(embeddings, learn, self.auto.scorer.ready, seed=seed)
        found = [self.distances(model, each) for model, each in folds]
        self.figures = {way: held_out_figures(found, by_place=way == "place") for way in ("place", "all")}
        self.model = learn(embeddings, seed=seed)

    def distances(self, model, embedding):
        scorer = self.auto.scorer
        return scorer.distances(model, embedding)[0] if self.place else scorer._at_places(model, embedding)

    def told(self, embedding, way):
        """Return the distances (h, w) of an image, less the held-out mean, in its deviations."""
        mean, deviation = self.figures[way]
        return (self.distances(self.model, embedding) - mean) / deviation


def scores(trial, learned, rows, of, seed):
    """Return a score for each image at ``rows``, by name of a memory or of a fusion and by what distances are told."""
    seeing, reduce = Seeing(trial), Reduction(SCORE)
    memories = {name: Memory(name, seeing, learned, seed) for name in ALONE}
    seen_of = [trial.seen[trial.sources[row] if of == DEFECTS else row] for row in rows]
    inputs = {name: seeing.inputs(memory.auto, rows, of) for name, memory in memories.items()}
    found = {}
    for k, seen in enumerate(seen_of):
        for way in ("place", "all"):
            told = {name: memory.told(inputs[name][k].embedding, way) for name, memory in memories.items()}
            told[FUSED] = torch.stack(list(told.values())).mean(dim=0)
            for name, values in told.items():
                anomaly = positions_to_map(values, trial.images[0].shape[1:], 4.0)
                found.setdefault((name, way), []).append(reduce(within(anomaly, seen)))
    return {key: np.array(values) for key, values in found.items()}


def real(category, seed):
    """Return the AUROC of the test images."""
    rows = np.concatenate([category.good, category.test])
    trial = category.trial(rows, np.zeros(len(rows), int))
    good = len(category.good)
    found = scores(trial, range(good), list(range(good, len(rows))), NORMAL, seed)
    return {key: placements(each[category.labels == 0], each[category.labels == 1])[0].mean()
            for key, each in found.items()}  # fmt: skip


def pseudo(category, seed):
    """Return the AUROC of pseudo-defects in every second of some normal images; the others are learned from."""
    rows = category.good[evenly_spread(len(category.good), BASE.auto.choice.images)]
    trial = category.trial(rows, np.arange(len(rows)) % 2, BASE.auto.choice.defects, seed)
    learned, held = (np.flatnonzero(trial.folds == fold).tolist() for fold in (0, 1))
    damaged = np.flatnonzero(np.isin(trial.sources, held)).tolist()
    normal, defective = (scores(trial, learned, some, of, seed) for some, of in ((held, NORMAL), (damaged, DEFECTS)))
    return {key: placements(normal[key], defective[key])[0].mean() for key in normal}


def main():
    args = parse(__doc__)
    for name in args.categories:
        category = Category(args.project, name)
        rows = [{"seed": seed, "of": of, **measured(category, seed)} for seed in args.seeds
                for of, measured in (("test", real), ("pseudo-defects", pseudo))]  # fmt: skip
        means = pd.DataFrame(rows).groupby("of").mean().drop(columns="seed").T
        means.index = pd.MultiIndex.from_tuples(means.index, names=["memory", "told by"])
        print(f"\n{name}, mean of {len(args.seeds)} seeds\n{means.round(3).to_string()}", flush=True)


if __name__ == "__main__":
    main()
