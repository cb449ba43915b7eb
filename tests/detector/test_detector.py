import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from flawline.detector.detector import (
    PLAIN,
    Judgement,
    Thresholds,
    calibrate,
    ignored_pixels,
    judge_map,
    least_pixels,
    load_detector,
    save_detector,
    verdict_row,
)

from flawline.checks import FlawlineError
from flawline.metrics.regions import Region
from flawline.params import IgnoreRegion, InspectionParams
from flawline.storage.tensors import read_tensors, write_tensors

LEVELS = calibrate([0.1 * k for k in range(1, 10)], target_overkill=0.1, review_overkill=0.4)


@pytest.fixture
def anomaly():
    """A map (10, 12) with a strong region of 3 pixels and a weak one of 8; reject is 0.9, review 0.6."""
    values = np.zeros((10, 12), np.float16)
    values[1, 1:4] = 0.95
    values[6:8, 2:6] = 0.75
    values.setflags(write=False)
    return values


# --- thresholds ------------------------------------------------------------------------------------------------------
def test_calibrate_gives_the_kth_smallest_of_nine_scores():
    assert LEVELS.reject.value == pytest.approx(0.9)  # k = ceil(10 * 0.9) = 9
    assert LEVELS.review.value == pytest.approx(0.6)  # k = ceil(10 * 0.6) = 6


def test_review_is_never_above_reject():
    levels = calibrate([1.0, 2.0, 3.0, 4.0], target_overkill=0.5, review_overkill=0.01)
    assert levels.review == levels.reject


def test_thresholds_survive_json():
    assert Thresholds.from_dict(LEVELS.to_dict()) == LEVELS


def test_another_overkill_takes_another_calibration_score_and_the_same_weights(detector):
    strict = detector.at_overkill(0.2)
    assert detector.thresholds.reject.value == 0.95  # k = ceil(100 * 0.95)
    assert strict.thresholds.reject.value == 0.80
    assert strict.thresholds.review.value == 0.80  # at most as many rejects as reviews
    assert strict.weights is detector.weights
    assert detector.at_overkill(None) is detector


# --- judging ---------------------------------------------------------------------------------------------------------
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


# --- what fits -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("shape", "dtype", "reason"),
    [
        ((1, 24, 28), np.uint8, None),
        ((3, 30, 28), np.uint8, None),  # colour is converted
        ((1, 23, 28), np.uint8, "has 23 x 28 pixels; the detector learned from 24 x 28 to 32 x 28"),
        ((1, 32, 29), np.uint8, "has 32 x 29 pixels; the detector learned from 24 x 28 to 32 x 28"),
        ((1, 24, 28), np.uint16, "has 16 bits a channel; the detector learned from 8"),
    ],
)
def test_misfit_says_what_came_and_what_was_learned(detector, shape, dtype, reason):
    assert detector.misfit(np.zeros(shape, dtype)) == reason


def test_misfit_of_images_of_one_size_names_it_once(detector):
    one = replace(detector, smallest=(32, 28))
    assert one.misfit(np.zeros((1, 24, 28), np.uint8)) == "has 24 x 28 pixels; the detector learned from 32 x 28"


def test_a_colour_image_is_judged_as_its_grey_one(detector):
    grey = np.random.default_rng(0).integers(0, 256, (1, 24, 28), dtype=np.uint8)
    np.testing.assert_array_equal(detector.score(np.repeat(grey, 3, axis=0)).map, detector.score(grey).map)
    assert detector.redraw(grey).shape == (1, 24, 28)


# --- the file --------------------------------------------------------------------------------------------------------
def test_a_detector_comes_back_to_the_bit(tmp_path, detector):
    path = tmp_path / "detector.safetensors"
    save_detector(path, detector)
    back = load_detector(path)
    assert [name for name in PLAIN if getattr(back, name) != getattr(detector, name)] == []
    assert back.thresholds == detector.thresholds
    assert all(torch.equal(back.weights[name], value) for name, value in detector.weights.items())
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 28), dtype=np.uint8)
    np.testing.assert_array_equal(back.score(image).map, detector.score(image).map)
    np.testing.assert_array_equal(back.redraw(image), detector.redraw(image))


def test_a_file_saved_twice_is_the_same(tmp_path, detector):
    save_detector(tmp_path / "one", detector)
    save_detector(tmp_path / "two", load_detector(tmp_path / "one"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_no_detector_says_how_to_make_one(tmp_path):
    with pytest.raises(FlawlineError, match=r"no detector at .*none\.safetensors\. Finish one first: kedro run"):
        load_detector(tmp_path / "none.safetensors")


@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], lambda c: c[:-1] + bytes([c[-1] ^ 64]), lambda c: b""],
                         ids=["truncated", "flipped", "empty"])  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path, detector, damage):
    path = tmp_path / "detector.safetensors"
    save_detector(path, detector)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FlawlineError, match="is not a whole detector file"):
        load_detector(path)


def test_a_threshold_changed_in_the_file_is_refused(tmp_path, detector):
    path = tmp_path / "detector.safetensors"
    save_detector(path, detector)
    content = path.read_bytes()
    assert content.count(b'value\\": 0.95') == 1
    path.write_bytes(content.replace(b'value\\": 0.95', b'value\\": 0.99'))
    with pytest.raises(FlawlineError, match="its content is not what was written"):
        load_detector(path)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


@pytest.mark.parametrize("save", [lambda value, path: path.write_bytes(pickle.dumps(value)), torch.save])
def test_a_pickle_is_refused_unread(tmp_path, save):
    path = tmp_path / "detector.pkl"
    save({"weights": Trap()}, path)
    with pytest.raises(FlawlineError, match="is not a whole detector file"):
        load_detector(path)


def test_strips_may_be_of_any_width_that_holds_a_patch(detector):
    strips = replace(detector, trim_ends=True)
    assert strips.misfit(np.full((1, 30, 500), 90, np.uint8)) is None
    assert "has 30 x 15 pixels" in strips.misfit(np.full((1, 30, 15), 90, np.uint8))
    assert "has 50 x 28 pixels" in strips.misfit(np.full((1, 50, 28), 90, np.uint8))
    assert "has 30 x 500 pixels" in detector.misfit(np.full((1, 30, 500), 90, np.uint8))


def test_another_format_is_refused_by_its_number(tmp_path, detector):
    path = tmp_path / "detector.safetensors"
    save_detector(path, detector)
    weights, meta = read_tensors(path)
    write_tensors(path, weights, {**meta, "format": 1})
    with pytest.raises(FlawlineError, match="is a detector of format 1; this version reads 3"):
        load_detector(path)


def test_weights_alone_are_no_detector(tmp_path, detector):
    write_tensors(tmp_path / "weights.safetensors", detector.weights, {})
    with pytest.raises(FlawlineError, match="is not a detector"):
        load_detector(tmp_path / "weights.safetensors")


def test_an_unknown_method_is_refused_with_the_near_name(detector):
    with pytest.raises(FlawlineError, match=r"no method 'cea' \(did you mean 'cae'\?\)"):
        replace(detector, method="cea").score(np.zeros((1, 24, 28), np.uint8))
