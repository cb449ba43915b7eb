"""Cross-conformal calibration: every normal image is learned from, and scored by a model that did not learn it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from flawline.checks import FlawlineError
from flawline.detector.scoring import ImageScorer
from flawline.intake.manifest import rows_of
from flawline.intake.registration import frames_seen
from flawline.intake.splits import assign_folds
from flawline.methods.inputs import InputSequence
from flawline.methods.maps import within
from flawline.methods.registry import LEARNED, SCORED, Method
from flawline.params import CalibrationParams, ComputeParams
from flawline.storage.ragged import Noted, RaggedArray
from flawline.storage.tensors import packed
from flawline.training.compute import as_asked, keep_memory, pick_runtime
from flawline.training.progress import Progress

CALIBRATES = (*LEARNED, "calibration")


def plan_folds(manifest: pd.DataFrame, near_duplicates: pd.DataFrame, calibration: Any, seed: int) -> pd.DataFrame:
    """Return the fold of every normal image that is learned from and calibrates too, a row an image: image, fold. Empty
    where the images that are held out calibrate alone, and where all belong together."""
    params = CalibrationParams.model_validate(calibration)
    rows = manifest.iloc[rows_of(manifest, CALIBRATES)]
    enough = params.how == "auto" and (rows["split"] == "calibration").sum() >= params.enough
    folds = assign_folds(rows, params.folds, seed=seed, near_duplicates=near_duplicates)
    if params.how == "split" or enough or len(np.unique(folds)) < 2:
        return pd.DataFrame({"image": pd.Series(dtype=str), "fold": pd.Series(dtype=np.int64)})
    return pd.DataFrame({"image": rows["image"].to_numpy(), "fold": folds})


def learned_rows(manifest: pd.DataFrame, folds: pd.DataFrame | None) -> list[int]:
    """Return the positions of the manifest's rows that a scorer learns from: those held out too where all calibrate in
    ``folds``."""
    return rows_of(manifest, CALIBRATES if _has(folds) else LEARNED)


def scored_rows(manifest: pd.DataFrame, folds: pd.DataFrame | None) -> list[int]:
    """Return the positions of the manifest's rows that have a score: first those outside train, then, where all
    calibrate in ``folds``, the others."""
    return rows_of(manifest, SCORED) + (rows_of(manifest, ("train",)) if _has(folds) else [])


def calibrating(rows: pd.DataFrame, folds: pd.DataFrame | None) -> pd.DataFrame:
    """Return rows of the manifest with the split calibration for those that calibrate in ``folds``."""
    if folds is None:
        return rows
    return rows.assign(split=rows["split"].mask(rows["image"].isin(folds["image"]), "calibration"))


def _has(folds: pd.DataFrame | None) -> bool:
    return folds is not None and len(folds) > 0


def make_score_held_out(spec: Method) -> Callable:
    """Return the node that scores every normal image by a model of the other folds, and pseudo-defects in it too."""

    def score_held_out(
        images: RaggedArray, manifest: pd.DataFrame, alignment: pd.DataFrame, folds: pd.DataFrame, *,
        pseudo_images: RaggedArray, pseudo_defects: pd.DataFrame, aligner: dict[str, Any], scorer: Any, seed: int,
        compute: ComputeParams, progress: Progress, embeddings: RaggedArray | None = None,
    ) -> Iterator[Noted]:  # fmt: skip
        """Return the maps (H, W) float16, fold by fold, none without folds. Each is noted with its ``image``, or with
        the row ``pseudo`` of its pseudo-defect, and with its score where that is not made from the map."""
        keep_memory()
        row_of = {image: row for row, image in enumerate(manifest["image"])}
        seen = frames_seen(manifest, alignment, aligner)
        sources = pseudo_defects["image"]

        def model_without(fold: int) -> ImageScorer:
            rows = [row_of[image] for image in folds.loc[folds["fold"] != fold, "image"]]
            inputs = InputSequence(spec.views, images, rows, None, embeddings)
            try:
                state = spec.make_scorer(scorer, runtime=pick_runtime(compute)).fit(inputs, seed=seed)
            except FlawlineError as error:
                raise FlawlineError(
                    f"{error} So it is without one of {folds['fold'].nunique()} folds, {len(rows)} of {len(folds)} "
                    f"images: more folds leave more (evaluation.calibration.folds), or calibrate with the images that "
                    f"are held out (evaluation.calibration.how=split)."
                ) from None
            weights = packed({"one_class": state, "reconstructor": {}})
            return ImageScorer(spec, {"scorer": scorer}, weights, channels=images.shapes[0][0], compute=compute)

        def noted(model: ImageScorer, image: Any, name: str, note: dict[str, Any], embedding: Any = None) -> Noted:
            scored, _ = model.score(image, embedding=embedding)
            return Noted(within(scored.map, seen(name)), note if spec.by_map else note | {"score": scored.score})

        def made() -> Iterator[Noted]:
            with as_asked(compute):
                for fold in sorted(folds["fold"].unique()):
                    model = model_without(fold)
                    held = folds.loc[folds["fold"] == fold, "image"].tolist()
                    for name in held:
                        embedding = None if embeddings is None else embeddings[row_of[name]]
                        yield noted(model, images[row_of[name]], name, {"image": name}, embedding)
                    for k in np.flatnonzero(sources.isin(held)).tolist():
                        yield noted(model, pseudo_images[k], sources[k], {"pseudo": k})

        total = len(folds) + int(sources.isin(folds["image"]).sum())
        return progress.track(made(), total=total, label=f"{spec.name}: held out, fold by fold")

    return score_held_out
