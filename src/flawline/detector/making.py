"""What a finished detector keeps: the method's parameters, what it learned from, how it was calibrated."""

from typing import Any

import numpy as np
import pandas as pd

from flawline.detector.evaluating import map_maxima_of
from flawline.detector.file import DIGITS
from flawline.detector.thresholds import Thresholds
from flawline.intake.manifest import rows_of
from flawline.intake.measuring import Measurements
from flawline.intake.patch_sets import are_patches
from flawline.intake.registration import cuts_ends
from flawline.intake.splits import LEARNED
from flawline.methods.features import network_digest
from flawline.methods.registry import Method
from flawline.params import EvaluationParams, RegistrationParams
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.vision.appearance import FIGURES, appearance_of, on_scale
from flawline.vision.fitting import evenly_spread

MOST_FIGURES = 1000  # images of which the figures are kept


def kept_params(spec: Method, scorer: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return what a detector keeps of a method's parameters, as JSON: the scorer's, and its reconstructor's parts."""
    kept: dict[str, Any] = {"scorer": spec.typed(scorer).model_dump(mode="json")}
    if spec.reconstructor is not None:
        typed = spec.reconstructor.typed(**parts)
        kept["reconstructor"] = {name: value.model_dump(mode="json") for name, value in typed.items()}
    return kept


def network_of(spec: Method, scorer: dict[str, Any]) -> dict[str, str]:
    """Return the digest of the pretrained network's weights that a scorer looks through, if it does."""
    return {"network": network_digest(spec.make_scorer(scorer).features)} if spec.scorer_class.embeds else {}


def learned_from(
    images: RaggedArray, manifest: pd.DataFrame, registration: RegistrationParams, *, aligned: bool
) -> dict[str, Any]:
    """Return what a detector holds of the images it learned from, which were ``aligned`` or not: a test image must not
    widen what is judged."""
    seen = rows_of(manifest, LEARNED)
    photographs = manifest[["height", "width"]].to_numpy()[seen]  # (n, 2) as (height, width)
    stored = np.array([images.shapes[i][1:] for i in seen])  # (n, 2) as (height, width)
    sizes = photographs if aligned else stored
    return {
        "channels": images.shapes[seen[0]][0],
        "depth": 8 * images[seen[0]].itemsize,
        "bits": int(manifest["bits"].iloc[seen[0]]),
        "smallest": tuple(sizes.min(axis=0).tolist()),
        "largest": tuple(sizes.max(axis=0).tolist()),
        "trim_ends": not aligned and not are_patches(manifest) and cuts_ends(manifest, registration.trim_ends),
    }


def figures_learned(images: RaggedArray, manifest: pd.DataFrame, measurements: Measurements) -> dict[str, Any]:
    """Return what a detector holds of how the good images look that it was made of, at most MOST_FIGURES of them: the
    figures of the photographs, as they were before they were aligned or evened; of patches their own."""
    rows = np.array(rows_of(manifest, LEARNED))
    chosen = rows[evenly_spread(len(rows), MOST_FIGURES)]
    if are_patches(manifest):
        found = [appearance_of(images[row], 8 * images[row].itemsize) for row in chosen]
    else:
        found = _measured(manifest.iloc[chosen], measurements)
    return {"training_figures": {name: tuple(each[name] for each in found) for name in FIGURES}}


def files_learned(manifest: pd.DataFrame) -> dict[str, Any]:
    """Return what a detector holds of the files that it was made of, test images apart: how their SHA-256 begin."""
    digests = manifest["sha256"].iloc[rows_of(manifest, LEARNED)]
    return {"learned": tuple(sorted({digest[:DIGITS] for digest in digests}))}


def _measured(rows: pd.DataFrame, measurements: Measurements) -> list[dict[str, float]]:
    """Return the figures of photographs that ingestion measured."""
    places = measurements.places()
    files = measurements.table.iloc[[places[key] for key in zip(rows["sha256"], rows["page"], strict=True)]]
    return [
        on_scale(each, depth=each["depth"], bits=int(bits))
        for each, bits in zip(files.to_dict("records"), rows["bits"], strict=True)
    ]


def calibrating(images: RaggedArray, manifest: pd.DataFrame, scores: pd.DataFrame) -> Lazy:
    """Return the images that calibrate, from the lowest to the highest score."""
    row_of = {name: row for row, name in enumerate(manifest["image"])}
    names = scores[scores["split"] == "calibration"].sort_values("score", kind="stable")["image"]
    return Lazy.of(images, [row_of[name] for name in names])


def calibrated(
    scores: pd.DataFrame, pseudo_scores: pd.DataFrame, thresholds: Thresholds, evaluation: EvaluationParams
) -> dict[str, Any]:
    """Return what a detector holds of its calibration."""
    held_out = scores[scores["split"] == "calibration"]
    return {
        "thresholds": thresholds,
        "review_overkill": evaluation.review_overkill,
        "calibration_scores": tuple(held_out["score"]),
        "calibration_map_maxima": tuple(map_maxima_of(held_out)),
        "pseudo_scores": tuple(pseudo_scores["score"]),
    }
