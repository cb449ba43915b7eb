"""What candidates for a method are tried on, and what they see and learn of it: normal images in folds, pseudo-defects
in them, and the same images moved a little."""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawline.methods.auto import Auto
from flawline.methods.free_patches import FreePatchScorer, times_enlarged
from flawline.methods.graded_defects import GradedDefect, disturbed, graded_defects, with_defects
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.one_class import IMAGE, Inputs, State
from flawline.methods.patch_scorer import PatchScorer
from flawline.params import DefectInjectionParams
from flawline.storage.ragged import Lazy
from flawline.storage.spill import Spill
from flawline.training.compute import side_by_side

NORMAL, DEFECTS, MOVED = "normal", "defects", "moved"  # images of a trial

Seen = NDArray[np.bool_] | None  # the pixels of a frame that show a photograph; None: all


@dataclass(frozen=True)
class Trial:
    """What candidates are tried on: normal ``images`` (C, H, W) in their frames, each ``seen`` where it shows a
    photograph and held out in its fold, and pseudo-defects in them."""

    images: Sequence[NDArray]
    seen: Sequence[Seen]
    folds: NDArray[np.int64]  # (n,), from 0
    defects: Sequence[GradedDefect]
    moved: Sequence[NDArray] = ()  # each normal image, moved a little and in another light

    @cached_property
    def sources(self) -> NDArray[np.int64]:
        return np.array([defect.source for defect in self.defects])

    def of(self, which: str) -> Sequence[NDArray]:
        """Return its images that are NORMAL, with DEFECTS, or MOVED."""
        if which == DEFECTS:
            return with_defects(self.images, self.defects)
        return self.images if which == NORMAL else self.moved


def make_trial(
    images: Sequence[NDArray], seen: Sequence[Seen], folds: NDArray[np.int64], injection: DefectInjectionParams, *,
    defects: int, seed: int, least_area: float = 0,
) -> Trial:  # fmt: skip
    """Return normal ``images`` with so many pseudo-defects in them, at least one each; where the smallest wanted defect
    has an area, pixels, the smallest of these have it too."""
    made = graded_defects(images, injection, count=max(defects, len(images)), seed=seed, least_area=least_area)
    moved = Lazy(len(images), lambda k: disturbed(images[k], np.random.default_rng([seed, k])))
    return Trial(images, seen, folds, made, moved)


class Seeing:
    """What candidates see of a trial and learn of it, made when it is first asked for: those that look at images in the
    same way share the embeddings, which are kept on disk, and those that learn the same of them share that. So many
    ``workers`` look at images at once."""

    def __init__(self, trial: Trial, *, workers: int = 1):
        self.workers = workers
        self._trial, self._embeddings = trial, Spill()
        self._fold, self._states = -1, dict[str, State]()

    def inputs(self, auto: Auto, rows: Sequence[int], of: str = NORMAL) -> Sequence[Inputs]:
        """Return what a candidate's scorer takes of the normal images at ``rows``, of the defects, or of the images
        that were moved."""
        plain = InputSequence((IMAGE,), self._trial.of(of), rows)

        def make(k: int) -> Inputs:
            seen = plain[k]
            embedding = self._embedding(auto, seen, (of, rows[k]))
            return Inputs(seen.views, embedding[None] if isinstance(auto.scorer, PatchScorer) else embedding)

        return Lazy(len(rows), make)

    def learned(self, auto: Auto, fold: int) -> State:
        """Return what a candidate learns of all folds but one. That of one fold is kept, so ask fold by fold."""
        if fold != self._fold:
            self._fold, self._states = fold, {}
        key = json.dumps(auto.learns_by(), sort_keys=True)
        if key not in self._states:
            others = np.flatnonzero(self._trial.folds != fold).tolist()
            inputs = self.inputs(auto, others)
            deque(side_by_side(inputs.__getitem__, range(len(inputs)), workers=self.workers), maxlen=0)  # embeds them
            self._states[key] = auto.fit(inputs, seed=fold)
        return self._states[key]

    def _embedding(self, auto: Auto, seen: Inputs, which: tuple[str, int]) -> NDArray:
        """Return the features (h, w, D) of an image."""
        key = (*way_of_looking(auto, seen.views[0].shape), *which)
        if key not in self._embeddings:
            (found,) = embed_all(auto, [seen], batch_size=1)
            self._embeddings[key] = found[0] if isinstance(auto.scorer, PatchScorer) else found
        return self._embeddings[key]


def way_of_looking(auto: Auto, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return what the features of an image (C, H, W) depend on: network, layers, and how large it is looked at."""
    features = auto.features
    network = features.backbone, features.weights, features.layers, features.precision, features.padding
    return *network, side_looked_at(auto, shape), times_larger(auto, shape)


def side_looked_at(auto: Auto, shape: tuple[int, ...]) -> int:
    """Return the shorter side, pixels, that an image (C, H, W) has as the network looks at it."""
    side = auto.features.side
    return times_larger(auto, shape) * min(shape[1:]) if side is None else side


def times_larger(auto: Auto, shape: tuple[int, ...]) -> int:
    """Return how many times as large an image (C, H, W) is made before anything else."""
    scorer = auto.scorer
    return times_enlarged(shape[1:], scorer.params.scale) if isinstance(scorer, FreePatchScorer) else 1
