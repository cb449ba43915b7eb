"""The detector: one portable file with weights, parameters, thresholds and digests, and how it judges an image."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from flawline.checks import FlawlineError
from flawline.methods.checkpoints import read_tensors, write_tensors
from flawline.methods.maps import anomaly_map, reconstruction
from flawline.methods.registry import get_method
from flawline.metrics.regions import Region, find_regions
from flawline.metrics.thresholds import Threshold, calibrate_threshold
from flawline.params import InspectionParams, PatchParams
from flawline.vision.patches import patch_grid
from flawline.vision.registration import to_channels
from flawline.vision.strips import material_span

FORMAT = 2
VERDICTS = ("pass", "review", "reject", "not_judged")


@dataclass(frozen=True)
class Thresholds:
    """Image scores above ``review`` are for a person to look at, those above ``reject`` are rejected."""

    reject: Threshold
    review: Threshold

    def to_dict(self) -> dict[str, Any]:
        return {"reject": self.reject.to_dict(), "review": self.review.to_dict()}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Thresholds":
        return cls(Threshold.from_dict(tree["reject"]), Threshold.from_dict(tree["review"]))


def calibrate(scores: Sequence[float], *, target_overkill: float, review_overkill: float) -> Thresholds:
    """Return both thresholds from the image scores of normal calibration images."""
    review = max(review_overkill, target_overkill)
    return Thresholds(
        calibrate_threshold(scores, target_overkill=target_overkill),
        calibrate_threshold(scores, target_overkill=review),
    )


@dataclass(frozen=True)
class Judgement:
    """What the detector says of one image; ``score`` is None and ``regions`` empty where it is not judged."""

    verdict: str
    reason: str
    score: float | None = None
    threshold: float | None = None
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Detector:
    """Everything that judging needs. Images are (C, H, W) uint8 or uint16."""

    method: str
    category: str
    params: dict[str, Any]  # "patches", "model" and "map" of the method, as JSON
    channels: int
    depth: int  # bits a channel of the training images
    smallest: tuple[int, int]  # (height, width) that training saw
    largest: tuple[int, int]
    thresholds: Thresholds
    review_overkill: float
    calibration_scores: tuple[float, ...]
    weights: dict[str, Tensor]
    trim_ends: bool = False  # bare background and selvedge at the ends of a strip are not judged
    about: dict[str, str] = field(default_factory=dict)  # digests, versions, run ids

    @cached_property
    def model(self) -> nn.Module:
        method = get_method(self.method)
        params = method.model_params.model_validate(self.params["model"])
        model = method.build(params, channels=self.channels, size=self.patches.size)
        model.load_state_dict(self.weights)
        return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it

    @cached_property
    def patches(self) -> PatchParams:
        return PatchParams.model_validate(self.params["patches"])

    def at_overkill(self, target: float | None) -> "Detector":
        """Return the same detector with the threshold for another target overkill rate; nothing is trained."""
        if target is None:
            return self
        thresholds = calibrate(self.calibration_scores, target_overkill=target, review_overkill=self.review_overkill)
        return replace(self, thresholds=thresholds)

    def misfit(self, image: NDArray) -> str | None:
        """Return why ``image`` cannot be judged (wrong size or depth), or None if it can."""
        left, right = self._span(image)
        height, width = image.shape[1], right - left
        (low_h, low_w), (high_h, high_w) = self.smallest, self.largest
        if self.trim_ends:  # how much of a strip is left is chance; what matters is that a patch fits
            low_w, high_w = self.patches.size, max(width, self.patches.size)
        if not (low_h <= height <= high_h and low_w <= width <= high_w):
            wanted = f"{low_h} x {low_w}" + ("" if self.smallest == self.largest else f" to {high_h} x {high_w}")
            return f"has {height} x {width} pixels; the detector learned from {wanted}"
        if 8 * image.itemsize != self.depth:
            return f"has {8 * image.itemsize} bits a channel; the detector learned from {self.depth}"
        return None

    def map(self, image: NDArray) -> NDArray[np.float16]:
        """Return the anomaly map (H, W) of ``image`` (C, H, W); 0 in the ends that are not judged."""
        columns, judged = self._judged(image)
        smoothing = self.params["map"]["smoothing"]
        whole = np.zeros(image.shape[1:], np.float16)
        whole[:, columns] = anomaly_map(
            self.model, judged, self._grid(judged), self.patches, smoothing, residual=get_method(self.method).residual
        )
        return whole

    def redraw(self, image: NDArray) -> NDArray[np.uint8]:
        """Return the autoencoder's reconstruction (C, H, W) of ``image`` (C, H, W); black in the ends not judged."""
        columns, judged = self._judged(image)
        whole = np.zeros((self.channels, *image.shape[1:]), np.uint8)
        whole[..., columns] = reconstruction(self.model, judged, self._grid(judged), self.patches)
        return whole

    def _judged(self, image: NDArray) -> tuple[slice, NDArray]:
        """Return the columns of ``image`` that are judged, and what they hold (C, H, w) in the detector's channels."""
        columns = slice(*self._span(image))
        return columns, to_channels(image[..., columns], self.channels)

    def _span(self, image: NDArray) -> tuple[int, int]:
        return material_span(image) if self.trim_ends else (0, image.shape[2])

    def _grid(self, image: NDArray) -> NDArray[np.int64]:
        return patch_grid(*image.shape[1:], size=self.patches.size, stride=self.patches.stride)


