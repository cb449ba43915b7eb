"""The detector: one portable file with weights, parameters, thresholds and digests, and how it judges an image."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.detector.scoring import ImageScorer, make_scorer
from flawline.intake.registration import to_channels
from flawline.methods.features import check_network
from flawline.methods.heads import Scored
from flawline.methods.registry import Method, get_method
from flawline.metrics.regions import Region, find_regions
from flawline.metrics.thresholds import Threshold, calibrate_threshold
from flawline.params import InspectionParams
from flawline.storage.tensors import part, read_tensors, write_tensors
from flawline.vision.alignment import Aligner, Alignment
from flawline.vision.strips import material_span

FORMAT = 3
VERDICTS = ("pass", "review", "reject", "not_judged")


@dataclass(frozen=True)
class Thresholds:
    """Image scores above ``review`` are for a person to look at, those above ``reject`` are rejected.

    ``pixel`` is the limit on the map's values of a method whose image score is not the map's largest value: it only
    tells where to look. None: the limits on scores are those on the map, or there is no map."""

    reject: Threshold
    review: Threshold
    pixel: Threshold | None = None

    @property
    def on_map(self) -> Threshold:
        """The limit from which a pixel counts as defective."""
        return self.pixel or self.reject

    def to_dict(self) -> dict[str, Any]:
        levels = {"reject": self.reject, "review": self.review, "pixel": self.pixel}
        return {name: level.to_dict() for name, level in levels.items() if level is not None}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Thresholds":
        return cls(**{name: Threshold.from_dict(level) for name, level in tree.items()})


def calibrate(
    scores: Sequence[float], *, target_overkill: float, review_overkill: float, peaks: Sequence[float] = ()
) -> Thresholds:
    """Return the thresholds from the image scores of normal calibration images, and from the largest values
    ``peaks`` of their maps where these are something else."""
    review = max(review_overkill, target_overkill)
    return Thresholds(
        calibrate_threshold(scores, target_overkill=target_overkill),
        calibrate_threshold(scores, target_overkill=review),
        calibrate_threshold(peaks, target_overkill=target_overkill) if len(peaks) else None,
    )


@dataclass(frozen=True)
class Judgement:
    """What the detector says of one image; ``score`` is None and ``regions`` empty where it is not judged."""

    verdict: str
    reason: str
    score: float | None = None
    threshold: float | None = None  # on the score
    regions: tuple[Region, ...] = ()
    map_threshold: float | None = None  # on the map's values; None: there is no map


@dataclass(frozen=True)
class Detector:
    """Everything that judging needs. Images are (C, H, W) uint8 or uint16."""

    method: str
    category: str
    params: dict[
        str, Any
    ]  # of the method, as JSON: "patches", "model" and "map"; or "head", and "redrawer" if it has one
    channels: int
    depth: int  # bits a channel of the training images
    smallest: tuple[int, int]  # (height, width) of the photographs that it learned from
    largest: tuple[int, int]
    thresholds: Thresholds
    review_overkill: float
    calibration_scores: tuple[float, ...]
    weights: dict[str, Tensor]
    calibration_map_maxima: tuple[float, ...] = ()  # of their maps, where these are not the scores
    trim_ends: bool = False  # bare background and selvedge at the ends of a strip are not judged
    about: dict[str, str] = field(default_factory=dict)  # digests, versions, run ids

    @cached_property
    def scorer(self) -> ImageScorer:
        """What scores images. Raise FlawlineError if the pretrained network is not the one that was learned with."""
        if "network" in self.about:
            check_network(self.params["head"]["features"], self.about["network"])
        return make_scorer(self._method, self.params, self.weights, channels=self.channels)

    @property
    def by_map(self) -> bool:
        """True if the image's score is the map's largest value, so that regions and their size can count."""
        return self._method.by_map

    @property
    def _method(self) -> Method:
        return get_method(self.method)

    def at_overkill(self, target: float | None) -> "Detector":
        """Return the same detector with the threshold for another target overkill rate; nothing is trained."""
        if target is None:
            return self
        thresholds = calibrate(
            self.calibration_scores, target_overkill=target, review_overkill=self.review_overkill,
            peaks=self.calibration_map_maxima,
        )  # fmt: skip
        return replace(self, thresholds=thresholds)

    @cached_property
    def aligner(self) -> Aligner | None:
        """What brings photographs into the frame that the detector learned in; None: they are judged as they are."""
        tensors = part(self.weights, "aligner")
        return Aligner.from_tensors(tensors) if tensors else None

    def align(self, image: NDArray) -> Alignment | None:
        """Return how the part in a photograph (C, H, W) lies against the reference; None without an aligner."""
        return None if self.aligner is None else self.aligner.align(image)

    def frame(self, image: NDArray, alignment: Alignment | None) -> NDArray:
        """Return a photograph (C, H, W) in the frame in which it is judged."""
        return image if self.aligner is None or alignment is None else self.aligner.warp(image, alignment)

    def misfit(self, image: NDArray) -> str | None:
        """Return why the photograph ``image`` cannot be judged (wrong size or depth), or None if it can."""
        left, right = self._span(image)
        height, width = image.shape[1], right - left
        (low_h, low_w), (high_h, high_w) = self.smallest, self.largest
        least = self.scorer.least_side
        if self.trim_ends and least is not None:  # how much of a strip is left is chance, if only a patch fits
            low_w, high_w = least, max(width, least)
        if not (low_h <= height <= high_h and low_w <= width <= high_w):
            wanted = f"{low_h} x {low_w}" + ("" if self.smallest == self.largest else f" to {high_h} x {high_w}")
            return f"has {height} x {width} pixels; the detector learned from {wanted}"
        if 8 * image.itemsize != self.depth:
            return f"has {8 * image.itemsize} bits a channel; the detector learned from {self.depth}"
        return None

    def score(self, image: NDArray) -> Scored:
        """Return score and anomaly map (H, W) of ``image`` (C, H, W) in the frame in which it is judged; the map is 0
        in the ends that are not."""
        columns, judged = self._judged(image)
        found = self.scorer.score(judged)
        if not found.map.size or found.map.shape == image.shape[1:]:
            return found
        whole = np.zeros(image.shape[1:], np.float16)
        whole[:, columns] = found.map
        return Scored(found.score, whole)

    def redraw(self, image: NDArray) -> NDArray[np.uint8] | None:
        """Return the reconstruction (C, H, W) of ``image`` (C, H, W), black in the ends not judged; None where the
        method does not redraw."""
        columns, judged = self._judged(image)
        redrawn = self.scorer.redraw(judged)
        if redrawn is None:
            return None
        whole = np.zeros((self.channels, *image.shape[1:]), np.uint8)
        whole[..., columns] = redrawn
        return whole

    def _judged(self, image: NDArray) -> tuple[slice, NDArray]:
        """Return the columns of ``image`` that are judged, and what they hold (C, H, w) in the detector's channels."""
        columns = slice(*self._span(image))
        return columns, to_channels(image[..., columns], self.channels)

    def _span(self, image: NDArray) -> tuple[int, int]:
        return material_span(image) if self.trim_ends else (0, image.shape[2])


