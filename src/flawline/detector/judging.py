"""How an image is judged: by its map, or as a whole; and the one way from a photograph to a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.detector.engine_check import agreeing_scorer
from flawline.detector.file import Detector
from flawline.detector.scoring import ImageScorer
from flawline.detector.thresholds import Thresholds, costs_of
from flawline.intake.decoding import DoubtfulImageError, UnreadableImageError, decode, told_bits
from flawline.methods.maps import within
from flawline.methods.one_class import Scored
from flawline.methods.reconstruction import Reconstruction
from flawline.metrics.conformal import p_value
from flawline.metrics.reductions import Reduction
from flawline.metrics.regions import Region, check_inputs, find_regions, placed, points_of, small_regions
from flawline.params import ComputeParams, InspectionParams
from flawline.storage.digests import settings_digest, tensors_digest
from flawline.vision.alignment import Aligner, Alignment
from flawline.vision.appearance import appearance_of

BELOW = "below the threshold"
VERDICTS = ("pass", "review", "reject", "not_judged")


@dataclass(frozen=True)
class Judgement:
    """What the detector says of one image; ``score`` is None and ``regions`` empty where it is not judged."""

    verdict: str
    reason: str
    score: float | None = None
    threshold: float | None = None  # on the score
    regions: tuple[Region, ...] = ()
    map_threshold: float | None = None  # map values above it make the regions; None: there is no map
    p_value: float | None = None  # of the score: the share of good parts of which one as high is to be expected


@dataclass(frozen=True)
class Judged:
    """One photograph with all that was made of it on the way to its verdict."""

    judgement: Judgement
    image: NDArray | None = None  # (C, H, W), on the full scale of its type; None: it is not judged
    scored: Scored | None = None
    reconstruction: Reconstruction | None = None  # None of a method without a reconstructor, or of an aligned image
    figures: dict[str, float] | None = None  # of `flawline.vision.appearance`; None: it is not of the wanted kind


class Judge:
    """A detector at work, with the settings it keeps or others; every way to use a detector goes through here."""

    def __init__(
        self, detector: Detector, inspection: InspectionParams | None = None, *, compute: ComputeParams | None = None
    ):
        """``inspection`` takes precedence over the settings that the detector keeps, where it is not null."""
        self.inspection = detector.inspection if inspection is None else inspection.over(detector.inspection)
        self.detector = detector.at_overkill(self.inspection.target_overkill).at_costs(costs_of(self.inspection.costs))
        self._compute = compute or ComputeParams()

    def with_settings(self, inspection: InspectionParams) -> "Judge":
        """Return a judge with other settings, which take precedence over those of this one, and with what scores images
        here: a network is compiled once for all settings."""
        other = Judge(self.detector, inspection.over(self.inspection), compute=self._compute)
        other.scorer = self.scorer
        return other

    @cached_property
    def scorer(self) -> ImageScorer:
        """What scores images. Raise FlawlineError if the pretrained network is another than the one learned with, or
        its engine another that says something else."""
        return agreeing_scorer(self.detector, self._compute)

    @property
    def thresholds(self) -> Thresholds:
        return self.detector.thresholds

    def check(self) -> None:
        """Raise FlawlineError, before any image is read, if no image can be judged with the settings, or not here."""
        if self.detector.reduction is None:
            check_judged_whole(self.inspection)
        ignored_pixels(self.detector.largest_frame, self.inspection)
        _ = self.scorer  # last, since it takes seconds

    def judge_file(self, content: bytes, page: int | None = None) -> Judged:
        """Judge an image file's content, or its ``page``; not_judged, with the reason, where it cannot be read."""
        strict = self.inspection.strict is not False
        try:
            photograph = decode(content, max_pixels=self.inspection.max_pixels, page=page, strict=strict)
            told = told_bits(content, photograph, page)
        except DoubtfulImageError as error:
            return not_judged(f"{error}; if it is whole all the same, judge it: inspection.strict=false")
        except UnreadableImageError as error:
            return not_judged(str(error))
        return self.judge(photograph, told=told)

    def judge(self, photograph: NDArray, *, told: int = 0) -> Judged:
        """Judge a photograph (C, H, W) uint8 or uint16, as it was decoded; it is aligned and scored once. ``told`` are
        the bits a channel of 16 that its file says it uses; 0: it does not say."""
        reason = self.detector.misfit(photograph, told=told)
        if reason:
            return not_judged(reason)
        return replace(self._judge(photograph), figures=appearance_of(photograph, self.detector.bits))

    def _judge(self, photograph: NDArray) -> Judged:
        image = self.detector.on_scale(photograph)
        aligner = self.detector.aligner
        if aligner is None:
            return self.judge_framed(image)
        alignment = aligner.align(image)
        if not alignment.aligned:
            return not_judged(alignment.reason)
        seen = aligner.seen(alignment, image.shape[1:])
        return in_photograph(self.judge_framed(aligner.warp(image, alignment), seen), image, aligner, alignment)

    def judge_framed(self, image: NDArray, seen: NDArray[np.bool_] | None = None) -> Judged:
        """Judge an image (C, H, W) in the frame in which it is judged, by its pixels that are ``seen`` (H, W) in the
        photograph; None: all are."""
        scored, reconstruction = self.detector.score(image, self.scorer)
        scored = replace(scored, map=within(scored.map, seen))
        said = judge(scored, self.thresholds, self.inspection, self.detector.reduction)
        return Judged(with_p_value(said, self.detector.calibration_scores), image, scored, reconstruction)