def judge(anomaly: NDArray, thresholds: Thresholds, inspection: InspectionParams) -> Judgement:
    """Judge an anomaly map (H, W): reject or review if a region above that threshold is large enough, else pass."""
    seen = anomaly[~ignored_pixels(anomaly.shape, inspection)]
    if not seen.size:
        return Judgement("not_judged", "lies wholly in regions that are ignored")
    score = float(seen.max())
    for verdict, threshold in (("reject", thresholds.reject), ("review", thresholds.review)):
        regions = regions_above(anomaly, threshold.value, inspection)
        if regions:
            reason = f"{len(regions)} region{'s' * (len(regions) > 1)} above the {verdict} threshold"
            return Judgement(verdict, reason, score, threshold.value, tuple(regions))
    above = score > thresholds.review.value
    reason = (
        f"no region of at least {least_pixels(inspection):g} pixels above the threshold"
        if above
        else "below the threshold"
    )
    return Judgement("pass", reason, score, thresholds.reject.value)


def regions_above(anomaly: NDArray, threshold: float, inspection: InspectionParams) -> list[Region]:
    """Return the regions above ``threshold`` that count as defects: not ignored, not too small; largest first."""
    ignore = ignored_pixels(anomaly.shape, inspection)
    return find_regions(anomaly, threshold, min_area=least_pixels(inspection), ignore=ignore)


def verdict_row(image: str, sha256: str, judgement: Judgement, inspection: InspectionParams) -> dict[str, Any]:
    """Return a row of the verdicts: what was said of an image, and box and area of its largest region.

    Pixels; area_mm2 too where mm_per_pixel is given."""
    row = {
        "image": image, "sha256": sha256, "score": judgement.score, "threshold": judgement.threshold,
        "verdict": judgement.verdict, "reason": judgement.reason, "regions": len(judgement.regions),
    }  # fmt: skip
    region = judgement.regions[0] if judgement.regions else None
    row |= {name: getattr(region, name, None) for name in ("y", "x", "height", "width", "area")}
    if inspection.mm_per_pixel:
        row["area_mm2"] = region.area * inspection.mm_per_pixel**2 if region else None
    return row


def ignored_pixels(shape: tuple[int, ...], inspection: InspectionParams) -> NDArray[np.bool_]:
    """Return the pixels (H, W) that the ignore regions take out. Raise FlawlineError if one lies outside."""
    ignored = np.zeros(shape, bool)
    for region in inspection.ignore:
        if region.y + region.height > shape[0] or region.x + region.width > shape[1]:
            raise FlawlineError(
                f"inspection.ignore: the region y={region.y}, x={region.x}, {region.height} x {region.width} does "
                f"not fit an image of {shape[0]} x {shape[1]} pixels"
            )
        ignored[region.y : region.y + region.height, region.x : region.x + region.width] = True
    return ignored


def least_pixels(inspection: InspectionParams) -> float:
    """Return the smallest area of a defect in pixels; ``min_area`` is mm^2 where mm_per_pixel is given."""
    return inspection.min_area / (inspection.mm_per_pixel or 1.0) ** 2


def save_detector(path: Path, detector: Detector) -> None:
    """Write the detector to one safetensors file with its settings as JSON; whole or not at all."""
    meta = {name: getattr(detector, name) for name in PLAIN}
    write_tensors(path, detector.weights, {**meta, "format": FORMAT, "thresholds": detector.thresholds.to_dict()})


def load_detector(path: Path) -> Detector:
    """Read a detector. Raise FlawlineError if the file is not one, or not whole."""
    try:
        weights, meta = read_tensors(path)
    except FileNotFoundError:
        raise FlawlineError(f"no detector at {path}. Finish one first: kedro run --params category=...") from None
    except SafetensorError as error:
        raise FlawlineError(f"{path} is not a whole detector file ({error}). Make it again, or load a copy.") from None
    if "format" not in meta:
        raise FlawlineError(f"{path} is not a detector: it holds tensors without a detector's settings")
    if meta["format"] != FORMAT:
        raise FlawlineError(f"{path} is a detector of format {meta['format']}; this version reads {FORMAT}")
    plain = {name: meta[name] for name in PLAIN}
    for name in ("smallest", "largest", "calibration_scores"):
        plain[name] = tuple(plain[name])
    return Detector(**plain, thresholds=Thresholds.from_dict(meta["thresholds"]), weights=weights)


PLAIN = (
    "method", "category", "params", "channels", "depth", "smallest", "largest", "review_overkill",
    "calibration_scores", "trim_ends", "about",
)  # fmt: skip