def judge(scored: Scored, thresholds: Thresholds, inspection: InspectionParams, *, by_map: bool) -> Judgement:
    """Judge an image: by the regions of its map where its score is the map's largest value, else as a whole."""
    return judge_map(scored.map, thresholds, inspection) if by_map else judge_whole(scored, thresholds, inspection)


def judge_map(anomaly: NDArray, thresholds: Thresholds, inspection: InspectionParams) -> Judgement:
    """Judge an anomaly map (H, W): reject or review if a region above that threshold is large enough, else pass."""
    seen = anomaly[~ignored_pixels(anomaly.shape, inspection)]
    if not seen.size:
        return Judgement("not_judged", "lies wholly in regions that are ignored")
    score = float(seen.max())
    for verdict, threshold in (("reject", thresholds.reject), ("review", thresholds.review)):
        regions = regions_above(anomaly, threshold.value, inspection)
        if regions:
            reason = f"{len(regions)} region{'s' * (len(regions) > 1)} above the {verdict} threshold"
            return Judgement(verdict, reason, score, threshold.value, tuple(regions), threshold.value)
    above = score > thresholds.review.value
    reason = (
        f"no region of at least {least_pixels(inspection):g} pixels above the threshold"
        if above
        else "below the threshold"
    )
    return Judgement("pass", reason, score, thresholds.reject.value, map_threshold=thresholds.reject.value)


def judge_whole(scored: Scored, thresholds: Thresholds, inspection: InspectionParams) -> Judgement:
    """Judge an image by its score. The regions of its map, if it has one, only say where to look."""
    if inspection.ignore or inspection.min_area:
        raise FlawlineError(
            "inspection.ignore and inspection.min_area need a method whose score is its map's largest value; this one "
            "judges an image as a whole. Leave them out, or take another method (docs/methods.md)."
        )
    limit = thresholds.on_map.value if scored.map.size else None
    above = [name for name in ("reject", "review") if scored.score > getattr(thresholds, name).value]
    if not above:
        return Judgement("pass", "below the threshold", scored.score, thresholds.reject.value, map_threshold=limit)
    regions = () if limit is None else tuple(regions_above(scored.map, limit, inspection))
    threshold = getattr(thresholds, above[0]).value
    return Judgement(above[0], f"above the {above[0]} threshold", scored.score, threshold, regions, limit)


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
    for name in ("smallest", "largest", "calibration_scores", "calibration_map_maxima"):
        plain[name] = tuple(plain[name])
    return Detector(**plain, thresholds=Thresholds.from_dict(meta["thresholds"]), weights=weights)


PLAIN = (
    "method", "category", "params", "channels", "depth", "smallest", "largest", "review_overkill",
    "calibration_scores", "calibration_map_maxima", "trim_ends", "about",
)  # fmt: skip
