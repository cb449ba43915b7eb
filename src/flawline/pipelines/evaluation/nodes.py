"""Scores and maps to thresholds, metrics, verdicts and the finished detector."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from torch import Tensor

from flawline.detector.engine_check import with_check
from flawline.detector.evaluating import (
    calibrated_on,
    judge_tests,
    long_form,
    measure,
    measure_raw,
    reduction_of,
    standing_out,
    training_metrics,
    with_outlier,
)
from flawline.detector.file import Detector
from flawline.detector.making import (
    calibrated,
    calibrating,
    figures_learned,
    files_learned,
    kept_params,
    learned_from,
    network_of,
)
from flawline.detector.operating_points import operating_points
from flawline.detector.thresholds import Thresholds
from flawline.intake.measuring import Measurements
from flawline.methods.one_class import level_state
from flawline.methods.registry import Method
from flawline.metrics.images import image_curves
from flawline.params import ComputeParams, EvaluationParams, IngestionParams, InspectionParams, RegistrationParams
from flawline.storage.ragged import RaggedArray
from flawline.storage.tensors import packed


def make_calibrate(spec: Method) -> Callable:
    """Return the node that calibrates a method."""

    def calibrate_thresholds(
        scores: pd.DataFrame, pseudo_scores: pd.DataFrame, evaluation: EvaluationParams, scorer: Any,
        aligner: dict[str, Tensor], folds: pd.DataFrame | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the thresholds from the scores of the calibration images, and of pseudo-defects in copies of these.

        The promise of folds is proven where no score rises with one more image, and nothing else was learned from the
        images that calibrate: an aligner, a level of brightness, or which method to take, was."""
        basis = map_basis = "split"
        if folds is not None and len(folds):
            proven = not aligner and not spec.chooses and spec.make_scorer(scorer).is_monotone(len(folds))
            basis = "monotone" if proven else "cross"
            map_basis = basis if spec.by_map else "cross"
        pseudo = pseudo_scores["score"].tolist()
        levels = calibrated_on(scores, evaluation, pseudo=pseudo, basis=basis, map_basis=map_basis)
        return with_outlier(levels, scores, pseudo, evaluation.outlier_quantile).to_dict()

    return calibrate_thresholds


def list_suspicious(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the good images that stand out among those that calibrate, the highest score first: image, score."""
    return standing_out(scores)[["image", "score"]].reset_index(drop=True)


def list_operating_points(
    scores: pd.DataFrame, pseudo_scores: pd.DataFrame, thresholds: dict[str, Any], evaluation: EvaluationParams
) -> pd.DataFrame:
    """Return a row for each operating point: the thresholds as they are, tighter and looser ones, what they promise and
    what came of them on test images."""
    return operating_points(scores, pseudo_scores["score"].tolist(), Thresholds.from_dict(thresholds), evaluation)


def make_evaluate(spec: Method) -> Callable:
    """Return the node that measures a method."""

    def evaluate(
        scores: pd.DataFrame, maps: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame, *,
        thresholds: dict[str, Any], evaluation: EvaluationParams, history: pd.DataFrame | None = None,
        codes: RaggedArray | None = None, residuals: RaggedArray | None = None, scorer: Any = None,
        similarity: pd.DataFrame | None = None,
    ) -> tuple[dict[str, Any], pd.DataFrame]:  # fmt: skip
        """Return (metrics, curves) of the test images: metrics as {"values", "absent"} with the reason of each absence,
        curves in long form (curve, x, y). A and IoU are taken over the defective images, as in Schneider 2022. Of a
        reconstructor of the method's own: the seconds of its training, the share of its codes that no image uses,
        how well good test images are reconstructed, and metrics named raw_..., which are those of its residual maps at
        a threshold calibrated on these."""
        values, absent, counts = measure(
            scores, maps, masks, manifest,
            thresholds=Thresholds.from_dict(thresholds), aupro_limit=evaluation.aupro_limit,
        )  # fmt: skip
        if residuals is not None:
            raw, raw_absent = measure_raw(residuals, masks, manifest, evaluation, spec.typed(scorer).image_score)  # type: ignore[attr-defined]
            values, absent = values | raw, absent | raw_absent
        values |= training_metrics(history, codes, similarity)
        tests = scores[scores["split"] == "test"]
        curves = image_curves(tests["score"].to_numpy(), tests["label"].to_numpy()) | counts.curves()
        return {"values": values, "absent": absent}, long_form(curves)

    return evaluate


def make_judge_tests(spec: Method) -> Callable:
    """Return the node that judges the test images, by regions or as a whole."""

    def judge_test_images(
        scores: pd.DataFrame, maps: RaggedArray, manifest: pd.DataFrame, alignment: pd.DataFrame, *,
        thresholds: dict[str, Any], inspection: InspectionParams, scorer: Any,
    ) -> pd.DataFrame:  # fmt: skip
        """Return the verdict of every test image at the calibrated thresholds, a row an image."""
        levels, reduction = Thresholds.from_dict(thresholds), reduction_of(spec, scorer, maps, scores["split"])
        return judge_tests(
            scores, maps, manifest, alignment, thresholds=levels, inspection=inspection, reduction=reduction
        )

    return judge_test_images


def make_finish(spec: Method) -> Callable:
    """Return the node that packs a method's detector."""

    def finish_detector(
        images: RaggedArray, manifest: pd.DataFrame, scores: pd.DataFrame, thresholds: dict[str, Any], *,
        pseudo_scores: pd.DataFrame, maps: RaggedArray, aligner: dict[str, Tensor], measurements: Measurements,
        category: str, seed: int, scorer: Any, evaluation: EvaluationParams, registration: RegistrationParams,
        inspection: InspectionParams, ingestion: IngestionParams, compute: ComputeParams,
        one_class: dict[str, Tensor] | None = None, weights: dict[str, Tensor] | None = None, **parts: Any,
    ) -> Detector:  # fmt: skip
        """Return the portable detector, with the reconstructor of the method if it has one; one that runs a network
        with some of the images that calibrated it."""
        reduction = reduction_of(spec, scorer, maps, scores["split"])
        learned = (one_class or {}) | (level_state(reduction) if reduction else {})
        groups = {"one_class": learned, "reconstructor": weights or {}, "aligner": aligner}
        params = kept_params(spec, scorer, parts)
        made = Detector(
            method=spec.name,
            category=category,
            params=params,
            weights=packed(groups),
            inspection=inspection.over(InspectionParams(strict=ingestion.strict)),
            about={"seed": str(seed), "images": images.digest} | network_of(spec, params["scorer"]),
            **learned_from(images, manifest, registration, aligned="reference" in aligner),
            **figures_learned(images, manifest, measurements),
            **files_learned(manifest),
            **calibrated(scores, pseudo_scores, Thresholds.from_dict(thresholds), evaluation),
        )
        return with_check(made, calibrating(images, manifest, scores), compute) if spec.runs_network else made

    return finish_detector
