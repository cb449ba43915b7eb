import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flawline.checks import FlawlineError
from flawline.detector.judging import (
    Judge,
    Judgement,
    ignored_pixels,
    judge,
    judge_map,
    judge_whole,
    least_pixels,
    verdict_row,
)
from flawline.detector.thresholds import calibrate
from flawline.methods.one_class import NO_MAP, Scored
from flawline.metrics.regions import Region
from flawline.params import ComputeParams, IgnoreRegion, InspectionParams

LEVELS = calibrate([0.1 * k for k in range(1, 10)], target_overkill=0.1, review_overkill=0.4)


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
        with pytest.raises(FlawlineError, match="need a method whose score is its map's maximum"):
            judge_whole(Scored(3.5, anomaly), APART, inspection)


def test_by_map_or_as_a_whole_is_the_methods_choice(anomaly):
    scored = Scored(0.1, anomaly)
    assert judge(scored, LEVELS, InspectionParams(), by_map=True) == judge_map(anomaly, LEVELS, InspectionParams())
    assert judge(scored, LEVELS, InspectionParams(), by_map=False).verdict == "pass"


# --- a detector at work ----------------------------------------------------------------------------------------------
@pytest.fixture
def image():
    pixels = np.random.default_rng(1).integers(0, 256, (1, 32, 28), dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


def test_a_photograph_is_judged_by_its_map_and_comes_with_all_that_was_made(detector, image):
    said = Judge(detector).judge(image)
    scored, reconstruction = detector.score(image, detector.make_scorer())
    assert said.judgement == judge_map(scored.map, detector.thresholds, InspectionParams())
    np.testing.assert_array_equal(said.scored.map, scored.map)
    np.testing.assert_array_equal(said.reconstruction.image, reconstruction.image)
    np.testing.assert_array_equal(said.image, image)  # without an aligner the frame is the photograph


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
    judge = Judge(detector, compute=ComputeParams(device="cpu", threads=1))
    assert made == []
    judge.judge(image), judge.judge(image)
    assert made == [ComputeParams(device="cpu", threads=1)]


# --- rows ------------------------------------------------------------------------------------------------------------
def test_a_row_holds_the_verdict_and_the_largest_regions_box():
    said = Judgement("reject", "why", 0.9, 0.5, (Region(1, 2, 3, 4, 10, 0.9), Region(7, 7, 1, 1, 1, 0.6)))
    row = verdict_row("a.png", "ab", said, InspectionParams())
    assert row == {"image": "a.png", "sha256": "ab", "score": 0.9, "threshold": 0.5, "verdict": "reject",
                   "reason": "why", "regions": 2, "y": 1, "x": 2, "height": 3, "width": 4, "area": 10}  # fmt: skip
    assert verdict_row("a.png", "ab", said, InspectionParams(mm_per_pixel=0.5))["area_mm2"] == 2.5


def test_a_row_of_an_image_not_judged_has_no_numbers():
    row = verdict_row("a.png", "", Judgement("not_judged", "is empty"), InspectionParams(mm_per_pixel=1))
    assert [key for key, value in row.items() if value is None] == [
        "score", "threshold", "y", "x", "height", "width", "area", "area_mm2",
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
