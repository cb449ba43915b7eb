"""How good a method is on the test images: thresholds from the calibration images, metrics, curves and verdicts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from flawline.detector.judging import Judgement, judge, verdict_row
from flawline.detector.thresholds import Thresholds, calibrate
from flawline.intake.manifest import rows_of
from flawline.methods.maps import image_score
from flawline.methods.one_class import Scored
from flawline.methods.reconstruction import dead_share
from flawline.methods.registry import SCORED
from flawline.metrics.images import image_metrics
from flawline.metrics.maps import MapCounts, pixel_metrics
from flawline.params import EvaluationParams, InspectionParams
from flawline.storage.ragged import RaggedArray

TOLD_OF_RAW_MAPS = (  # metrics
    "image_auroc", "pixel_auroc", "aupro", "A", "iou", "oracle_A", "oracle_iou", "oracle_pixel_threshold",
)  # fmt: skip


def scores_of(rows: pd.DataFrame, **columns: list[float]) -> pd.DataFrame:
    """Return a row for each of the manifest's ``rows``: image, split, label, defect and ``columns``."""
    return rows[["image", "split", "label", "defect"]].assign(**columns).reset_index(drop=True)


def calibrated_on(scores: pd.DataFrame, evaluation: EvaluationParams) -> Thresholds:
    """Return the thresholds from the scores of the calibration images, and from their maps' maxima where these are told
    apart."""
    held_out = scores[scores["split"] == "calibration"]
    return calibrate(
        held_out["score"].tolist(), target_overkill=evaluation.target_overkill,
        review_overkill=evaluation.review_overkill, map_maxima=map_maxima_of(held_out),
    )  # fmt: skip


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
    residuals: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame, evaluation: EvaluationParams
) -> tuple[dict[str, float], dict[str, str]]:
    """Return (values, absent), named ``raw_...``, of the residual maps themselves at a threshold calibrated on them."""
    rows = rows_of(manifest, SCORED)
    maps = [residuals[row] for row in rows]
    scores = scores_of(manifest.iloc[rows], score=[image_score(one) for one in maps])
    thresholds = calibrated_on(scores, evaluation)
    found, missing, _ = measure(
        scores, maps, masks, manifest, thresholds=thresholds, aupro_limit=evaluation.aupro_limit
    )
    return ({f"raw_{name}": each[name] for name in TOLD_OF_RAW_MAPS if name in each} for each in (found, missing))  # type: ignore[return-value]


def training_metrics(history: pd.DataFrame | None, codes: RaggedArray | None) -> dict[str, float]:
    """Return what of a training belongs to the metrics: its seconds, and the share of latent units that are dead."""
    told = {} if history is None else {"train_seconds": float(history["seconds"].sum())}
    if codes is not None:
        every = np.concatenate(
            [each.reshape(-1, each.shape[-1]) for each in codes if each.size]
        )  # (images * positions, d)
        told["dead_latents"] = dead_share(torch.from_numpy(every))
    return told


def long_form(curves: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return all curves in one table (curve, x, y): the first two columns of each, in order."""
    tables = [
        pd.DataFrame({"curve": name, "x": table.iloc[:, 0], "y": table.iloc[:, 1]}) for name, table in curves.items()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["curve", "x", "y"])


def judge_tests(
    scores: pd.DataFrame, maps: Sequence[NDArray], manifest: pd.DataFrame, alignment: pd.DataFrame, *,
    thresholds: Thresholds, inspection: InspectionParams, by_map: bool,
) -> pd.DataFrame:  # fmt: skip
    """Return the verdict of every test image, a row an image (none: an empty table), with its label and defect. Those
    that could not be aligned are not judged."""
    tests = scores[scores["split"] == "test"]
    said = [
        (image, judge(Scored(score, maps[k]), thresholds, inspection, by_map=by_map))
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
