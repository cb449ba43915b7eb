"""How good a method is on the test images: thresholds from the calibration images, metrics, curves and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.detector.judging import Judgement, judge, verdict_row, with_p_value
from flawline.detector.thresholds import Thresholds, calibrate, calibrate_by_cost, costs_of
from flawline.intake.manifest import rows_of
from flawline.methods.one_class import Scored
from flawline.methods.reconstruction import dead_share
from flawline.methods.registry import SCORED, Method
from flawline.metrics.images import image_metrics
from flawline.metrics.intervals import rate_with_interval
from flawline.metrics.maps import MapCounts, pixel_metrics
from flawline.metrics.outliers import OutlierThreshold, far_out, outlier_threshold
from flawline.metrics.reductions import Reduction, learn_reduction
from flawline.params import EvaluationParams, ImageScoreParams, InspectionParams
from flawline.storage.ragged import RaggedArray

LEAST_SHARES = {"image_auroc_from_2": 0.02, "image_auroc_from_10": 0.1}  # metric: share of a patch that is marked
TOLD_OF_OUTLIERS = ("f1", "accuracy")  # metrics
COUNTED = {"overkill_rate": ("overkill", "normals"), "escape_rate": ("escapes", "defectives")}  # rate: count, of all
TOLD_OF_RAW_MAPS = (  # metrics
    "image_auroc", "pixel_auroc", "aupro", "A", "iou", "oracle_A", "oracle_iou", "oracle_pixel_threshold",
)  # fmt: skip


def scores_of(rows: pd.DataFrame, **columns: list[float]) -> pd.DataFrame:
    """Return a row for each of the manifest's ``rows``: image, split, label, defect and ``columns``."""
    return rows[["image", "split", "label", "defect"]].assign(**columns).reset_index(drop=True)


def learned_reduction(params: ImageScoreParams, maps: Sequence[NDArray], splits: pd.Series) -> Reduction:
    """Return how ``maps`` become scores; if normal maps have a part in it, it is the calibration images'."""
    return learn_reduction(params, (maps[k] for k in np.flatnonzero(splits == "calibration").tolist()))


def reduction_of(spec: Method, scorer: Any, maps: Sequence[NDArray], splits: pd.Series) -> Reduction | None:
    """Return how a method's ``maps``, of images in ``splits``, become scores; None of a method that scores otherwise.
    ``scorer`` are its parameters as they stand in conf."""
    if not spec.by_map:
        return None
    return learned_reduction(spec.typed(scorer).image_score, maps, splits)  # type: ignore[attr-defined]


def reduced(maps: Sequence[NDArray], reduction: Reduction) -> dict[str, list[float]]:
    """Return the columns of the scores that are made of ``maps``: score, and map_maximum, by which regions are told,
    where that is not the score."""
    scores = {"score": [reduction(one) for one in maps]}
    return scores if reduction.is_maximum else scores | {"map_maximum": [float(one.max()) for one in maps]}


def compare_reductions(
    scores: pd.DataFrame, maps: Sequence[NDArray], reductions: Sequence[ImageScoreParams]
) -> pd.DataFrame:
    """Return a row for each of ``reductions``: reduction, share, and the image_auroc and image_ap that the test images
    have by it. ``maps`` are a method's as they are stored, in the rows of its ``scores``; they are read once.

    A reduction that is chosen by this table is chosen on test labels: an oracle on the images that it was made from.
    Raise FlawlineError if there are no normal or no defective test images."""
    learned = [learned_reduction(each, maps, scores["split"]) for each in reductions]
    tests = scores[scores["split"] == "test"]
    found = np.array([[reduction(maps[k]) for reduction in learned] for k in tests.index])  # (images, reductions)
    rows = []
    for params, column in zip(reductions, found.reshape(len(tests), len(learned)).T, strict=True):
        values, absent = image_metrics(column, tests["label"].to_numpy(), np.inf)
        if "image_auroc" in absent:
            raise FlawlineError(f"reductions cannot be compared: image_auroc {absent['image_auroc']}")
        rows.append((params.reduction, params.share, values["image_auroc"], values["image_ap"]))
    return pd.DataFrame(rows, columns=["reduction", "share", "image_auroc", "image_ap"])


