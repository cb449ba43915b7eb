"""Scores and maps to thresholds, metrics, verdicts and the finished detector."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.detector.file import Detector
from flawline.detector.judging import Judgement, judge, verdict_row
from flawline.detector.thresholds import Thresholds, calibrate
from flawline.intake.manifest import rows_of
from flawline.intake.registration import cuts_ends
from flawline.methods.features import network_digest
from flawline.methods.maps import image_score
from flawline.methods.one_class import Scored
from flawline.methods.reconstruction import dead_share
from flawline.methods.registry import SCORED, Method
from flawline.metrics.images import image_curves, image_metrics
from flawline.metrics.maps import MapCounts, pixel_metrics
from flawline.params import EvaluationParams, InspectionParams, RegistrationParams
from flawline.pipelines.embedding.nodes import scores_of
from flawline.storage.ragged import RaggedArray
from flawline.storage.tensors import packed

TOLD_OF_RAW_MAPS = (  # metrics
    "image_auroc", "pixel_auroc", "aupro", "A", "iou", "oracle_A", "oracle_iou", "oracle_pixel_threshold",
)  # fmt: skip


def calibrate_thresholds(scores: pd.DataFrame, evaluation: EvaluationParams) -> dict[str, Any]:
    """Return the thresholds from the scores of the calibration images, and from their maps' maxima where these are told
    apart."""
    held_out = scores[scores["split"] == "calibration"]
    return calibrate(
        held_out["score"].tolist(), target_overkill=evaluation.target_overkill,
        review_overkill=evaluation.review_overkill, map_maxima=_map_maxima(held_out),
    ).to_dict()  # fmt: skip


def make_evaluate(spec: Method) -> Callable:
    """Return the node that measures a method."""

    def evaluate(
        scores: pd.DataFrame, maps: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame, *,
        thresholds: dict[str, Any], evaluation: EvaluationParams, history: pd.DataFrame | None = None,
        codes: RaggedArray | None = None, residuals: RaggedArray | None = None,
    ) -> tuple[dict[str, Any], pd.DataFrame]:  # fmt: skip
        """Return (metrics, curves) of the test images: metrics as {"values", "absent"} with the reason of each absence,
        curves in long form (curve, x, y). A and IoU are taken over the defective images, as in Schneider 2022. Of a
        reconstructor of the method's own: the seconds of its training, the share of its codes that no image uses,
        and metrics named raw_..., which are those of its residual maps at a threshold calibrated on these."""
        values, absent, counts = measure(scores, maps, masks, manifest, thresholds, evaluation)
        if residuals is not None:
            raw, raw_absent = measure_raw(residuals, masks, manifest, evaluation)
            values, absent = values | raw, absent | raw_absent
        values |= told_of_training(history, codes)
        tests = scores[scores["split"] == "test"]
        curves = image_curves(tests["score"].to_numpy(), tests["label"].to_numpy()) | counts.curves()
        return {"values": values, "absent": absent}, long_form(curves)

    return evaluate


def measure_raw(
    residuals: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame, evaluation: EvaluationParams
) -> tuple[dict[str, float], dict[str, str]]:
    """Return (values, absent), named raw_..., of the residual maps themselves at a threshold calibrated on them."""
    rows = rows_of(manifest, SCORED)
    maps = [residuals[row] for row in rows]
    scores = scores_of(manifest.iloc[rows], score=[image_score(one) for one in maps])
    thresholds = calibrate_thresholds(scores, evaluation)
    found, missing, _ = measure(scores, maps, masks, manifest, thresholds, evaluation)
    return ({f"raw_{name}": each[name] for name in TOLD_OF_RAW_MAPS if name in each} for each in (found, missing))  # type: ignore[return-value]


def told_of_training(history: pd.DataFrame | None, codes: RaggedArray | None) -> dict[str, float]:
    """Return what of a training belongs to the metrics: its seconds, and the share of latent units that are dead."""
    told = {} if history is None else {"train_seconds": float(history["seconds"].sum())}
    if codes is not None:
        told["dead_latents"] = dead_share(torch.from_numpy(np.concatenate(list(codes))))  # of (images * positions, d)
    return told


def measure(
    scores: pd.DataFrame,
    maps: Sequence[NDArray],
    masks: RaggedArray,
    manifest: pd.DataFrame,
    thresholds: dict[str, Any],
    evaluation: EvaluationParams,
) -> tuple[dict[str, float], dict[str, str], MapCounts]:
    """Return (values, absent, the counted pixels) of the test images' scores and maps at the reject threshold."""
    levels = Thresholds.from_dict(thresholds)
    tests = scores[scores["split"] == "test"]
    values, absent = image_metrics(tests["score"].to_numpy(), tests["label"].to_numpy(), levels.reject.value)
    everything, defective = count_pixels(tests, maps, masks, manifest)
    pixel_values, pixel_absent = pixel_metrics(
        everything, defective, levels.on_map.value, aupro_limit=evaluation.aupro_limit
    )
    if not all(one.size for one in maps):
        pixel_absent = dict.fromkeys(pixel_absent, "the method judges an image as a whole and makes no map")
    return values | pixel_values, absent | pixel_absent, everything


