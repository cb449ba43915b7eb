"""Which alignment suits a product, decided from its normal images alone.

Half of some training images are learned from by a patch memory, as they are and aligned in each way; the others, and
pseudo-defects in them, are scored. The alignment that tells pseudo-defects from normal images best is taken. One family
of pseudo-defects is the whole part, turned and moved: where parts hardly move, a misplaced one is a defect, and an
alignment would undo it. No test image and no label of a defect takes part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from flawline.checks import FlawlineError
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.maps import within
from flawline.methods.one_class import IMAGE
from flawline.methods.patch_memory import PatchMemory
from flawline.methods.patch_memory_free import PatchMemoryFree
from flawline.metrics.reductions import Reduction
from flawline.params import (
    AutoAlignParams,
    DefectInjectionParams,
    PatchMemoryFreeParams,
    PatchMemoryParams,
    RegistrationParams,
)
from flawline.vision.defects import PseudoDefects
from flawline.vision.fitting import Track, evenly_spread, fit_aligner, untracked
from flawline.vision.orientation import angle_spread
from flawline.vision.transform import Transform

CANDIDATES = ("none", "shift", "rigid", "structure_tensor")  # the simplest first
COLUMNS = ("align", "chosen", "auroc", "pseudo_auroc", "misplaced_auroc", "aligned_share", "angle_spread",
           "shift_spread", "reason")  # fmt: skip
FULL_TURN = 360.0

Framed = tuple[NDArray, NDArray[np.bool_] | None]  # an image (C, h, w) as it is judged, and its pixels that are seen
Frame = Callable[[NDArray], Framed | None]  # what makes it of a photograph; None: it cannot be judged


@dataclass(frozen=True)
class Judge:
    """What judges alignments: a patch memory, and the pseudo-defects that it is to find. Images of several sizes cannot
    be compared place by place: they have a memory that knows no places, so that all alignments are judged alike."""

    scorer: PatchMemoryParams
    free: PatchMemoryFreeParams
    injection: DefectInjectionParams
    seed: int
    device: str = "cpu"

    def trial(self, images: Sequence[NDArray], params: AutoAlignParams) -> "Trial":
        """Return half of ``images`` (C, H, W) to learn from, the others, and pseudo-defects in these."""
        others = images[1::2]
        of_each = max(1, -(-params.defects // len(others)))
        injection = self.injection.but(per_image=of_each, least=1, most=params.defects)
        made = PseudoDefects(others, injection, self.seed)
        rng = np.random.default_rng([self.seed, len(others)])
        return Trial(
            images[::2],
            others,
            [made[k].image for k in range(len(made))],
            [misplaced(image, params, rng) for image in others],
        )

    def memory(self, frames: Sequence[NDArray], *, places: bool = True) -> Callable[[Framed | None], float]:
        """Return what scores an image in its frame, learned from normal ``frames``; infinite for one without. With
        ``places`` it is a memory that knows places."""
        memory = (PatchMemory(self.scorer, device=self.device) if places else
                  PatchMemoryFree(self.free, device=self.device))  # fmt: skip
        reduction = Reduction(memory.params.image_score)

        def inputs(some: Sequence[NDArray]) -> InputSequence:
            rows = range(len(some))
            plain = InputSequence((IMAGE,), some, rows)
            return InputSequence((IMAGE,), some, rows, embeddings=list(embed_all(memory, plain, batch_size=1)))

        state = memory.fit(inputs(frames), seed=self.seed)

        def score(framed: Framed | None) -> float:
            if framed is None:
                return np.inf
            frame, seen = framed
            return reduction(within(memory.anomaly_map(state, inputs([frame])[0]), seen))

        return score


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
    one is ``chosen``: the simplest of those within ``auto.least_gain`` of the best AUROC.

    The pooled ``auroc`` is of pseudo-defects and misplaced images together. Raise FlawlineError if none can be used."""
    auto = registration.auto
    some = evenly_spread(len(images), auto.images)
    if len(some) < 4:
        raise FlawlineError(
            f"registration.align = auto needs at least 4 normal training images to try alignments on, got {len(some)}. "
            f"Add photographs, or name an alignment: none, shift, rigid, similarity, structure_tensor."
        )
    trial = judge.trial([images[k] for k in some], auto)
    labels = [names[k] for k in some[::2]]
    rows = [_try(each, trial, registration, judge, labels) for each in
            track(CANDIDATES, total=len(CANDIDATES), label="trying alignments")]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if table["auroc"].isna().all():
        raise FlawlineError(f"registration.align = auto found no alignment that can be used: {rows[0][-1]}")
    near = table.index[table["auroc"] >= table["auroc"].max() - auto.least_gain]
    return table.assign(chosen=table.index == near[0])


def _try(align: str, trial: Trial, registration: RegistrationParams, judge: Judge, names: Sequence[str]) -> list[Any]:
    """Return a row of the table for one alignment; without figures, and with the reason, where it cannot be used."""
    try:
        frame, spreads = _frame_of(align, trial, registration, names)
        frames = [framed[0] for image in trial.learned if (framed := frame(image)) is not None]
        score = judge.memory(frames, places=len({image.shape[1:] for image in trial.learned}) == 1)
        normal, damaged, misplaced = (
            [score(frame(image)) for image in some] for some in (trial.normal, trial.damaged, trial.misplaced)
        )
    except FlawlineError as error:
        return [align, False, *[np.nan] * 6, str(error)]
    told = [auroc(normal, some) for some in (damaged + misplaced, damaged, misplaced)]
    return [align, False, *told, len(frames) / len(trial.learned), *spreads, ""]


def _frame_of(
    align: str, trial: Trial, registration: RegistrationParams, names: Sequence[str]
) -> tuple[Frame, list[float]]:
    """Return what brings an image into its frame, and the spread of the angles (degrees) and of the shifts (pixels) of
    the images learned from. Raise FlawlineError if it cannot be used."""
    if align == "none":
        return lambda image: (image, None), [np.nan, np.nan]
    aligner, found = fit_aligner(trial.learned, registration.but(align=align, reference=None), names=names)
    angles = np.array([move.angle for move, _ in found])
    shifts = np.array([(move.shift_y, move.shift_x) for move, _ in found])

    def frame(image: NDArray) -> Framed | None:
        alignment = aligner.align(image)
        if not alignment.aligned:
            return None
        return aligner.warp(image, alignment), aligner.seen(alignment, image.shape[1:])

    return frame, [angle_spread(angles, period=FULL_TURN), float(np.hypot(*shifts.std(axis=0)))]


def auroc(normal: Sequence[float], anomalous: Sequence[float]) -> float:
    """Return how often an anomalous score is above a normal one, ties counting half; infinite scores may be among
    them."""
    ours, others = np.array(anomalous)[:, None], np.array(normal)[None]
    return float(((ours > others) + 0.5 * (ours == others)).mean())


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
