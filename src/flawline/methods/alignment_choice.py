"""Which alignment suits a product, decided from its normal images alone.

Half of some training images are learned from by patch memories, as they are and aligned in each way; the others, and
pseudo-defects in them, are scored. The alignment that tells pseudo-defects from normal images best is taken. Where
parts hardly move, a misplaced one is a defect, and an alignment would undo it: there the whole part, turned and moved,
is one of the kinds. No test image and no label of a defect takes part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from flawline.checks import FlawlineError
from flawline.methods.graded_defects import graded_defects, with_defects
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.maps import within
from flawline.methods.one_class import IMAGE
from flawline.methods.patch_memory import PatchMemory
from flawline.methods.patch_memory_free import PatchMemoryFree
from flawline.metrics.delong import Placed, behind, is_as_good, placements
from flawline.metrics.reductions import Reduction
from flawline.params import (
    AutoAlignParams,
    DefectInjectionParams,
    PatchMemoryFreeParams,
    PatchMemoryParams,
    RegistrationParams,
)
from flawline.training.compute import side_by_side
from flawline.training.runtime import TORCH_ON_CPU, Runtime
from flawline.vision.fitting import Track, evenly_spread, fit_aligner, untracked
from flawline.vision.orientation import angle_spread
from flawline.vision.transform import Transform

CANDIDATES = ("none", "shift", "rigid", "structure_tensor")  # the simplest first
COLUMNS = ("align", "chosen", "auroc", "behind", "error", "pseudo_auroc", "misplaced_auroc", "aligned_share",
           "angle_spread", "shift_spread", "reason")  # fmt: skip
FULL_TURN = 360.0
LEAST = 8  # images to try alignments on: of fewer, two or three would decide
ERRORS = 1.5  # standard errors that count as scatter: an aligned inspection takes three times as long, which has to pay

Framed = tuple[NDArray, NDArray[np.bool_] | None]  # an image (C, h, w) as it is judged, and its pixels that are seen
Memory = PatchMemory | PatchMemoryFree
Frame = Callable[[NDArray], Framed | None]  # what makes it of a photograph; None: it cannot be judged


@dataclass(frozen=True)
class Judge:
    """What judges alignments: two patch memories, of which one knows places and the other does not, and the
    pseudo-defects that they are to find. Images of several sizes cannot be compared place by place, so they have the
    latter alone, whatever the alignment."""

    scorer: PatchMemoryParams
    free: PatchMemoryFreeParams
    injection: DefectInjectionParams
    seed: int
    runtime: Runtime = TORCH_ON_CPU
    workers: int = 1  # images that are looked at at once

    def trial(self, images: Sequence[NDArray], params: AutoAlignParams) -> "Trial":
        """Return half of ``images`` (C, H, W) to learn from, the others, and pseudo-defects in these."""
        others = images[1::2]
        made = graded_defects(others, self.injection, count=params.defects, seed=self.seed)
        rng = np.random.default_rng([self.seed, len(others)])
        damaged = with_defects(others, made)
        return Trial(images[::2], others, damaged, [misplaced(image, params, rng) for image in others])

    def memories(self, frames: Sequence[NDArray], *, places: bool = True) -> Callable[[Framed | None], list[float]]:
        """Return what scores an image in its frame, once by each memory, learned from normal ``frames``; infinite for
        one without. With ``places`` the first of them knows places, and the other sees the same features."""
        if not places:
            return self._learned(PatchMemoryFree(self.free, runtime=self.runtime), frames)
        bound = PatchMemory(self.scorer, runtime=self.runtime)
        free = PatchMemoryFree(self.free.but(features=self.scorer.features, scale=1), runtime=self.runtime)
        return self._learned(bound, frames, beside=free)

    def _learned(
        self, memory: Memory, frames: Sequence[NDArray], beside: PatchMemoryFree | None = None
    ) -> Callable[[Framed | None], list[float]]:
        learned = _inputs(memory, frames, self.workers)
        states = [(memory, memory.ready(memory.fit(learned, seed=self.seed)))]
        if beside:
            states.append((beside, beside.ready(beside.fit(_without_view(learned), seed=self.seed))))

        def score(framed: Framed | None) -> list[float]:
            if framed is None:
                return [np.inf] * len(states)
            frame, seen = framed
            given = _inputs(memory, [frame])
            each = (given[0], _without_view(given)[0])
            return [
                Reduction(own.params.image_score)(within(own.anomaly_map(state, inputs), seen))
                for (own, state), inputs in zip(states, each, strict=False)
            ]

        return score


def _inputs(memory: Memory, frames: Sequence[NDArray], workers: int = 1) -> InputSequence:
    """Return what a memory takes of frames: their embeddings are kept, the photographs are read when asked for."""
    plain = InputSequence((IMAGE,), frames, range(len(frames)))
    return replace(plain, embeddings=list(embed_all(memory, plain, batch_size=1, workers=workers)))


def _without_view(inputs: InputSequence) -> InputSequence:
    """Return the same with features (h, w, D), as a memory without places takes them, of those (1, h, w, D) of one
    view."""
    return replace(inputs, embeddings=[each[0] for each in inputs.embeddings or ()])


@dataclass(frozen=True)
class Trial:
    """Images (C, H, W) that alignments are tried on: those learned from, others, and two kinds of pseudo-defects."""

    learned: Sequence[NDArray]
    normal: Sequence[NDArray]
    damaged: Sequence[NDArray]
    misplaced: Sequence[NDArray]


def choose_alignment(
    images: Sequence[NDArray], registration: RegistrationParams, judge: Judge, *, names: Sequence[str],
    track: Track = untracked,
) -> pd.DataFrame:  # fmt: skip
    """Return a row for each of CANDIDATES with what it is worth on normal training images (C, H, W), called ``names``;
    one is ``chosen``: the simplest of those whose AUROC is within ``auto.least_gain``, or the scatter, of the best.

    The ``auroc`` is of pseudo-defects, and where parts hardly move of misplaced images too, by the memory that tells
    them better; ``behind`` is how far it is below the best one, and ``error`` the standard error of that. Raise
    FlawlineError if none can be used."""
    auto = registration.auto
    some = evenly_spread(len(images), auto.images)
    if len(some) < LEAST:
        row = ["none", True, *[np.nan] * 8, f"{len(some)} normal training images are too few to try alignments on"]
        return pd.DataFrame([row], columns=list(COLUMNS))
    trial = judge.trial([images[k] for k in some], auto)
    labels = [names[k] for k in some[::2]]
    tried = [_try(each, trial, registration, judge, labels) for each in
             track(CANDIDATES, total=len(CANDIDATES), label="trying alignments")]  # fmt: skip
    if not any(each.told for each in tried):
        raise FlawlineError(f"registration.align = auto found no alignment that can be used: {tried[0].reason}")
    still = hardly_move(tried, auto, min(trial.learned[0].shape[1:]))
    usable = [each for each in tried if each.told]
    best = max(usable, key=lambda each: each.auroc(misplaced=still)).decides(misplaced=still)
    chosen = next(each for each in usable if is_as_good(each.decides(misplaced=still), best, errors=ERRORS,
                                                        least=auto.least_gain))  # fmt: skip
    rows = [each.row(best, chosen=each is chosen, misplaced=still) for each in tried]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True)
class Tried:
    """An alignment that was tried: AUROCs of each memory, how the images lie, or why it cannot be used."""

    align: str
    told: Sequence["Told"] = ()  # by each memory
    aligned_share: float = np.nan
    angle_spread: float = np.nan  # degrees
    shift_spread: float = np.nan  # pixels
    reason: str = ""

    def better(self, *, misplaced: bool) -> "Told":
        """Return what the memory told that tells defects better; ``misplaced`` images are among them or not."""
        return max(self.told, key=lambda each: float(each.decides(misplaced=misplaced)[0].mean()))

    def decides(self, *, misplaced: bool) -> Placed:
        return self.better(misplaced=misplaced).decides(misplaced=misplaced)

    def auroc(self, *, misplaced: bool) -> float:
        return float(self.decides(misplaced=misplaced)[0].mean())

    def row(self, best: Placed, *, chosen: bool, misplaced: bool) -> list[Any]:
        """Return the row of the table."""
        figures = [np.nan] * 5
        if self.told:
            told = self.better(misplaced=misplaced)
            parts = [float(of_defects.mean()) for of_defects, _ in (told.pseudo, told.misplaced)]
            figures = [self.auroc(misplaced=misplaced), *behind(self.decides(misplaced=misplaced), best), *parts]
        return [self.align, chosen, *figures, self.aligned_share, self.angle_spread, self.shift_spread, self.reason]


class Told(NamedTuple):
    """How a memory tells normal images from pseudo-defects, from misplaced ones, and from both."""

    pseudo: Placed
    misplaced: Placed
    both: Placed

    def decides(self, *, misplaced: bool) -> Placed:
        return self.both if misplaced else self.pseudo


def hardly_move(tried: Sequence[Tried], params: AutoAlignParams, side: int) -> bool:
    """Return True if, by all alignments that can be used, parts lie more alike than misplaced ones do: otherwise a
    misplaced one is as good as any."""
    moved = [each for each in tried if np.isfinite(each.angle_spread)]
    return all(each.angle_spread < params.turn / 3 and each.shift_spread < params.shift * side for each in moved)


def _try(align: str, trial: Trial, registration: RegistrationParams, judge: Judge, names: Sequence[str]) -> Tried:
    try:
        frame, spreads = _frame_of(align, trial, registration, names)
        frames = [framed[0] for framed in map(frame, trial.learned) if framed is not None]
        score = judge.memories(frames, places=len({image.shape[1:] for image in trial.learned}) == 1)
        normal, damaged, misplaced = (
            _scores(some, lambda image: score(frame(image)), judge.workers)
            for some in (trial.normal, trial.damaged, trial.misplaced)
        )
    except FlawlineError as error:
        return Tried(align, reason=str(error))
    told = [
        Told(*(placements(good, some) for some in (bad, moved, [*bad, *moved])))
        for good, bad, moved in zip(normal, damaged, misplaced, strict=True)
    ]
    angle, shift = spreads
    return Tried(align, told, len(frames) / len(trial.learned), angle, shift)


def _scores(
    images: Sequence[NDArray], score: Callable[[NDArray], list[float]], workers: int
) -> NDArray[np.float64]:  # fmt: skip
    """Return the scores (memories, n) of images, each made by the worker that scores it."""
    return np.array(list(side_by_side(lambda k: score(images[k]), range(len(images)), workers=workers))).T


def _frame_of(
    align: str, trial: Trial, registration: RegistrationParams, names: Sequence[str]
) -> tuple[Frame, tuple[float, float]]:
    """Return what brings an image into its frame, and the spread of the angles (degrees) and of the shifts (pixels) of
    the images learned from. Raise FlawlineError if it cannot be used."""
    if align == "none":
        return lambda image: (image, None), (np.nan, np.nan)
    aligner, found = fit_aligner(trial.learned, registration.but(align=align, reference=None), names=names)
    angles = np.array([move.angle for move, _ in found])
    shifts = np.array([(move.shift_y, move.shift_x) for move, _ in found])

    def frame(image: NDArray) -> Framed | None:
        alignment = aligner.align(image)
        if not alignment.aligned:
            return None
        return aligner.warp(image, alignment), aligner.seen(alignment, image.shape[1:])

    return frame, (angle_spread(angles, period=FULL_TURN), float(np.hypot(*shifts.std(axis=0))))


def misplaced(image: NDArray, params: AutoAlignParams, rng: np.random.Generator) -> NDArray:
    """Return an image (C, H, W) turned by up to ``params.turn`` degrees either way, at least a third of that, and moved
    by up to ``params.shift`` of its sides; its border goes on outside."""
    matrix = Transform(rng.choice([-1, 1]) * rng.uniform(params.turn / 3, params.turn)).matrix
    size = np.array(image.shape[1:])
    offset = (size - 1) / 2 - matrix @ ((size - 1) / 2) + rng.uniform(-params.shift, params.shift, 2) * size
    planes = [affine_transform(plane.astype(np.float32), matrix, offset, order=1, mode="nearest") for plane in image]
    return np.rint(planes).astype(image.dtype)


def chosen_alignment(registration: RegistrationParams, choice: pd.DataFrame) -> RegistrationParams:
    """Return the parameters with the alignment that was chosen in the place of ``auto``; else as they are."""
    if registration.align != "auto":
        return registration
    return registration.but(align=str(choice.loc[choice["chosen"], "align"].iloc[0]))