def count_pixels(
    tests: pd.DataFrame, maps: Sequence[NDArray], masks: RaggedArray, manifest: pd.DataFrame
) -> tuple[MapCounts, MapCounts]:
    """Count the pixels of all test images whose masks are known, and of the defective ones among them."""
    everything, defective = MapCounts(), MapCounts()
    rows = rows_of(manifest, SCORED)
    for k, label in tests["label"].items():
        mask = masks[rows[k]]
        if not maps[k].size:
            continue
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


def make_judge_tests(spec: Method) -> Callable:
    """Return the node that judges the test images, by regions or as a whole."""

    def judge_tests(
        scores: pd.DataFrame, maps: RaggedArray, manifest: pd.DataFrame, alignment: pd.DataFrame,
        thresholds: dict[str, Any], inspection: InspectionParams,
    ) -> pd.DataFrame:  # fmt: skip
        """Judge every test image at the calibrated thresholds; return a row an image (none: an empty table). Those that
        could not be aligned are not judged."""
        tests = scores[scores["split"] == "test"]
        table = manifest.set_index("image")
        levels = Thresholds.from_dict(thresholds)
        said = [
            (image, judge(Scored(score, maps[k]), levels, inspection, by_map=spec.by_map))
            for k, image, score in zip(tests.index, tests["image"], tests["score"], strict=True)
        ]
        lost = alignment[~alignment["aligned"] & (manifest["planned"] == "test").to_numpy()]
        said += [(image, Judgement("not_judged", reason))
                 for image, reason in zip(lost["image"], lost["reason"], strict=True)]  # fmt: skip
        rows = [verdict_row(image, table["sha256"][image], one, inspection) for image, one in said]
        found = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["image", "verdict", "score", "reason"])
        return found.assign(label=found["image"].map(table["label"]), defect=found["image"].map(table["defect"]))

    return judge_tests


def make_finish(spec: Method) -> Callable:
    """Return the node that packs a method's detector."""

    def finish_detector(
        images: RaggedArray, manifest: pd.DataFrame, scores: pd.DataFrame, thresholds: dict[str, Any], *,
        aligner: dict[str, Tensor], category: str, seed: int, scorer: Any, evaluation: EvaluationParams,
        registration: RegistrationParams, inspection: InspectionParams,
        one_class: dict[str, Tensor] | None = None, weights: dict[str, Tensor] | None = None, **parts: Any,
    ) -> Detector:  # fmt: skip
        """Return the portable detector, with the reconstructor of the method if it has one."""
        groups = {"one_class": one_class or {}, "reconstructor": weights or {}, "aligner": aligner}
        params = kept_params(spec, scorer, parts)
        network = {"network": network_digest(params["scorer"]["features"])} if spec.scorer_class.embeds else {}
        return Detector(
            method=spec.name,
            category=category,
            params=params,
            weights=packed(groups),
            inspection=inspection,
            about={"seed": str(seed), "images": images.digest} | network,
            **learned_from(images, manifest, registration),
            **calibrated(scores, thresholds, evaluation),
        )

    return finish_detector


def kept_params(spec: Method, scorer: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return what a detector keeps of a method's parameters, as JSON: the scorer's, and its reconstructor's parts."""
    kept: dict[str, Any] = {"scorer": spec.typed(scorer).model_dump(mode="json")}
    if spec.reconstructor is not None:
        typed = spec.reconstructor.typed(**parts)
        kept["reconstructor"] = {name: value.model_dump(mode="json") for name, value in typed.items()}
    return kept


def learned_from(images: RaggedArray, manifest: pd.DataFrame, registration: RegistrationParams) -> dict[str, Any]:
    """Return what a detector holds of the images it learned from: a test image must not widen what is judged."""
    seen = rows_of(manifest, ["train", "validation", "calibration"])
    photographs = manifest[["height", "width"]].to_numpy()[seen]  # (n, 2)
    stored = np.array([images.shapes[i][1:] for i in seen])  # (n, 2)
    sizes = stored if registration.align == "none" else photographs
    return {
        "channels": images.shapes[seen[0]][0],
        "depth": 8 * images[seen[0]].itemsize,
        "smallest": tuple(sizes.min(axis=0).tolist()),
        "largest": tuple(sizes.max(axis=0).tolist()),
        "trim_ends": registration.align == "none" and cuts_ends(manifest, registration.trim_ends),
    }


def calibrated(scores: pd.DataFrame, thresholds: dict[str, Any], evaluation: EvaluationParams) -> dict[str, Any]:
    """Return what a detector holds of its calibration."""
    held_out = scores[scores["split"] == "calibration"]
    return {
        "thresholds": Thresholds.from_dict(thresholds),
        "review_overkill": evaluation.review_overkill,
        "calibration_scores": tuple(held_out["score"]),
        "calibration_map_maxima": tuple(_map_maxima(held_out)),
    }


def _map_maxima(scores: pd.DataFrame) -> list[float]:
    """Return the maps' maxima where these are not the scores, else none."""
    return scores["map_maximum"].tolist() if "map_maximum" in scores else []