def calibrated_on(
    scores: pd.DataFrame, evaluation: EvaluationParams, *, pseudo: Sequence[float] | None = None, basis: str = "split",
    map_basis: str | None = None,
) -> Thresholds:  # fmt: skip
    """Return the thresholds from the scores of the calibration images, and from their maps' maxima where these are told
    apart; ``basis`` is what their promises rest on, ``map_basis`` that of the maxima where it is another. Where costs
    are given and the scores of ``pseudo`` defects too, by these."""
    held_out, costs = scores[scores["split"] == "calibration"], costs_of(evaluation.costs)
    more: dict[str, Any] = {"map_maxima": map_maxima_of(held_out), "basis": basis, "map_basis": map_basis}
    if costs is not None and pseudo is not None:
        return calibrate_by_cost(held_out["score"].tolist(), pseudo, costs, **more)
    targets = {name: getattr(evaluation, name) for name in ("target_overkill", "review_overkill")}
    return calibrate(held_out["score"].tolist(), **targets, **more)


def standing_out(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the calibration images whose scores lie far above those of the others, the highest first: a
    dirty or damaged part among the good ones raises the threshold for all."""
    held_out = scores[scores["split"] == "calibration"]
    if held_out.empty:
        return held_out
    return held_out[far_out(held_out["score"].tolist())].sort_values("score", ascending=False)


def with_outlier(thresholds: Thresholds, scores: pd.DataFrame, pseudo: Sequence[float], quantile: float) -> Thresholds:
    """Return the thresholds with the pseudo-supervised one beside them: from the calibration images' scores and those
    of pseudo-defects in copies of them."""
    held_out = scores.loc[scores["split"] == "calibration", "score"].tolist()
    return replace(thresholds, outlier=outlier_threshold(held_out, pseudo, quantile=quantile))


def outlier_metrics(tests: pd.DataFrame, outlier: OutlierThreshold | None) -> dict[str, float]:
    """Return what the pseudo-supervised threshold is worth on test images, with the exact 95 % intervals of its rates;
    empty without one."""
    if outlier is None:
        return {}
    values, _ = image_metrics(tests["score"].to_numpy(), tests["label"].to_numpy(), outlier.value)
    told = {name: values[name] for name in TOLD_OF_OUTLIERS if name in values} | rates(values)
    return outlier.metrics() | {f"outlier_{name}": value for name, value in told.items()}


def rates(values: Mapping[str, float]) -> dict[str, float]:
    """Return the overkill rate and the escape rate with their exact 95 % intervals, where they were counted."""
    counted = {name: (int(values[count]), int(values[of])) for name, (count, of) in COUNTED.items() if count in values}
    return {key: value for name, (count, of) in counted.items()
            for key, value in rate_with_interval(name, count, of).items()}  # fmt: skip


def metrics_by_share(scores: pd.DataFrame, manifest: pd.DataFrame) -> dict[str, float]:
    """Return the image AUROC of patches against those defective ones alone of which a least share is marked, by
    `LEAST_SHARES`; empty of photographs, and where a class is missing. Many patches hold a few marked pixels only, and
    often nothing can be seen there."""
    if "mask_share" not in manifest:
        return {}
    share = scores["image"].map(manifest.set_index("image")["mask_share"]).to_numpy()
    told = {}
    for name, least in LEAST_SHARES.items():
        kept = scores[(scores["split"] == "test") & ((scores["label"] == 0) | (share >= least))]
        values, _ = image_metrics(kept["score"].to_numpy(), kept["label"].to_numpy(), np.inf)
        if "image_auroc" in values:
            told[name] = values["image_auroc"]
    return told


def map_maxima_of(scores: pd.DataFrame) -> list[float]:
    """Return the maps' maxima where these are not the scores, else none."""
    return scores["map_maximum"].tolist() if "map_maximum" in scores else []


def measure(
    scores: pd.DataFrame,
    maps: Sequence[NDArray],
    masks: RaggedArray,
    manifest: pd.DataFrame,
    *,
    thresholds: Thresholds,
    aupro_limit: float,
) -> tuple[dict[str, float], dict[str, str], MapCounts]:
    """Return (values, absent, the counted pixels) of the test images' scores and maps at the reject threshold."""
    tests = scores[scores["split"] == "test"]
    values, absent = image_metrics(tests["score"].to_numpy(), tests["label"].to_numpy(), thresholds.reject.value)
    values |= rates(values) | outlier_metrics(tests, thresholds.outlier) | metrics_by_share(scores, manifest)
    everything, defective = count_pixels(tests, maps, masks, manifest)
    pixel_values, pixel_absent = pixel_metrics(everything, defective, thresholds.on_map.value, aupro_limit=aupro_limit)
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


def measure_raw(
    residuals: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame, evaluation: EvaluationParams,
    image_score: ImageScoreParams,
) -> tuple[dict[str, float], dict[str, str]]:  # fmt: skip
    """Return (values, absent), named ``raw_...``, of the residual maps themselves at a threshold calibrated on them."""
    rows = rows_of(manifest, SCORED)
    maps = [residuals[row] for row in rows]
    reduction = learned_reduction(image_score, maps, manifest["split"].iloc[rows])
    scores = scores_of(manifest.iloc[rows], **reduced(maps, reduction))
    thresholds = calibrated_on(scores, evaluation)
    found, missing, _ = measure(
        scores, maps, masks, manifest, thresholds=thresholds, aupro_limit=evaluation.aupro_limit
    )
    return ({f"raw_{name}": each[name] for name in TOLD_OF_RAW_MAPS if name in each} for each in (found, missing))  # type: ignore[return-value]


def training_metrics(
    history: pd.DataFrame | None, codes: RaggedArray | None, similarity: pd.DataFrame | None = None
) -> dict[str, float]:
    """Return what of a training belongs to the metrics: its seconds, the share of latent units that are dead, and how
    good test images are reconstructed."""
    told = {} if history is None else {"train_seconds": float(history["seconds"].sum())}
    if codes is not None:
        every = np.concatenate(
            [each.reshape(-1, each.shape[-1]) for each in codes if each.size]
        )  # (images * positions, d)
        told["dead_latents"] = dead_share(torch.from_numpy(every))
    return told if similarity is None else told | reconstruction_metrics(similarity)


def reconstruction_metrics(similarity: pd.DataFrame) -> dict[str, float]:
    """Return the mean squared error, in grey levels from 0 to 255, and the mean structural similarity of good test
    images and their reconstructions (columns kind, error, ssim); empty where there are none. Rádli & Czúni 2022,
    Tables 3 to 5."""
    good = similarity[similarity["kind"] == "normal"]
    if good.empty:
        return {}
    return {
        "reconstruction_mse": float(good["error"].mean() * 255**2),
        "reconstruction_ssim": float(good["ssim"].mean()),
    }


def long_form(curves: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return all curves in one table (curve, x, y): the first two columns of each, in order."""
    tables = [
        pd.DataFrame({"curve": name, "x": table.iloc[:, 0], "y": table.iloc[:, 1]}) for name, table in curves.items()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["curve", "x", "y"])


def judge_tests(
    scores: pd.DataFrame, maps: Sequence[NDArray], manifest: pd.DataFrame, alignment: pd.DataFrame, *,
    thresholds: Thresholds, inspection: InspectionParams, reduction: Reduction | None,
) -> pd.DataFrame:  # fmt: skip
    """Return the verdict of every test image, a row an image (none: an empty table), with its label and defect. Those
    that could not be aligned are not judged."""
    tests = scores[scores["split"] == "test"]
    calibration = scores.loc[scores["split"] == "calibration", "score"].tolist()
    said = [
        (image, with_p_value(judge(Scored(score, maps[k]), thresholds, inspection, reduction), calibration))
        for k, image, score in zip(tests.index, tests["image"], tests["score"], strict=True)
    ]
    planned = manifest.set_index("image")["planned"]  # of patches, their photographs are not in it
    lost = alignment[~alignment["aligned"] & (alignment["image"].map(planned) == "test")]
    said += [(image, Judgement("not_judged", reason))
             for image, reason in zip(lost["image"], lost["reason"], strict=True)]  # fmt: skip
    table = manifest.set_index("image")
    rows = [verdict_row(image, table["sha256"][image], one, inspection) for image, one in said]
    found = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["image", "verdict", "score", "reason"])
    return found.assign(label=found["image"].map(table["label"]), defect=found["image"].map(table["defect"]))
