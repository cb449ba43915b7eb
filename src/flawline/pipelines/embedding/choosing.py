"""The choice of a method's scorer by the normal images."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd
from torch import Tensor

from flawline.detector.judging import least_pixels
from flawline.intake.registration import frames_seen
from flawline.intake.splits import assign_folds
from flawline.methods.fold_scores import FoldFile
from flawline.methods.method_choice import choose_method, untried
from flawline.methods.trial import make_trial
from flawline.params import AutoMethodParams, ComputeParams, DefectInjectionParams, InspectionParams
from flawline.pipelines.embedding.held_out import learned_rows, scored_rows
from flawline.storage.digests import settings_digest
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.storage.unfinished import UnfinishedFile
from flawline.training.compute import as_asked, keep_memory, pick_runtime, workers_of
from flawline.training.progress import Progress
from flawline.vision.fitting import evenly_spread

ALIKE = "all good images belong together, so none can be held out from the others"


def choose_scorer(
    images: RaggedArray, manifest: pd.DataFrame, alignment: pd.DataFrame, near_duplicates: pd.DataFrame,
    folds: pd.DataFrame, *, aligner: dict[str, Tensor], scorer: Any, candidates: Any, choice: Any,
    defect_injection: DefectInjectionParams, min_area: float | None, mm_per_pixel: float | None,
    review_overkill: float, seed: int, compute: ComputeParams, unfinished: UnfinishedFile, progress: Progress,
) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame]:  # fmt: skip
    """Return (a row for each candidate with what it is worth, the chosen scorer's parameters, the share of each kind of
    pseudo-defects that it found), decided by the normal images that scorers learn from."""
    keep_memory()
    params = AutoMethodParams.model_validate({"scorer": scorer, "candidates": candidates, "choice": choice})
    learned = learned_rows(manifest, folds)
    rows = [learned[k] for k in evenly_spread(len(learned), params.choice.images)]
    apart = assign_folds(manifest.iloc[rows], params.choice.folds, seed=seed, near_duplicates=near_duplicates)
    shapes = [images.shapes[row] for row in {*learned, *scored_rows(manifest, folds)}]
    area = least_pixels(InspectionParams(min_area=min_area, mm_per_pixel=mm_per_pixel))
    if len(rows) < params.choice.least:
        few = f"{len(rows)} good images are too few to choose by: at least {params.choice.least} are needed"
        made = untried(params, shapes, few, area)
    elif len(set(apart.tolist())) < 2:
        made = untried(params, shapes, ALIKE, area)
    else:
        seen = frames_seen(manifest, alignment, aligner)
        trial = make_trial(
            Lazy.of(images, rows), [seen(manifest["image"].iloc[row]) for row in rows], apart, defect_injection,
            defects=params.choice.defects, seed=seed, least_area=area,
        )  # fmt: skip
        runtime = pick_runtime(compute)
        key = choice_key(
            images.digest, rows, params, runtime=str(runtime), shapes=sorted(set(shapes)), folds=apart.tolist(),
            injection=defect_injection.model_dump(mode="json"), seed=seed, least_area=area,
        )  # fmt: skip
        with as_asked(compute):
            made = choose_method(
                trial, params, review_overkill=review_overkill, shapes=shapes, least_area=area, runtime=runtime,
                workers=workers_of(compute),
                store=FoldFile(unfinished, key), track=progress.track,
            )  # fmt: skip
    return made.candidates, made.scorer.model_dump(mode="json"), made.kinds


def choice_key(images: str, rows: Sequence[int], params: AutoMethodParams, **others: Any) -> str:
    """Return a digest of all that shapes the scores of a choice: the images and which of them, the candidates, what is
    tried on how many, and the ``others``. How long it may take, and what counts as a tie, are left out."""
    choice = params.choice.model_dump(mode="json", exclude={"seconds", "noise", "image_score_noise"})
    candidates = {name: each.model_dump(mode="json") for name, each in params.candidates.items()}
    libraries = {name: version(name) for name in ("flawline", "torch")}
    return settings_digest([images, list(rows), choice, candidates, libraries, others])
