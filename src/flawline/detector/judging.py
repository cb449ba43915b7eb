"""How an image is judged: by the regions of its map, or as a whole; and the one way from a photograph to a verdict."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.detector.file import Detector
from flawline.detector.scoring import ImageScorer
from flawline.detector.thresholds import Thresholds
from flawline.intake.decoding import DoubtfulImageError, UnreadableImageError, decode, told_bits
from flawline.methods.one_class import Scored
from flawline.methods.reconstruction import Reconstruction
from flawline.metrics.regions import Region, find_regions
from flawline.params import ComputeParams, InspectionParams

VERDICTS = ("pass", "review", "reject", "not_judged")


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
class Judged:
    """One photograph with all that was made of it on the way to its verdict."""

    judgement: Judgement
    image: NDArray | None = None  # (C, H, W) in the frame in which it is judged; None: it is not judged
    scored: Scored | None = None
    reconstruction: Reconstruction | None = None  # None of a method without a reconstructor


class Judge:
    """A detector at work, with the settings it keeps or others; every way to use a detector goes through here."""

    def __init__(
        self, detector: Detector, inspection: InspectionParams | None = None, *, compute: ComputeParams | None = None
    ):
        """``inspection`` takes precedence over the settings that the detector keeps, where it is not null."""
        self.inspection = detector.inspection if inspection is None else inspection.over(detector.inspection)
        self.detector = detector.at_overkill(self.inspection.target_overkill)
        self._compute = compute or ComputeParams()

    @cached_property
    def scorer(self) -> ImageScorer:
        return self.detector.make_scorer(self._compute)

    @property
    def thresholds(self) -> Thresholds:
        return self.detector.thresholds

    def check(self) -> None:
        """Raise FlawlineError, before any image is read, if no image can be judged with the settings."""
        if not self.detector.by_map:
            check_judged_whole(self.inspection)
        ignored_pixels(self.detector.largest_frame, self.inspection)

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
        image = self.detector.on_scale(photograph)
        alignment = self.detector.align(image)
        if alignment is not None and not alignment.aligned:
            return not_judged(alignment.reason)
        return self.judge_framed(self.detector.frame(image, alignment))

    def judge_framed(self, image: NDArray) -> Judged:
        """Judge an image (C, H, W) in the frame in which it is judged."""
        scored, reconstruction = self.detector.score(image, self.scorer)
        judgement = judge(scored, self.thresholds, self.inspection, by_map=self.detector.by_map)
        return Judged(judgement, image, scored, reconstruction)


def not_judged(reason: str) -> Judged:
    """Return what is said of a photograph that cannot be judged."""
    return Judged(Judgement("not_judged", reason))


def judge(scored: Scored, thresholds: Thresholds, inspection: InspectionParams, *, by_map: bool) -> Judgement:
    """Judge an image: by the regions of its map where its score is the map's largest value, else as a whole."""
    return judge_map(scored.map, thresholds, inspection) if by_map else judge_whole(scored, thresholds, inspection)


def check_judged_whole(inspection: InspectionParams) -> None:
    """Raise FlawlineError if the settings are about regions, which do not count where an image is judged as a whole."""
    if inspection.ignore or inspection.min_area:
        raise FlawlineError(
            "inspection.ignore and inspection.min_area need a method whose score is its map's maximum; this one judges "
            "an image as a whole. Leave them out, or take another method (docs/methods.md)."
        )


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
    check_judged_whole(inspection)
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
