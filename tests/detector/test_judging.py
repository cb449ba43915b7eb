import io
import re
from dataclasses import replace

import numpy as np
import pytest
from base_params import BASE
from hypothesis import given
from hypothesis import strategies as st
from moved_parts import aligner_of, part_of
from PIL import Image
from scipy.ndimage import gaussian_filter

from flawline.checks import FlawlineError
from flawline.detector.judging import (
    Judge,
    Judged,
    Judgement,
    ignored_pixels,
    in_photograph,
    judge,
    judge_reduced,
    judge_whole,
    judged_pixels,
    least_pixels,
    verdict_row,
)
from flawline.detector.thresholds import Thresholds, calibrate, costs_of
from flawline.methods.one_class import NO_MAP, Scored
from flawline.metrics.conformal import p_value
from flawline.metrics.reductions import Reduction
from flawline.metrics.regions import Region, find_regions
from flawline.params import ComputeParams, CostParams, IgnoreRegion, InspectionParams
from flawline.vision.transform import Transform

MAXIMUM = Reduction(BASE.cae.scorer.image_score.but(reduction="maximum"))
LEVELS = calibrate([0.1 * k for k in range(1, 10)], target_overkill=0.1, review_overkill=0.4)


def judge_map(anomaly, thresholds, inspection, reduction=MAXIMUM):
    """Judge a map by what is made of it, whatever score came with it."""
    return judge(Scored(np.nan, anomaly), thresholds, inspection, reduction)


@pytest.fixture
def anomaly():
    """A map (10, 12) with a strong region of 3 pixels and a weak one of 8; reject is 0.9, review 0.6."""
    values = np.zeros((10, 12), np.float16)
    values[1, 1:4] = 0.95
    values[6:8, 2:6] = 0.75
    values.setflags(write=False)
    return values


def test_a_region_above_reject_rejects(anomaly):
    said = judge_map(anomaly, LEVELS, InspectionParams())
    assert (said.verdict, said.reason) == ("reject", "1 region above the reject threshold")
    assert (said.score, said.threshold) == (float(np.float16(0.95)), LEVELS.reject.value)
    assert said.regions == (Region(1, 1, 1, 3, 3, float(np.float16(0.95))),)


def test_regions_between_the_thresholds_are_for_review(anomaly):
    said = judge_map(np.minimum(anomaly, np.float16(0.875)), LEVELS, InspectionParams())
    assert (said.verdict, said.reason) == ("review", "2 regions above the review threshold")
    assert said.threshold == LEVELS.review.value
    assert [region.area for region in said.regions] == [8, 3]


def test_nothing_above_review_passes():
    said = judge_map(np.full((4, 4), 0.5, np.float16), LEVELS, InspectionParams())
    assert said == Judgement("pass", "below the threshold", 0.5, LEVELS.reject.value, map_threshold=LEVELS.reject.value)


def test_a_score_at_the_threshold_is_not_above_it():
    level = calibrate([0.5] * 9, target_overkill=0.1, review_overkill=0.1)
    assert judge_map(np.full((4, 4), 0.5, np.float16), level, InspectionParams()).verdict == "pass"


def test_ignored_pixels_neither_reject_nor_score(anomaly):
    strong = IgnoreRegion(y=0, x=0, height=3, width=12)
    said = judge_map(anomaly, LEVELS, InspectionParams(ignore=(strong,)))
    assert (said.verdict, said.score) == ("review", 0.75)
    weak = IgnoreRegion(y=5, x=0, height=5, width=12)
    assert judge_map(anomaly, LEVELS, InspectionParams(ignore=(strong, weak))).verdict == "pass"


def test_an_image_ignored_altogether_is_not_judged(anomaly):
    everything = IgnoreRegion(y=0, x=0, height=10, width=12)
    said = judge_map(anomaly, LEVELS, InspectionParams(ignore=(everything,)))
    assert (said.verdict, said.score) == ("not_judged", None)
    assert "ignored" in said.reason


