import json
from typing import get_args

import numpy as np
import pytest
from defect_images import PARAMS, flat, frozen, rng, textured
from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.params import DefectKind
from flawline.vision.defects import INJECTORS, Damaged, Disk, PseudoDefects, inject
from flawline.vision.defects.base import UnseenError

KINDS = tuple(INJECTORS)
PLAIN = ("elastic", "line", "gaussian", "poisson")  # need no second place, no ranges and no second draw
DRAWN = tuple(kind for kind in KINDS if kind not in PLAIN)


# --- every injector --------------------------------------------------------------------------------------------------
def test_there_is_an_injector_for_every_kind_of_the_params():
    assert set(INJECTORS) == set(KINDS) == set(get_args(DefectKind)) == set(PARAMS.kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_injector_changes_only_masked_pixels_and_stays_in_range(kind):
    image, region = textured(np.float32), Disk(40, 40, 20).mask((80, 100))
    made = INJECTORS[kind](getattr(PARAMS, kind))(image, region, rng())
    result, mask = made.image, made.mask
    assert isinstance(made, Damaged)
    assert result.dtype == np.float32
    assert result.shape == image.shape
    assert mask.any()
    assert not (mask & ~region).any()
    np.testing.assert_array_equal(result[:, ~mask], image[:, ~mask])
    np.testing.assert_array_equal((result != image).any(axis=0), mask)  # random pixels: every defective one shows
    assert result.min() >= 0
    assert result.max() <= 1
    assert json.loads(json.dumps(made.drawn)) == made.drawn


@pytest.mark.parametrize("kind", KINDS)
def test_injector_is_determined_by_the_generator(kind):
    image, region = textured(np.float32), frozen(np.ones((80, 100), bool))
    injector = INJECTORS[kind](getattr(PARAMS, kind))
    first, same, other = (injector(image, region, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, same.image)
    assert first.drawn == same.drawn
    assert (first.image != other.image).any()


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("region", ["disk", "image"])
def test_defect_can_be_seen_and_is_no_cover(kind, region):
    image = textured(np.uint8, (1, 32, 32))
    for seed in range(20):
        made = inject(image, kind, PARAMS.but(region=region), rng(seed))
        area = np.pi * made.parameters["radius"] ** 2 if region == "disk" else 32 * 32
        assert 0 < made.mask.sum() < 0.6 * area
        change = np.abs(made.image[:, made.mask].astype(float) - image[:, made.mask])
        assert change.mean() > 0.09 * image.std()  # visible: 0.1, and then rounded


@pytest.mark.parametrize("kind", DRAWN)
def test_region_that_is_too_small_for_a_kind_is_told_what_to_do(kind):
    region = np.zeros((20, 20), bool)
    region[4:6, 3:9] = True
    wanted = f"region must be at least 3 x 3 pixels for {kind}, got 2 x 6: take a larger image.* leave {kind} out"
    with pytest.raises(FlawlineError, match=wanted):
        INJECTORS[kind](getattr(PARAMS, kind))(textured(np.float32, (1, 20, 20)), region, rng())


@pytest.mark.parametrize("kind", DRAWN)
def test_defect_shows_where_it_lies_in_a_narrow_region(kind):
    """A region that is no disk: an L of two arms, three pixels wide."""
    region = np.zeros((40, 40), bool)
    region[5:35, 5:8] = region[32:35, 5:35] = True
    for seed in range(5):
        made = INJECTORS[kind](getattr(PARAMS, kind))(textured(np.float32, (1, 40, 40)), region, rng(seed))
        assert made.mask.any()
        assert not (made.mask & ~region).any()


@pytest.mark.parametrize("kind", KINDS)
def test_injector_refuses_other_shapes_and_types(kind):
    injector = INJECTORS[kind](getattr(PARAMS, kind))
    region = np.ones((8, 8), bool)
    with pytest.raises(FlawlineError, match=r"image must have shape \(C, H, W\), got \(8, 8\)"):
        injector(np.zeros((8, 8), np.float32), region, rng())
    with pytest.raises(FlawlineError, match=r"region must have shape \(8, 9\), got \(8, 8\)"):
        injector(np.zeros((1, 8, 9), np.float32), region, rng())
    with pytest.raises(FlawlineError, match=r"image must be float32 in \[0, 1\], got uint8"):
        injector(np.zeros((1, 8, 8), np.uint8), region, rng())
    with pytest.raises(FlawlineError, match="region must be bool, got uint8"):
        injector(np.zeros((1, 8, 8), np.float32), region.astype(np.uint8), rng())
    with pytest.raises(FlawlineError, match="region must have at least one pixel"):
        injector(np.zeros((1, 8, 8), np.float32), ~region, rng())


# --- inject ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_inject_keeps_the_depth_and_every_bit_outside_the_mask(kind, dtype):
    image = textured(dtype)
    defect = inject(image, kind, PARAMS, rng())
    assert defect.image.dtype == image.dtype
    np.testing.assert_array_equal(defect.image[:, ~defect.mask], image[:, ~defect.mask])
    assert (defect.image != image).any()
    assert not np.shares_memory(defect.image, image)


def test_inject_uses_all_16_bits():
    defect = inject(textured(np.uint16), "gaussian", PARAMS, rng())
    values = defect.image[:, defect.mask].astype(int)
    unclipped = values[(values > 0) & (values < 65535)]
    assert (unclipped % 257 != 0).mean() > 0.9  # multiples of 257 are what 8 bits can hold
    assert values.max() > 60000


def test_inject_takes_a_read_only_memory_map(tmp_path):
    image = np.memmap(tmp_path / "image", np.uint8, "w+", shape=(1, 64, 64))
    image[:] = 100
    image.flush()
    defect = inject(np.memmap(tmp_path / "image", np.uint8, "r", shape=(1, 64, 64)), "line", PARAMS, rng())
    assert type(defect.image) is np.ndarray
    assert (np.fromfile(tmp_path / "image", np.uint8) == 100).all()


def test_parameters_tell_the_region_and_the_injectors_numbers_as_json():
    defect = inject(textured(np.uint8), "elastic", PARAMS, rng())
    told = json.loads(json.dumps(defect.parameters))
    assert told == defect.parameters
    assert list(told) == ["kind", "centre", "radius", "changed", "amplitude", "smoothness"]
    assert (told["kind"], told["amplitude"], told["smoothness"]) == ("elastic", 12.0, 6.0)
    assert 0.05 * 80 <= told["radius"] <= 0.2 * 80
    np.testing.assert_array_equal(defect.mask, Disk(*told["centre"], told["radius"]).mask((80, 100)))


def test_whole_image_as_region_has_neither_centre_nor_radius():
    defect = inject(textured(np.uint8, (1, 20, 24)), "gaussian", PARAMS.but(region="image"), rng())
    assert list(defect.parameters) == ["kind", "changed", "sigma"]
    assert defect.mask.all()


def test_place_where_a_kind_cannot_be_seen_is_given_up_for_another():
    """A part on black: the average of a hole with black cannot be told from black."""
    holes = PARAMS.but(julia={"families": ("hole",)})
    image = np.zeros((1, 128, 128), np.uint8)
    image[:, 40:90, 40:90] = 180
    for seed in range(10):
        made = inject(image, "julia", holes, rng(seed))
        assert made.parameters["changed"] > 0
        assert (image[:, made.mask] > 0).any()
    never = [raises(image, holes.but(places=1), seed) for seed in range(10)]
    assert any(never)
    assert not all(never)


def raises(image, params, seed):
    try:
        inject(image, "julia", params, rng(seed))
    except UnseenError:
        return True
    return False


@pytest.mark.parametrize("kind", ["patch", "scar", "blend"])
def test_image_in_which_nothing_can_be_seen_is_told_what_to_do(kind):
    with pytest.raises(UnseenError, match=rf"{kind} must change .* leave {kind} out of the kinds, or lower"):
        inject(np.zeros((1, 64, 64), np.uint8), kind, PARAMS.but(places=2), rng())


def test_transplant_in_an_even_image_says_how_little_changes():
    with pytest.raises(UnseenError, match=r"blend must change its pixels .* 50 draws changed them by 0 at the most"):
        inject(flat(0.5), "blend", PARAMS.but(places=1), rng())


def test_changed_says_that_a_defect_cannot_be_seen():
    even = frozen(np.full((1, 64, 64), 200, np.uint8))
    assert inject(even, "elastic", PARAMS, rng()).parameters["changed"] == 0
    assert inject(even, "line", PARAMS, rng()).parameters["changed"] == 1


def test_inject_is_determined_by_the_generator():
    image = textured(np.uint8)
    first, same, other = (inject(image, "elastic", PARAMS, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, same.image)
    assert first.parameters == same.parameters
    assert first.parameters != other.parameters


def test_inject_refuses_what_it_cannot_use():
    with pytest.raises(FlawlineError, match=r"kind must be one of elastic, line, .* got 'gausian' .*'gaussian'"):
        inject(textured(np.uint8), "gausian", PARAMS, rng())
    with pytest.raises(FlawlineError, match="image must be uint8, uint16 or float32, got float64"):
        inject(np.zeros((1, 64, 64)), "line", PARAMS, rng())
    with pytest.raises(FlawlineError, match=r"image must have shape \(C, H, W\), got \(64, 64\)"):
        inject(np.zeros((64, 64), np.uint8), "line", PARAMS, rng())
    with pytest.raises(FlawlineError, match=r"largest value of image \(float32\) must be in \[0, 1\], got 254"):
        inject(textured(np.uint8).astype(np.float32), "line", PARAMS, rng())
    with pytest.raises(FlawlineError, match=r"smallest value of image \(float32\) must be in \[0, 1\], got nan"):
        inject(flat(np.nan), "line", PARAMS, rng())
    with pytest.raises(FlawlineError, match=r"image of 8 x 30 pixels is too small for regions from 0\.05 .* got 0\.4"):
        inject(np.zeros((1, 8, 30), np.uint8), "line", PARAMS.but(region="disk"), rng())


# --- PseudoDefects ---------------------------------------------------------------------------------------------------
def test_pseudo_defects_take_images_in_order_and_kinds_in_turn():
    images = [textured(np.uint8, (1, 40 + i, 40)) for i in range(3)]
    defects = PseudoDefects(images, PARAMS.but(per_image=2, kinds=PLAIN), seed=0)
    assert len(defects) == 6
    assert [d.parameters["kind"] for d in defects] == ["elastic", "line", "gaussian", "poisson", "elastic", "line"]
    assert [d.image.shape[1] for d in defects] == [40, 40, 41, 41, 42, 42]


@pytest.mark.parametrize(("images", "least", "made"), [(3, 6, 6), (3, 7, 9), (3, 1, 3), (9, 6, 9), (0, 6, 0)])
def test_more_are_made_of_each_of_few_images(images, least, made):
    params = PARAMS.but(per_image=1, least=least, kinds=PLAIN)
    defects = PseudoDefects([textured(np.uint8, (1, 40 + i, 40)) for i in range(images)], params, seed=0)
    assert len(defects) == made
    assert [defects.source(i) for i in range(made)] == sorted(list(range(images)) * (made // max(images, 1)))


def test_the_fewest_and_the_most_do_not_contradict_each_other():
    with pytest.raises(ValidationError, match="least must not exceed most, got 7 > 6"):
        PARAMS.but(least=7, most=6)


def test_pseudo_defects_do_not_depend_on_the_order_or_on_the_images_after():
    images = [textured(np.uint8, (1, 40, 40))] * 4
    forward = list(PseudoDefects(images, PARAMS, seed=7))
    defects = PseudoDefects([*images, images[0]], PARAMS, seed=7)
    for i in (3, 0, 2, 1):
        np.testing.assert_array_equal(defects[i].image, forward[i].image)
        assert defects[i].parameters == forward[i].parameters
    assert PseudoDefects(images, PARAMS, seed=8)[0].parameters != forward[0].parameters


def test_pseudo_defects_look_at_no_image_before_they_must():
    class Watched(list):
        seen = ()

        def __getitem__(self, i):
            self.seen += (i,)
            return super().__getitem__(i)

    images = Watched([textured(np.uint8, (1, 40, 40))] * 3)
    defects = PseudoDefects(images, PARAMS.but(per_image=4), seed=0)
    assert len(defects) == 12
    assert images.seen == ()
    _ = defects[9]
    assert images.seen == (2,)


def test_pseudo_defects_index_like_a_sequence():
    defects = PseudoDefects([textured(np.uint8, (1, 40, 40))] * 3, PARAMS.but(per_image=1), seed=0)
    assert defects[-1].parameters == defects[2].parameters
    assert [d.parameters for d in defects[1:]] == [defects[1].parameters, defects[2].parameters]
    with pytest.raises(IndexError):
        defects[3]


def test_pseudo_defects_need_a_kind():
    with pytest.raises(ValidationError, match="at least 1 item"):
        PARAMS.but(kinds=())
