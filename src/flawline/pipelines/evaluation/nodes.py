"""Scores and maps to thresholds, metrics, verdicts and the finished detector."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from flawline.detector.detector import Detector, Judgement, Thresholds, calibrate, judge, verdict_row
from flawline.intake.manifest import rows_of
from flawline.intake.registration import cuts_ends
from flawline.methods.cpcae import dead_share
from flawline.methods.features import network_digest
from flawline.methods.heads import Scored
from flawline.methods.registry import Autoencoder, Method, OneClass
from flawline.metrics.images import image_curves, image_metrics
from flawline.metrics.maps import MapCounts, pixel_metrics
from flawline.params import (
    CPCAEModelParams,
    EvaluationParams,
    InspectionParams,
    MapParams,
    Params,
    PatchParams,
    PlacedPatchParams,
    RegistrationParams,
)
from flawline.pipelines.embedding.nodes import SCORED, score_images
from flawline.pipelines.hinting import hinted
from flawline.storage.ragged import RaggedArray
from flawline.storage.tensors import packed

TOLD_OF_RAW_MAPS = (  # metrics
    "image_auroc", "pixel_auroc", "aupro", "A", "iou", "oracle_A", "oracle_iou", "oracle_pixel_threshold",
)  # fmt: skip


def calibrate_thresholds(scores: pd.DataFrame, evaluation: EvaluationParams) -> dict[str, Any]:
    """Return the thresholds from the scores of the calibration images, and from their maps' peaks where these are told
    apart."""
    held_out = scores[scores["split"] == "calibration"]
    return calibrate(
        held_out["score"].tolist(), target_overkill=evaluation.target_overkill,
        review_overkill=evaluation.review_overkill, peaks=held_out["peak"].tolist() if "peak" in held_out else (),
    ).to_dict()  # fmt: skip


def evaluate(
    scores: pd.DataFrame,
    maps: RaggedArray,
    masks: RaggedArray,
    manifest: pd.DataFrame,
    thresholds: dict[str, Any],
    evaluation: EvaluationParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return (metrics, curves) of the test images: metrics as {"values", "absent"} with the reason of each absence,
    curves in long form (curve, x, y). A and IoU are taken over the defective images, as in Schneider 2022."""
    values, absent, counts = measure(scores, maps, masks, manifest, thresholds, evaluation)
    tests = scores[scores["split"] == "test"]
    curves = image_curves(tests["score"].to_numpy(), tests["label"].to_numpy()) | counts.curves()
    return {"values": values, "absent": absent}, long_form(curves)


def evaluate_autoencoder(
    scores: pd.DataFrame,
    maps: RaggedArray,
    residuals: RaggedArray,
    masks: RaggedArray,
    manifest: pd.DataFrame,
    history: pd.DataFrame,
    thresholds: dict[str, Any],
    evaluation: EvaluationParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return `evaluate`'s (metrics, curves), with the seconds of training and with metrics named raw_..., which are
    those of the raw maps at a threshold calibrated on these."""
    metrics, curves = evaluate(scores, maps, masks, manifest, thresholds, evaluation)
    values, absent = metrics["values"], metrics["absent"]
    raw_scores = score_images(residuals, manifest)
    raw_thresholds = calibrate_thresholds(raw_scores, evaluation)
    raw, raw_absent, _ = measure(raw_scores, residuals, masks, manifest, raw_thresholds, evaluation)
    values |= {f"raw_{name}": raw[name] for name in TOLD_OF_RAW_MAPS if name in raw}
    absent |= {f"raw_{name}": raw_absent[name] for name in TOLD_OF_RAW_MAPS if name in raw_absent}
    values["train_seconds"] = float(history["seconds"].sum())
    return metrics, curves


def evaluate_redrawer(
    scores: pd.DataFrame,
    maps: RaggedArray,
    masks: RaggedArray,
    manifest: pd.DataFrame,
    history: pd.DataFrame,
    codes: RaggedArray,
    thresholds: dict[str, Any],
    evaluation: EvaluationParams,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return `evaluate`'s (metrics, curves), with the seconds of training and the share of the latent code that no
    image makes use of."""
    metrics, curves = evaluate(scores, maps, masks, manifest, thresholds, evaluation)
    all_codes = torch.from_numpy(np.concatenate(list(codes)))  # (images * places, d)
    metrics["values"] |= {"train_seconds": float(history["seconds"].sum()), "dead_latents": dead_share(all_codes)}
    return metrics, curves


def measure(
    scores: pd.DataFrame,
    maps: RaggedArray,
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
    tests: pd.DataFrame, maps: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame
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


def make_finish(spec: Autoencoder) -> Callable:
    """Return the node that packs an autoencoder's detector, ``model`` hinted with that method's own parameters."""

    def finish_detector(
        weights: dict[str, Tensor], aligner: dict[str, Tensor], images: RaggedArray, manifest: pd.DataFrame,
        scores: pd.DataFrame, thresholds: dict[str, Any], category: str, seed: int, patches: PatchParams, model: Params,
        map: MapParams, evaluation: EvaluationParams, registration: RegistrationParams,
    ) -> Detector:  # fmt: skip
        """Return the portable detector."""
        params = {"patches": patches, "model": model, "map": map}
        return Detector(
            method=spec.name,
            params={name: value.model_dump(mode="json") for name, value in params.items()},
            weights=packed({"network": weights, "aligner": aligner}),
            **learned_from(images, manifest, registration),
            **calibrated(scores, thresholds, evaluation),
            category=category,
            about={"seed": str(seed), "images": images.digest},
        )

    return hinted(finish_detector, model=spec.model_params)


def make_finish_one_class(spec: OneClass) -> Callable:
    """Return the node that packs a one-class method's detector, ``head`` hinted with that method's own parameters."""

    def finish_detector(
        one_class: dict[str, Tensor], aligner: dict[str, Tensor], images: RaggedArray, manifest: pd.DataFrame,
        scores: pd.DataFrame, thresholds: dict[str, Any], category: str, seed: int, head: Params,
        evaluation: EvaluationParams, registration: RegistrationParams,
        redrawer_weights: dict[str, Tensor] | None = None, patches: PlacedPatchParams | None = None,
        model: CPCAEModelParams | None = None,
    ) -> Detector:  # fmt: skip
        """Return the portable detector, with what redraws its images if it looks at that."""
        redrawer = {"patches": patches, "model": model}
        params: dict[str, Any] = {"head": head.model_dump(mode="json")}
        network = {"network": network_digest(params["head"]["features"])} if spec.embeds else {}
        if redrawer_weights is not None:
            params["redrawer"] = {name: value.model_dump(mode="json") for name, value in redrawer.items() if value}
        return Detector(
            method=spec.name,
            params=params,
            weights=packed({"one_class": one_class, "redrawer": redrawer_weights or {}, "aligner": aligner}),
            **learned_from(images, manifest, registration),
            **calibrated(scores, thresholds, evaluation),
            category=category,
            about={"seed": str(seed), "images": images.digest} | network,
        )

    return hinted(finish_detector, head=spec.head_params)


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
        "calibration_map_maxima": tuple(held_out["peak"]) if "peak" in held_out else (),
    }