@pytest.mark.parametrize(
    ("inspection", "verdict"),
    [
        (InspectionParams(min_area=3), "reject"),
        (InspectionParams(min_area=4), "review"),
        (InspectionParams(min_area=9), "pass"),
        # 0.5 mm a pixel: 3 pixels are 0.75 mm^2, 8 are 2 mm^2
        (InspectionParams(min_area=0.75, mm_per_pixel=0.5), "reject"),
        (InspectionParams(min_area=2, mm_per_pixel=0.5), "review"),
        (InspectionParams(min_area=2.1, mm_per_pixel=0.5), "pass"),
    ],
)
def test_smaller_regions_are_no_defects(anomaly, inspection, verdict):
    assert judge_map(anomaly, LEVELS, inspection).verdict == verdict


def test_a_pass_by_area_says_so(anomaly):
    said = judge_map(anomaly, LEVELS, InspectionParams(min_area=2.5, mm_per_pixel=0.5))
    assert said.reason == "no region of at least 10 pixels above the threshold"


def test_a_map_with_nan_is_no_pass(anomaly):
    broken = anomaly.copy()
    broken[0, 0] = np.nan
    with pytest.raises(FlawlineError, match="anomaly_map must hold numbers, got 1 of 120 pixels that are NaN"):
        judge_map(broken, LEVELS, InspectionParams())


def test_an_ignored_region_outside_the_image_is_an_error():
    inside = InspectionParams(ignore=(IgnoreRegion(y=8, x=9, height=2, width=3),))
    assert ignored_pixels((10, 12), inside).sum() == 6
    outside = InspectionParams(ignore=(IgnoreRegion(y=8, x=9, height=3, width=3),))
    with pytest.raises(FlawlineError, match="region y=8, x=9, 3 x 3 does not fit an image of 10 x 12 pixels"):
        ignored_pixels((10, 12), outside)


def test_least_pixels_is_the_area_over_a_pixels_area():
    assert least_pixels(InspectionParams(min_area=7)) == 7
    assert least_pixels(InspectionParams(min_area=2, mm_per_pixel=0.1)) == pytest.approx(200)


# --- as a whole ------------------------------------------------------------------------------------------------------
APART = calibrate([1.0, 2.0, 3.0], target_overkill=0.25, review_overkill=0.5, map_maxima=[0.5, 0.6, 0.7])


@pytest.mark.parametrize(
    ("score", "verdict", "threshold", "areas"),
    [(3.0, "review", 2.0, [8, 3]), (2.0, "pass", 3.0, []), (3.5, "reject", 3.0, [8, 3])],
)
def test_an_image_judged_as_a_whole_is_judged_by_its_score_and_its_map_says_where(
    anomaly, score, verdict, threshold, areas
):
    said = judge_whole(Scored(score, anomaly), APART, InspectionParams())
    assert (said.verdict, said.score, said.threshold) == (verdict, score, threshold)
    assert [region.area for region in said.regions] == areas
    assert said.map_threshold == 0.7


def test_an_image_judged_as_a_whole_needs_no_map():
    said = judge_whole(Scored(3.5, NO_MAP), APART, InspectionParams())
    assert (said.verdict, said.regions, said.map_threshold) == ("reject", (), None)


def test_regions_cannot_be_left_out_where_the_image_is_judged_as_a_whole(anomaly):
    for inspection in (
        InspectionParams(min_area=3),
        InspectionParams(ignore=(IgnoreRegion(y=0, x=0, height=1, width=1),)),
    ):
        with pytest.raises(FlawlineError, match="need a method whose score is made from its map"):
            judge_whole(Scored(3.5, anomaly), APART, inspection)


def test_by_map_or_as_a_whole_is_the_methods_choice(anomaly):
    scored = Scored(0.1, anomaly)
    assert judge(scored, LEVELS, InspectionParams(), MAXIMUM) == judge_map(anomaly, LEVELS, InspectionParams())
    assert judge(scored, LEVELS, InspectionParams(), None) == judge_whole(scored, LEVELS, InspectionParams())
    assert judge(scored, LEVELS, InspectionParams(), None).verdict == "pass"