def judge_digest(judge: Judge) -> str:
    """Return a digest of all that a judge's verdicts depend on, but for the machine."""
    detector = judge.detector
    settings = [detector.method, detector.params, detector.thresholds.to_dict(), detector.about]
    return tensors_digest(detector.weights, settings_digest([*settings, judge.inspection.model_dump(mode="json")]))


def not_judged(reason: str) -> Judged:
    """Return what is said of a photograph that cannot be judged."""
    return Judged(Judgement("not_judged", reason))


def in_photograph(judged: Judged, image: NDArray, aligner: Aligner, alignment: Alignment) -> Judged:
    """Return what was made of a photograph ``image`` (C, H, W) in the detector's frame as it lies in the photograph:
    its map and its regions. Their areas are pixels of the frame, whose scale is the same for all."""
    scored, said, size = judged.scored, judged.judgement, image.shape[1:]
    if scored is None or not scored.map.size:
        return replace(judged, image=image, reconstruction=None)
    turned = aligner.unwarp(scored.map, alignment, size).astype(scored.map.dtype)  # (H, W)
    judgement = said
    if said.regions and said.map_threshold is not None:
        every = [points_of(region, scored.map, said.map_threshold) for region in said.regions]
        pixels = [aligner.pixels_in_photograph(points, alignment, size) for points in every]
        judgement = replace(said, regions=tuple(map(placed, said.regions, pixels)))
    return Judged(judgement, image, replace(scored, map=turned, columns=slice(None)))


def judge(
    scored: Scored, thresholds: Thresholds, inspection: InspectionParams, reduction: Reduction | None
) -> Judgement:
    """Judge an image: by its map where its score is a ``reduction`` of it, else as a whole."""
    if reduction is None:
        return judge_whole(scored, thresholds, inspection)
    seen = judged_pixels(scored, inspection)
    if not seen.any():
        return Judgement("not_judged", "lies wholly in regions that are ignored")
    if reduction.is_maximum:
        return judge_regions(scored.map, seen, thresholds, inspection)
    return judge_reduced(scored.map, seen, thresholds, inspection, reduction)


def with_p_value(said: Judgement, calibration: Sequence[float]) -> Judgement:
    """Return a judgement with the p-value of the score on which it rests, among the scores of the ``calibration``
    images; the same where there is no score."""
    return said if said.score is None else replace(said, p_value=p_value(said.score, calibration))


def check_judged_whole(inspection: InspectionParams) -> None:
    """Raise FlawlineError if the settings are about regions, which do not count where an image is judged as a whole."""
    if inspection.ignore or inspection.min_area:
        raise FlawlineError(
            "inspection.ignore and inspection.min_area need a method whose score is made from its map; this one judges "
            "an image as a whole. Leave them out, or take another method (docs/methods.md)."
        )


def judge_regions(
    anomaly: NDArray, seen: NDArray[np.bool_], thresholds: Thresholds, inspection: InspectionParams
) -> Judgement:
    """Judge the pixels ``seen`` (H, W) of a map whose maximum is the score: reject or review if a region above that
    threshold is large enough, else pass."""
    score = float(anomaly[seen].max())
    for verdict, threshold in levels(thresholds):
        regions = regions_above(anomaly, threshold, inspection, ignore=~seen)
        if regions:
            reason = f"{len(regions)} region{'s' * (len(regions) > 1)} above the {verdict} threshold"
            return Judgement(verdict, reason, score, threshold, tuple(regions), threshold)
    reason = too_small(inspection) if score > thresholds.review.value else BELOW
    return Judgement("pass", reason, score, thresholds.reject.value, map_threshold=thresholds.reject.value)


def judge_reduced(
    anomaly: NDArray, seen: NDArray[np.bool_], thresholds: Thresholds, inspection: InspectionParams,
    reduction: Reduction,
) -> Judgement:  # fmt: skip
    """Judge the pixels ``seen`` (H, W) of a map by their score. Small regions are left out before it is made: a region
    is one of pixels that help the score above the threshold in question, so small ones alone never make a verdict, and
    a small peak in a large region does not take it away.

    The regions above the limit on the map say where to look; where there are none, the one of the pixels that help the
    score in which the highest of them lies."""
    limit = thresholds.on_map.value
    check_inputs(anomaly, limit, None)
    score = reduction(anomaly[seen])
    high = score > thresholds.review.value
    for verdict, threshold in levels(thresholds):
        helps = reduction.counts_from(threshold)
        large = without_small(anomaly, seen, helps, inspection)
        if large is not seen and large.any():
            score = reduction(anomaly[large])
        if large.any() and score > threshold:
            regions, above = where_to_look(anomaly, large, (limit, helps), inspection)
            return Judgement(verdict, f"above the {verdict} threshold", score, threshold, tuple(regions), above)
    reason = too_small(inspection) if high else BELOW
    return Judgement("pass", reason, score, thresholds.reject.value, map_threshold=limit)


