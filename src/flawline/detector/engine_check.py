"""Whether another engine may judge in place of the one that a detector was calibrated with: only if it says the same of
images that the detector keeps for that."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.detector.file import Detector
from flawline.detector.scoring import ImageScorer
from flawline.params import ComputeParams
from flawline.storage.tensors import packed, part
from flawline.training.compute import pick_runtime
from flawline.vision.fitting import evenly_spread

KEPT = "checked"  # the group of a detector's weights that holds the images
ENGINE = "engine"  # what a detector says of its engine
COUNT, BYTES = 8, 2**23  # images that are kept at the most, and how large they may be together
TOLERANCE = 1e-3  # of the reject threshold, or of the spread of the scores where that is larger


def with_check(detector: Detector, images: Sequence[NDArray], compute: ComputeParams) -> Detector:
    """Return a detector that runs a network with some of normal ``images`` (C, H, W) in its frame, given from the
    lowest to the highest score, its scores of them, and the engine that these were made with."""
    largest = max(image.nbytes for image in images)
    some = [images[k] for k in evenly_spread(len(images), max(1, min(COUNT, BYTES // largest)))]
    scorer = detector.make_scorer(compute)
    scores = _scores(detector, some, scorer)
    kept = packed({KEPT: {str(k): _as_tensor(image) for k, image in enumerate(some)}})
    return replace(
        detector, weights={**detector.weights, **kept}, checked_scores=tuple(scores.tolist()),
        about=detector.about | {ENGINE: scorer.engine},
    )  # fmt: skip


def agreeing_scorer(detector: Detector, compute: ComputeParams) -> ImageScorer:
    """Return what scores images: by the engine of ``compute``, or where that is left open and the engine that is taken
    then does not agree, by torch. Raise FlawlineError as `check_engine`."""
    scorer = detector.make_scorer(compute)
    try:
        check_engine(detector, scorer)
    except FlawlineError:
        if compute.engine != "auto" or pick_runtime(compute).engine == "torch":
            raise
        return agreeing_scorer(detector, compute.but(engine="torch"))
    return scorer


def check_engine(detector: Detector, scorer: ImageScorer) -> None:
    """Raise FlawlineError if the engine of a scorer is not the one that its detector was calibrated with, and it scores
    the images that are kept differently, or judges one of them differently whose score sets no threshold itself."""
    here, wanted = scorer.engine, np.array(detector.checked_scores)
    there = detector.about.get(ENGINE, here)
    if here == there:
        return
    found = _scores(detector, kept_images(detector), scorer)
    off, allowed = np.abs(found - wanted).max(), allowed_difference(detector)
    limits = (detector.thresholds.review.value, detector.thresholds.reject.value)
    others = int(sum(((found > limit) != (wanted > limit)) & (wanted != limit) for limit in limits).sum())
    if off > allowed or others:
        raise FlawlineError(
            f"the detector was calibrated with {there}; with {here} the scores of {len(wanted)} images that it keeps "
            f"are off by up to {off:.3g} ({allowed:.3g} are allowed), and {others} of their verdicts are others. Judge "
            f"with the same engine (compute.engine, compute.device), or make the detector again with this one."
        )


def kept_images(detector: Detector) -> list[NDArray]:
    """Return the images (C, H, W) in its frame that a detector keeps, from the lowest to the highest score; none of one
    that runs no network."""
    kept = part(detector.weights, KEPT)
    return [_as_image(kept[str(k)], detector.depth) for k in range(len(kept))]


def allowed_difference(detector: Detector) -> float:
    """Return by how much the scores of two engines may differ: in spread, of a detector that keeps no images, the
    scores that calibrated it."""
    spread = float(np.ptp(detector.checked_scores or detector.calibration_scores))
    return TOLERANCE * max(abs(detector.thresholds.reject.value), spread)


def _scores(detector: Detector, images: Sequence[NDArray], scorer: ImageScorer) -> NDArray[np.float64]:
    return np.array([detector.score(image, scorer)[0].score for image in images])


def _as_tensor(image: NDArray) -> Tensor:
    """Return an image as it is stored: the bits of a type that files of tensors have."""
    return torch.from_numpy(np.array(image).view(np.uint8 if image.itemsize == 1 else np.int16))


def _as_image(stored: Tensor, depth: int) -> NDArray:
    return stored.numpy().view(np.uint8 if depth == 8 else np.uint16)