# --- by a reduction of the map ---------------------------------------------------------------------------------------
SHARE = Reduction(BASE.cae.scorer.image_score.but(reduction="top_share", share=0.1))  # 12 of the map's 120 pixels
MASS = Reduction(BASE.cae.scorer.image_score.but(reduction="region_mass"), level=0.5)


def at(reject, review, on_map):
    """Return thresholds with these limits."""
    return Thresholds(*(calibrate([value], target_overkill=0.5, review_overkill=0.5).reject for value in
                        (reject, review, on_map)))  # fmt: skip


def test_the_score_decides_and_the_regions_above_the_limit_on_the_map_say_where(anomaly):
    score = (3 * float(np.float16(0.95)) + 8 * 0.75) / 12
    said = judge_map(anomaly, at(0.6, 0.3, 0.8), InspectionParams(), SHARE)
    assert (said.verdict, said.reason, said.threshold) == ("reject", "above the reject threshold", 0.6)
    assert said.score == pytest.approx(score, rel=1e-12)
    assert (said.map_threshold, [region.area for region in said.regions]) == (0.8, [3])
    assert judge_map(anomaly, at(0.9, 0.6, 0.8), InspectionParams(), SHARE).verdict == "review"
    calm = judge_map(anomaly, at(0.9, 0.8, 0.8), InspectionParams(), SHARE)
    assert (calm.verdict, calm.reason, calm.regions) == ("pass", "below the threshold", ())
    mass = judge_map(anomaly, at(3.0, 2.0, 0.8), InspectionParams(), MASS)
    assert (mass.verdict, mass.score) == ("reject", pytest.approx(3 * 0.45 + 8 * 0.25, rel=1e-3))


def test_where_no_pixel_is_above_the_limit_on_the_map_the_region_around_the_highest_is_shown(anomaly):
    said = judge_map(anomaly, at(0.6, 0.3, 2.0), InspectionParams(), SHARE)
    assert (said.verdict, said.map_threshold) == ("reject", 0.6)
    assert said.regions == (Region(1, 1, 1, 3, 3, float(np.float16(0.95))),)
    said = judge_map(anomaly, at(3.0, 2.0, 2.0), InspectionParams(), MASS)
    assert (said.map_threshold, [region.area for region in said.regions]) == (0.5, [3])


def test_ignored_pixels_do_not_count_in_a_share(anomaly):
    strong = InspectionParams(ignore=(IgnoreRegion(y=0, x=0, height=5, width=12),))
    said = judge_map(anomaly, at(0.6, 0.3, 0.8), strong, SHARE)
    cut = judge_map(anomaly[5:], at(0.6, 0.3, 0.8), InspectionParams(), SHARE)
    assert (said.verdict, said.score) == (cut.verdict, cut.score) == ("reject", 0.75)  # 6 of 60 pixels
    assert [(r.y, r.area) for r in said.regions] == [(6, 8)]
    everything = InspectionParams(ignore=(IgnoreRegion(y=0, x=0, height=10, width=12),))
    assert judge_map(anomaly, at(0.6, 0.3, 0.8), everything, SHARE).verdict == "not_judged"


def test_columns_that_are_not_judged_do_not_count_in_a_share(anomaly):
    inner = Scored(np.nan, anomaly, slice(1, 6))
    assert judged_pixels(inner, InspectionParams()).sum() == 50
    said = judge(inner, at(0.6, 0.3, 0.8), InspectionParams(), SHARE)  # 5 of 50 pixels
    assert said.score == pytest.approx((3 * float(np.float16(0.95)) + 2 * 0.75) / 5, rel=1e-12)
    ends = InspectionParams(ignore=(IgnoreRegion(y=0, x=1, height=10, width=5),))
    for reduction in (MAXIMUM, SHARE):
        assert judge(inner, LEVELS, ends, reduction).verdict == "not_judged"