def without_small(
    anomaly: NDArray, seen: NDArray[np.bool_], limit: float, inspection: InspectionParams
) -> NDArray[np.bool_]:
    """Return the pixels ``seen`` (H, W) but those of too small regions above ``limit``."""
    least = least_pixels(inspection)
    return seen & ~small_regions(anomaly, limit, min_area=least, ignore=~seen) if least else seen


def where_to_look(
    anomaly: NDArray, seen: NDArray[np.bool_], limits: tuple[float, float], inspection: InspectionParams
) -> tuple[list[Region], float]:
    """Return the regions above the first of ``limits`` and this limit; where there are none, the one with the highest
    peak above the second."""
    limit, helps = limits
    found = regions_above(anomaly, limit, inspection, ignore=~seen)
    if found:
        return found, limit
    helps = min(helps, float(np.nextafter(np.float64(anomaly[seen].max()), -np.inf)))  # at least the highest pixel
    return [max(find_regions(anomaly, helps, ignore=~seen), key=lambda region: region.peak)], helps


def judge_whole(scored: Scored, thresholds: Thresholds, inspection: InspectionParams) -> Judgement:
    """Judge an image by its score. The regions of its map, if it has one, only say where to look."""
    check_judged_whole(inspection)
    limit = thresholds.on_map.value if scored.map.size else None
    for verdict, threshold in levels(thresholds):
        if scored.score > threshold:
            ignore = ~judged_pixels(scored, inspection)
            regions = () if limit is None else tuple(regions_above(scored.map, limit, inspection, ignore=ignore))
            return Judgement(verdict, f"above the {verdict} threshold", scored.score, threshold, regions, limit)
    return Judgement("pass", BELOW, scored.score, thresholds.reject.value, map_threshold=limit)


def levels(thresholds: Thresholds) -> tuple[tuple[str, float], ...]:
    """Return the verdicts on high scores, the worse first, with the score that each is above."""
    return ("reject", thresholds.reject.value), ("review", thresholds.review.value)


def regions_above(
    anomaly: NDArray, threshold: float, inspection: InspectionParams, *, ignore: NDArray[np.bool_]
) -> list[Region]:
    """Return the regions above ``threshold`` that count as defects: not ignored, not too small; largest first."""
    return find_regions(anomaly, threshold, min_area=least_pixels(inspection), ignore=ignore)


def too_small(inspection: InspectionParams) -> str:
    """Return the reason why an image passes whose score is high."""
    return f"no region of at least {least_pixels(inspection):g} pixels above the threshold"


def verdict_row(image: str, sha256: str, judgement: Judgement, inspection: InspectionParams) -> dict[str, Any]:
    """Return a row of the verdicts: what was said of an image, and box and area of its largest region.

    Pixels; area_mm2 too where mm_per_pixel is given."""
    row = {
        "image": image, "sha256": sha256, "score": judgement.score, "threshold": judgement.threshold,
        "p_value": judgement.p_value, "verdict": judgement.verdict, "reason": judgement.reason,
        "regions": len(judgement.regions),
    }  # fmt: skip
    region = judgement.regions[0] if judgement.regions else None
    row |= {name: getattr(region, name, None) for name in ("y", "x", "height", "width", "area")}
    if inspection.mm_per_pixel:
        row["area_mm2"] = region.area * inspection.mm_per_pixel**2 if region else None
    return row


def judged_pixels(scored: Scored, inspection: InspectionParams) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a map that are judged: in its columns that are, and not in an ignore region."""
    judged = np.zeros(scored.map.shape, bool)
    judged[:, scored.columns] = True
    return judged & ~ignored_pixels(scored.map.shape, inspection)


def ignored_pixels(shape: tuple[int, ...], inspection: InspectionParams) -> NDArray[np.bool_]:
    """Return the pixels (H, W) that the ignore regions take out. Raise FlawlineError if one lies outside."""
    ignored = np.zeros(shape, bool)
    for region in inspection.ignore or ():
        if region.y + region.height > shape[0] or region.x + region.width > shape[1]:
            raise FlawlineError(
                f"inspection.ignore: the region y={region.y}, x={region.x}, {region.height} x {region.width} does "
                f"not fit an image of {shape[0]} x {shape[1]} pixels"
            )
        ignored[region.y : region.y + region.height, region.x : region.x + region.width] = True
    return ignored


def least_pixels(inspection: InspectionParams) -> float:
    """Return the smallest area of a defect in pixels; ``min_area`` is mm^2 where mm_per_pixel is given."""
    return (inspection.min_area or 0) / (inspection.mm_per_pixel or 1.0) ** 2
