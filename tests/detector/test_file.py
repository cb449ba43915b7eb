import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from base_params import BASE
from small_detector import untrained

from flawline.checks import FlawlineError
from flawline.detector.file import PLAIN, load_detector, save_detector
from flawline.detector.judging import Judge
from flawline.methods.one_class import level_state
from flawline.metrics.decisions import Costs
from flawline.metrics.reductions import Reduction
from flawline.params import IgnoreRegion, InspectionParams
from flawline.storage.tensors import packed, read_tensors, write_tensors


def map_of(detector, image):
    return Judge(detector).judge_framed(image).scored.map


def test_another_overkill_takes_another_calibration_score_and_the_same_weights(detector):
    strict = detector.at_overkill(0.2)
    assert detector.thresholds.reject.value == 0.95  # k = ceil(100 * 0.95)
    assert strict.thresholds.reject.value == 0.80
    assert strict.thresholds.review.value == 0.80  # at most as many rejects as reviews
    assert strict.weights is detector.weights
    assert detector.at_overkill(None) is detector


COSTS = Costs(escape=100, overkill=5, review=1, defect_rate=0.1)


def test_other_costs_take_other_calibration_scores_and_the_same_weights(detector):
    known = replace(detector, pseudo_scores=(0.6, 0.9, 2.0))
    dear, cheap = known.at_costs(COSTS), known.at_costs(replace(COSTS, escape=1))
    assert dear.thresholds.by_cost.costs == COSTS
    assert dear.thresholds.review.value < cheap.thresholds.review.value
    assert dear.weights is detector.weights
    assert known.at_costs(None) is known
    assert dear.at_overkill(0.2).thresholds == detector.at_overkill(0.2).thresholds  # the one replaces the other


def test_a_detector_from_before_pseudo_defects_were_kept_loads_and_cannot_be_asked_for_costs(tmp_path, detector):
    path = tmp_path / "detector.safetensors"
    save_detector(path, replace(detector, pseudo_scores=(0.6, 0.9)))
    assert load_detector(path).pseudo_scores == (0.6, 0.9)
    weights, meta = read_tensors(path)
    write_tensors(path, weights, {name: value for name, value in meta.items() if name != "pseudo_scores"})
    older = load_detector(path)
    assert older.pseudo_scores == ()
    with pytest.raises(FlawlineError, match="costs need the scores of pseudo-defects, and there are none: make the"):
        older.at_costs(COSTS)


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


@pytest.mark.parametrize(
    ("value", "told", "reason"),
    [
        (4095, 0, None),
        (4095, 12, None),
        (4096, 0, "holds the value 4096; the detector learned from images of 12 bits, 0 to 4095"),
        (900, 10, "uses 10 bits of 16, as its TIFF tags say; the detector learned from images of 12 bits, 0 to 4095"),
    ],
)
def test_misfit_of_values_beyond_those_learned_from(detector, value, told, reason):
    deep = replace(detector, depth=16, bits=12)
    assert deep.misfit(np.full((1, 24, 28), value, np.uint16), told=told) == reason


def test_misfit_of_size_is_told_of_images_of_twelve_bits_too(detector):
    deep = replace(detector, depth=16, bits=12)
    assert "has 23 x 28 pixels" in deep.misfit(np.full((1, 23, 28), 900, np.uint16))


def test_misfit_of_images_of_one_size_names_it_once(detector):
    one = replace(detector, smallest=(32, 28))
    assert one.misfit(np.zeros((1, 24, 28), np.uint8)) == "has 24 x 28 pixels; the detector learned from 32 x 28"


def test_a_colour_image_is_judged_as_its_grey_one(detector):
    grey = np.random.default_rng(0).integers(0, 256, (1, 24, 28), dtype=np.uint8)
    np.testing.assert_array_equal(map_of(detector, np.repeat(grey, 3, axis=0)), map_of(detector, grey))
    assert detector.reconstruct(grey, detector.make_reconstructor()).shape == (1, 24, 28)