@pytest.mark.parametrize(
    ("min_area", "verdict", "areas"), [(0, "reject", [3]), (3, "reject", [3]), (4, "review", [8]), (9, "pass", [])]
)
def test_small_regions_are_left_out_before_the_score_is_made(anomaly, min_area, verdict, areas):
    said = judge_map(anomaly, at(0.6, 0.4, 0.8), InspectionParams(min_area=min_area), SHARE)
    assert (said.verdict, [region.area for region in said.regions]) == (verdict, areas)
    if verdict == "review":
        assert said.score == 8 * 0.75 / 12  # of 117 pixels, 12 again
    if verdict == "pass":
        assert said.reason == "no region of at least 9 pixels above the threshold"


def test_a_small_peak_does_not_take_the_large_region_around_it_away(anomaly):
    peak = anomaly.copy()
    peak[7, 3] = 5
    for values in (anomaly, peak):
        assert judge_map(values, at(0.5, 0.4, 0.8), InspectionParams(min_area=4), SHARE).regions[0].area == 8
    assert judge_map(peak, at(0.5, 0.4, 0.8), InspectionParams(min_area=4), SHARE).verdict == "reject"


def test_a_map_of_one_small_region_alone_passes():
    whole = np.ones((3, 4), np.float16)
    said = judge_map(whole, at(0.6, 0.4, 0.8), InspectionParams(min_area=13), SHARE)
    assert (said.verdict, said.score) == ("pass", 1.0)
    assert "at least 13 pixels" in said.reason


@pytest.mark.parametrize("reduction", [SHARE, MASS])
def test_a_map_with_nan_is_no_pass_by_a_reduction(anomaly, reduction):
    broken = anomaly.copy()
    broken[0, 0] = np.nan
    with pytest.raises(FlawlineError, match="anomaly_map must hold numbers, got 1 of 120 pixels that are NaN"):
        judge_map(broken, at(9.0, 8.0, 0.8), InspectionParams(), reduction)


@given(
    seed=st.integers(0, 2**32 - 1), smoothness=st.floats(0, 2), min_area=st.integers(0, 12),
    limits=st.lists(st.floats(0.05, 3), min_size=3, max_size=3), reduction=st.sampled_from([SHARE, MASS]),
)  # fmt: skip
def test_whatever_is_not_passed_has_a_place_to_look_at_that_is_large_enough(
    seed, smoothness, min_area, limits, reduction
):
    rng = np.random.default_rng(seed)
    anomaly = gaussian_filter(rng.gamma(0.5, 1, (12, 14)), smoothness).astype(np.float16)
    thresholds, inspection = at(max(limits[:2]), min(limits[:2]), limits[2]), InspectionParams(min_area=min_area)
    said = judge_map(anomaly, thresholds, inspection, reduction)
    whole = judge_map(anomaly, thresholds, InspectionParams(), reduction)
    assert whole.score == reduction(anomaly)
    if said.verdict == "pass":
        return
    assert said.score > said.threshold
    assert said.regions[0].area >= min_area
    helps = reduction.counts_from(said.threshold)
    assert find_regions(anomaly, helps, min_area=min_area)  # a small region alone makes no verdict


@given(seed=st.integers(0, 2**32 - 1), min_area=st.integers(0, 12))
def test_the_maximum_judged_as_a_reduction_gives_the_same_verdict(seed, min_area):
    anomaly = gaussian_filter(np.random.default_rng(seed).gamma(0.5, 1, (12, 14)), 0.8).astype(np.float16)
    inspection, seen = InspectionParams(min_area=min_area), np.ones((12, 14), bool)
    thresholds = at(1.0, 0.7, 1.0)
    said = judge_map(anomaly, thresholds, inspection)
    other = judge_reduced(anomaly, seen, replace(thresholds, pixel=None), inspection, MAXIMUM)
    assert said.verdict == other.verdict
    if said.verdict == "reject":
        assert said.regions == other.regions


