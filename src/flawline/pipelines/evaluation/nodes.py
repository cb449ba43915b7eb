"""Scores and maps to thresholds, metrics, verdicts and the finished detector."""

from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from flawline.methods.detector import Detector, Thresholds, calibrate, judge, verdict_row
from flawline.methods.registry import Method
from flawline.metrics.images import image_curves, image_metrics
from flawline.metrics.maps import MapCounts, pixel_metrics
from flawline.params import EvaluationParams, InspectionParams, MapParams, Params, PatchParams, RegistrationParams
from flawline.pipelines.embedding.nodes import SCORED, score_images
from flawline.vision.manifest import rows_of
from flawline.vision.ragged import RaggedArray
from flawline.vision.registration import cuts_ends

TOLD_OF_RAW_MAPS = (  # metrics
    "image_auroc", "pixel_auroc", "aupro", "A", "iou", "oracle_A", "oracle_iou", "oracle_pixel_threshold",
)  # fmt: skip


def calibrate_thresholds(scores: pd.DataFrame, evaluation: EvaluationParams) -> dict[str, Any]:
    """Return the reject and review thresholds from the scores of the calibration images."""
    held_out = scores.loc[scores["split"] == "calibration", "score"].tolist()
    return calibrate(
        held_out, target_overkill=evaluation.target_overkill, review_overkill=evaluation.review_overkill
    ).to_dict()


def evaluate(
    scores: pd.DataFrame,
    maps: RaggedArray,
    residuals: RaggedArray,
    masks: RaggedArray,
    manifest: pd.DataFrame,
    history: pd.DataFrame,
    thresholds: dict[str, Any],
    evaluation: EvaluationParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return (metrics, curves) of the test images: metrics as {"values", "absent"} with the reason of each absence,
    curves in long form (curve, x, y). A and IoU are taken over the defective images, as in Schneider 2022.

    Metrics named raw_... are those of the raw maps, at a threshold calibrated on these."""
    values, absent, counts = measure(scores, maps, masks, manifest, thresholds, evaluation)
    raw_scores = score_images(residuals, manifest)
    raw_thresholds = calibrate_thresholds(raw_scores, evaluation)
    raw, raw_absent, _ = measure(raw_scores, residuals, masks, manifest, raw_thresholds, evaluation)
    values |= {f"raw_{name}": raw[name] for name in TOLD_OF_RAW_MAPS if name in raw}
    absent |= {f"raw_{name}": raw_absent[name] for name in TOLD_OF_RAW_MAPS if name in raw_absent}
    values["train_seconds"] = float(history["seconds"].sum())
    tests = scores[scores["split"] == "test"]
    curves = image_curves(tests["score"].to_numpy(), tests["label"].to_numpy()) | counts.curves()
    return {"values": values, "absent": absent}, long_form(curves)


def measure(
    scores: pd.DataFrame,
    maps: RaggedArray,
    masks: RaggedArray,
    manifest: pd.DataFrame,
    thresholds: dict[str, Any],
    evaluation: EvaluationParams,
) -> tuple[dict[str, float], dict[str, str], MapCounts]:
    """Return (values, absent, the counted pixels) of the test images' scores and maps at the reject threshold."""
    threshold = Thresholds.from_dict(thresholds).reject.value
    tests = scores[scores["split"] == "test"]
    values, absent = image_metrics(tests["score"].to_numpy(), tests["label"].to_numpy(), threshold)
    everything, defective = count_pixels(tests, maps, masks, manifest)
    pixel_values, pixel_absent = pixel_metrics(everything, defective, threshold, aupro_limit=evaluation.aupro_limit)
    return values | pixel_values, absent | pixel_absent, everything


def count_pixels(
    tests: pd.DataFrame, maps: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame
) -> tuple[MapCounts, MapCounts]:
    """Count the pixels of all test images whose masks are known, and of the defective ones among them."""
    everything, defective = MapCounts(), MapCounts()
    rows = rows_of(manifest, SCORED)
    for k, label in tests["label"].items():
        mask = masks[rows[k]]
        if label == 0:
            everything.add(maps[k], None)
        elif mask.size:
            everything.add(maps[k], mask)
            defective.add(maps[k], mask)
    return everything, defective


def long_form(curves: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return all curves in one table (curve, x, y): the first two columns of each, in order."""
    tables = [
        pd.DataFrame({"curve": name, "x": table.iloc[:, 0], "y": table.iloc[:, 1]}) for name, table in curves.items()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["curve", "x", "y"])


def judge_tests(
    scores: pd.DataFrame, maps: RaggedArray, manifest: pd.DataFrame, thresholds: dict[str, Any],
    inspection: InspectionParams,
) -> pd.DataFrame:  # fmt: skip
    """Judge every test image at the calibrated thresholds; return a row an image (none: an empty table)."""
    tests = scores[scores["split"] == "test"]
    digests = manifest.set_index("image")["sha256"]
    levels = Thresholds.from_dict(thresholds)
    rows = [verdict_row(name, digests[name], judge(maps[k], levels, inspection), inspection)
            for k, name in tests["image"].items()]  # fmt: skip
    columns = list(rows[0]) if rows else ["image", "verdict", "score", "reason"]
    return pd.DataFrame(rows, columns=columns).assign(
        label=tests["label"].to_numpy(), defect=tests["defect"].to_numpy()
    )


def make_finish(spec: Method):  # type: ignore[no-untyped-def]
    """Return the node that packs a method's detector, ``model`` hinted with that method's own parameters."""

    def finish_detector(
        weights: dict[str, Tensor],
        images: RaggedArray,
        manifest: pd.DataFrame,
        scores: pd.DataFrame,
        thresholds: dict[str, Any],
        category: str,
        seed: int,
        patches: PatchParams,
        model: Params,
        map: MapParams,
        evaluation: EvaluationParams,
        registration: RegistrationParams,
    ) -> Detector:
        """Return the portable detector."""
        seen = rows_of(manifest, ["train", "validation", "calibration"])  # a test image must not widen what is judged
        sizes = np.array([images.shapes[i][1:] for i in seen])  # (n, 2)
        params = {"patches": patches, "model": model, "map": map}
        return Detector(
            method=spec.name,
            category=category,
            params={name: value.model_dump(mode="json") for name, value in params.items()},
            channels=images.shapes[seen[0]][0],
            depth=8 * images[seen[0]].itemsize,
            smallest=tuple(sizes.min(axis=0).tolist()),
            largest=tuple(sizes.max(axis=0).tolist()),
            thresholds=Thresholds.from_dict(thresholds),
            review_overkill=evaluation.review_overkill,
            calibration_scores=tuple(scores.loc[scores["split"] == "calibration", "score"]),
            weights=weights,
            trim_ends=cuts_ends(manifest, registration.trim_ends),
            about={"seed": str(seed), "images": images.digest},
        )

    finish_detector.__annotations__["model"] = spec.model_params
    return finish_detector