# --- the file --------------------------------------------------------------------------------------------------------
def test_a_detector_comes_back_to_the_bit(tmp_path, detector):
    path = tmp_path / "detector.safetensors"
    save_detector(path, detector)
    back = load_detector(path)
    assert [name for name in PLAIN if getattr(back, name) != getattr(detector, name)] == []
    assert back.thresholds == detector.thresholds
    assert all(torch.equal(back.weights[name], value) for name, value in detector.weights.items())
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 28), dtype=np.uint8)
    np.testing.assert_array_equal(map_of(back, image), map_of(detector, image))
    np.testing.assert_array_equal(
        back.reconstruct(image, back.make_reconstructor()), detector.reconstruct(image, detector.make_reconstructor())
    )


def test_a_detector_keeps_the_settings_that_it_is_judged_with(tmp_path, detector):
    assert detector.inspection == InspectionParams()
    kept = InspectionParams(target_overkill=0.1, ignore=(IgnoreRegion(y=1, x=2, height=3, width=4),), min_area=1 / 3,
                            mm_per_pixel=0.1, max_pixels=1000)  # fmt: skip
    save_detector(tmp_path / "detector", replace(detector, inspection=kept))
    assert load_detector(tmp_path / "detector").inspection == kept


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
    with pytest.raises(FlawlineError, match="its checksum does not fit"):
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


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_ends_of_a_strip_that_are_not_judged_do_not_count_in_a_share(share):
    way = {"reduction": "top_share", "share": share}
    detector = untrained((30, 28), (30, 28), (0.01, 0.5), image_score=way, trim_ends=True)
    rng = np.random.default_rng(0)
    strip = np.full((1, 30, 260), 250, np.uint8)
    strip[:, :, 40:200] = rng.integers(60, 120, (1, 30, 160), dtype=np.uint8)
    strip.setflags(write=False)
    judged, cut = Judge(detector).judge(strip), Judge(detector).judge(strip[:, :, 40:200])
    assert (judged.scored.columns, judged.scored.map.shape) == (slice(40, 200), (30, 260))
    assert not judged.scored.map[:, :40].any()
    assert judged.scored.score == judged.judgement.score == cut.judgement.score > 0
    ends = [IgnoreRegion(y=0, x=40, height=30, width=160)]
    assert Judge(detector, InspectionParams(ignore=ends)).judge(strip).judgement.verdict == "not_judged"


def test_a_detector_keeps_how_maps_become_scores(tmp_path):
    for way in ({"reduction": "maximum"}, {"reduction": "top_share", "share": 0.25}):
        save_detector(tmp_path / "detector", untrained((24, 28), (32, 28), (0.5,), image_score=way))
        assert load_detector(tmp_path / "detector").reduction == Reduction(BASE.cae.scorer.image_score.but(**way))
    mass = untrained((24, 28), (32, 28), (0.5,), image_score={"reduction": "region_mass"})
    with pytest.raises(ValueError, match="needs the level"):
        Judge(mass).judge(np.zeros((1, 24, 28), np.uint8))
    learned = Reduction(BASE.cae.scorer.image_score.but(reduction="region_mass"), level=1 / 3)
    save_detector(
        tmp_path / "detector", replace(mass, weights=mass.weights | packed({"one_class": level_state(learned)}))
    )
    assert load_detector(tmp_path / "detector").reduction == learned
    assert replace(mass, method="ae_l2").reduction is None


def test_another_format_is_refused_by_its_number(tmp_path, detector):
    path = tmp_path / "detector.safetensors"
    save_detector(path, detector)
    weights, meta = read_tensors(path)
    for format in (
        1,
        7,
        10,
        11,
    ):  # 7 kept what is usual at every place or everywhere, not both
        write_tensors(path, weights, {**meta, "format": format})
        with pytest.raises(FlawlineError, match=f"is a detector of format {format}; this version reads 12. Make it"):
            load_detector(path)


def test_weights_alone_are_no_detector(tmp_path, detector):
    write_tensors(tmp_path / "weights.safetensors", detector.weights, {})
    with pytest.raises(FlawlineError, match="is not a detector"):
        load_detector(tmp_path / "weights.safetensors")


def test_an_unknown_method_is_refused_with_the_near_name(detector):
    with pytest.raises(FlawlineError, match=r"no method 'patch_memry' \(did you mean 'patch_memory'\?\)"):
        map_of(replace(detector, method="patch_memry"), np.zeros((1, 24, 28), np.uint8))