# --- a detector at work ----------------------------------------------------------------------------------------------
@pytest.fixture
def image():
    pixels = np.random.default_rng(1).integers(0, 256, (1, 32, 28), dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


def test_a_photograph_is_judged_by_its_map_and_comes_with_all_that_was_made(detector, image):
    said = Judge(detector).judge(image)
    scored, reconstruction = detector.score(image, detector.make_scorer())
    plain = judge_map(scored.map, detector.thresholds, InspectionParams(), detector.reduction)
    assert said.judgement == replace(plain, p_value=p_value(plain.score, detector.calibration_scores))
    np.testing.assert_array_equal(said.scored.map, scored.map)
    np.testing.assert_array_equal(said.reconstruction.image, reconstruction.image)
    np.testing.assert_array_equal(said.image, image)  # without an aligner the frame is the photograph


def test_what_is_found_in_the_frame_is_told_where_it_lies_in_the_photograph():
    image = part_of(Transform(90, 0, 0))  # the part, a quarter turn to the left
    aligner = aligner_of()
    alignment = aligner.align(image)
    anomaly = np.zeros(aligner.size, np.float16)
    anomaly[10:14, 20:30] = 1
    (region,) = find_regions(anomaly, 0.5)
    framed = Judged(Judgement("reject", "why", 1.0, 0.5, (region,), 0.5), aligner.warp(image, alignment),
                    Scored(1.0, anomaly))  # fmt: skip
    said = in_photograph(framed, image, aligner, alignment)
    (found,) = said.judgement.regions
    corners = np.array([(10, 20), (13, 29)])
    low, _ = np.sort(aligner.in_photograph(corners, alignment, image.shape[1:]), axis=0)
    assert (found.y, found.x) == pytest.approx(low, abs=1)
    assert (found.height, found.width) == pytest.approx((10, 4), abs=1)
    assert (found.area, found.peak) == (region.area, region.peak)
    assert said.scored.map.shape == image.shape[1:]
    assert said.scored.map[found.y + found.height // 2, found.x + found.width // 2] == 1
    assert said.scored.map.sum() == pytest.approx(anomaly.sum(), rel=0.1)
    np.testing.assert_array_equal(said.image, image)
    assert (said.judgement.score, said.judgement.verdict) == (1.0, "reject")


def test_what_the_frame_makes_up_beyond_the_photograph_has_no_part_in_the_verdict(detector, image):
    judge = Judge(detector)
    anomaly = judge.judge_framed(image).scored.map
    seen = np.ones(anomaly.shape, bool)
    assert judge.judge_framed(image, seen).judgement == judge.judge_framed(image).judgement
    row, _ = np.unravel_index(anomaly.argmax(), anomaly.shape)
    seen[row] = False  # the row of the highest value
    said = judge.judge_framed(image, seen)
    assert said.judgement.score == detector.reduction(said.scored.map) < detector.reduction(anomaly)
    assert (said.scored.map[row] == anomaly[seen].min()).all()
    assert all(not region.y <= row < region.y + region.height for region in said.judgement.regions)


def test_of_a_method_without_maps_the_photograph_is_shown():
    image, aligner = part_of(Transform(90, 0, 0)), aligner_of()
    alignment = aligner.align(image)
    said = in_photograph(Judged(Judgement("pass", "why"), aligner.warp(image, alignment), Scored(1.0, NO_MAP)), image,
                         aligner, alignment)  # fmt: skip
    assert said.image is image
    assert said.scored.map.size == 0


def test_a_photograph_that_does_not_fit_is_not_judged_and_nothing_is_made_of_it(detector, image):
    said = Judge(detector).judge(image[:, :20])
    assert (said.judgement.verdict, said.judgement.score) == ("not_judged", None)
    assert said.judgement.reason == "has 20 x 28 pixels; the detector learned from 24 x 28 to 32 x 28"
    assert (said.image, said.scored, said.reconstruction) == (None, None, None)


def test_the_detectors_own_settings_judge_where_no_others_are_given(detector, image):
    kept = InspectionParams(target_overkill=0.5, ignore=(IgnoreRegion(y=0, x=0, height=32, width=28),))
    own = Judge(replace(detector, inspection=kept))
    assert own.inspection == kept
    assert own.thresholds == detector.at_overkill(0.5).thresholds != detector.thresholds
    assert own.judge_framed(image).judgement.reason == "lies wholly in regions that are ignored"


def test_costs_take_the_place_of_a_target_that_a_detector_keeps_and_the_other_way_round(detector):
    costs = CostParams(escape=100, overkill=5, review=1, defect_rate=0.1)
    known = replace(detector, pseudo_scores=(0.6, 0.9, 2.0))
    by_cost = known.at_costs(costs_of(costs)).thresholds
    assert Judge(replace(known, inspection=InspectionParams(costs=costs))).thresholds == by_cost
    target = replace(known, inspection=InspectionParams(target_overkill=0.2))
    assert Judge(target, InspectionParams(costs=costs)).thresholds == by_cost
    kept = replace(known, inspection=InspectionParams(costs=costs))
    assert Judge(kept, InspectionParams(target_overkill=0.2)).thresholds == known.at_overkill(0.2).thresholds


def test_what_is_given_goes_before_and_what_is_null_keeps_the_detectors(detector, image):
    kept = InspectionParams(target_overkill=0.5, ignore=(IgnoreRegion(y=0, x=0, height=32, width=28),))
    given = Judge(replace(detector, inspection=kept), InspectionParams(target_overkill=0.2))
    assert given.thresholds == detector.at_overkill(0.2).thresholds
    assert given.judge_framed(image).judgement.verdict == "not_judged"  # the regions are still ignored
    all_judged = Judge(replace(detector, inspection=kept), InspectionParams(ignore=()))
    assert all_judged.judge_framed(image).judgement.verdict != "not_judged"
    assert all_judged.thresholds == detector.at_overkill(0.5).thresholds


def test_the_scorer_is_made_once_and_where_it_is_asked_to_run(detector, image, monkeypatch):
    made, real = [], type(detector).make_scorer
    monkeypatch.setattr(
        type(detector), "make_scorer", lambda self, compute: made.append(compute) or real(self, compute)
    )
    judge = Judge(detector, compute=ComputeParams(device="cpu", threads=1, engine="torch"))
    assert made == []
    judge.judge(image), judge.judge(image)
    assert made == [ComputeParams(device="cpu", threads=1, engine="torch")]


# --- rows ------------------------------------------------------------------------------------------------------------
def test_a_row_holds_the_verdict_and_the_largest_regions_box():
    said = Judgement("reject", "why", 0.9, 0.5, (Region(1, 2, 3, 4, 10, 0.9), Region(7, 7, 1, 1, 1, 0.6)), p_value=0.04)
    row = verdict_row("a.png", "ab", said, InspectionParams())
    assert row == {"image": "a.png", "sha256": "ab", "score": 0.9, "threshold": 0.5, "p_value": 0.04,
                   "verdict": "reject", "reason": "why", "regions": 2,
                   "y": 1, "x": 2, "height": 3, "width": 4, "area": 10}  # fmt: skip
    assert verdict_row("a.png", "ab", said, InspectionParams(mm_per_pixel=0.5))["area_mm2"] == 2.5


def test_a_row_of_an_image_not_judged_has_no_numbers():
    row = verdict_row("a.png", "", Judgement("not_judged", "is empty"), InspectionParams(mm_per_pixel=1))
    assert [key for key, value in row.items() if value is None] == [
        "score", "threshold", "p_value", "y", "x", "height", "width", "area", "area_mm2",
    ]  # fmt: skip
    assert row["regions"] == 0


def test_jpeg_with_stray_bytes_is_judged_only_by_a_detector_that_is_not_strict(detector):
    buffer = io.BytesIO()
    Image.new("L", (28, 24)).save(buffer, "JPEG")
    content = buffer.getvalue()[:-2] + bytes(40) + buffer.getvalue()[-2:]
    for kept in (InspectionParams(), InspectionParams(strict=True)):
        refused = Judge(replace(detector, inspection=kept)).judge_file(content).judgement
        assert refused.verdict == "not_judged"
        assert re.search(r"extraneous bytes .* judge it: inspection\.strict=false", refused.reason)
    assert Judge(detector, InspectionParams(strict=False)).judge_file(content).judgement.verdict != "not_judged"
    lenient = replace(detector, inspection=InspectionParams(strict=False))
    assert Judge(lenient, InspectionParams(max_pixels=1000)).judge_file(content).judgement.verdict != "not_judged"
