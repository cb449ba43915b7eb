import numpy as np
import pytest
from defect_images import PARAMS, flat, frozen, rng, textured
from printed_julia import printed_steps_left

from flawline.checks import FlawlineError
from flawline.vision.defects import Disk, Julia, JuliaSet, julia_patches, julia_steps_left
from flawline.vision.defects.base import UnseenError
from flawline.vision.defects.julia import STAGES, blend_sets, draw_set

JULIA = PARAMS.julia
UNIT = JuliaSet(alpha=1, beta=1, dx=0, dy=0, cx=0, cy=0, zoom=0.5, width=64, height=64)  # |x|, |y| up to 2


def one_of(*families):
    return JULIA.but(families=families)


# --- sets ------------------------------------------------------------------------------------------------------------
def test_stages_are_254_steps():
    assert sum(STAGES) == 254  # from 255 down to 1


def test_set_of_zero_is_the_unit_disk():
    (left,) = julia_steps_left([UNIT])
    ys, xs = (np.mgrid[:64, :64] - 32) / 16
    radius = np.hypot(xs, ys)
    assert (left[radius <= 1] == 1).all()
    assert (left[radius >= 2] == 255).all()  # no step
    assert (left[(radius >= 2**0.5) & (radius < 2)] == 254).all()  # one step: squared, it is outside
    assert (left[(radius >= 2**0.25) & (radius < 2**0.5)] == 253).all()


@pytest.mark.parametrize(
    "c",
    [(0, 0), (0.25, 0), (-0.75, 0.05), (-1, 0), (-0.12, 0.74), (0, 1), (-0.8, 0.156), (-2 + 1e-9, 0), (1.4, 1.4)],
    ids=str,
)
def test_steps_are_those_of_the_loop_over_pixels_to_the_bit(c):
    drawn = UNIT._replace(cx=c[0], cy=c[1], alpha=0.9, beta=0.7, dx=0.013, dy=-0.21, width=23, height=18)
    np.testing.assert_array_equal(julia_steps_left([drawn])[0], printed_steps_left(drawn))


@pytest.mark.parametrize("family", JULIA.families)
def test_many_sets_at_once_are_those_of_the_loop_one_by_one(family):
    sets = [draw_set(family, JULIA, (16, 20), rng(seed)) for seed in range(12)]
    left = julia_steps_left(sets)
    assert (left.shape, left.dtype) == ((12, 16, 20), np.uint8)
    np.testing.assert_array_equal(left, [printed_steps_left(each) for each in sets])


def test_blocks_and_chunks_change_nothing(monkeypatch):
    sets = [draw_set(family, JULIA, (32, 32), rng(seed)) for seed in range(3) for family in JULIA.families]
    whole = julia_steps_left(sets)
    monkeypatch.setattr("flawline.vision.defects.julia.BLOCK", 2000)
    monkeypatch.setattr("flawline.vision.defects.julia.CHUNK", 77)
    np.testing.assert_array_equal(julia_steps_left(sets), whole)


def test_set_is_symmetric_about_the_middle():
    """Centro-symmetry, for which the paper takes Julia sets: z and -z have one square."""
    left = julia_steps_left([UNIT._replace(cx=-0.4, cy=0.6, width=65, height=65, alpha=65 / 64, beta=65 / 64)])[0]
    shifted = left[1:, 1:]  # the middle, w / 2, lies between two pixels of an odd width
    np.testing.assert_array_equal(shifted, shifted[::-1, ::-1])


def test_zoom_and_offsets_move_the_picture():
    """Twice the zoom is half of both lengths; an offset of one pixel of the plane moves it by a pixel."""
    drawn = UNIT._replace(cx=-0.4, cy=0.6)
    np.testing.assert_array_equal(*(julia_steps_left([each]) for each in
                                    (drawn._replace(zoom=1.0), drawn._replace(alpha=0.5, beta=0.5))))  # fmt: skip
    moved = julia_steps_left([drawn._replace(dx=1 / 16, dy=-2 / 16)])[0]
    np.testing.assert_array_equal(moved[2:, :-1], julia_steps_left([drawn])[0][:-2, 1:])


def test_sets_that_cannot_be_computed_are_refused():
    with pytest.raises(FlawlineError, match=r"\|c\| must stay below the escape radius 2, got 2\.5"):
        julia_steps_left([UNIT, UNIT._replace(cx=1.5, cy=2.0)])
    with pytest.raises(FlawlineError, match=r"have one size \(height, width\), got \[\(32, 64\), \(64, 64\)\]"):
        julia_steps_left([UNIT, UNIT._replace(height=32)])
    with pytest.raises(FlawlineError, match="sets must be at least one"):
        julia_steps_left([])


def test_unknown_family_is_told_the_near_name():
    with pytest.raises(FlawlineError, match=r"family must be one of horizontal, .* got 'yarns' \(did you mean 'yarn'"):
        draw_set("yarns", JULIA, (32, 32), rng())


def test_drawn_numbers_lie_in_the_familys_ranges():
    for seed in range(20):
        drawn = draw_set("yarn", JULIA, (20, 30), rng(seed))._asdict()
        assert (drawn.pop("width"), drawn.pop("height")) == (30, 20)
        for name, value in drawn.items():
            low, high = getattr(JULIA.yarn, name)
            assert low <= value <= high


# --- families --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", JULIA.families)
def test_every_family_covers_its_share_and_can_be_seen(family):
    patches = np.stack([textured(np.float32, (3, 32, 32))] * 60)
    made = julia_patches(patches, one_of(family), rng())
    for each in made:
        assert 0.01 <= each.mask.mean() <= 0.4
        assert np.abs(each.image - patches[0])[:, each.mask].mean() >= 0.1 * patches[0].std()
        assert each.drawn["family"] == family


def spreads(family, count=60):
    """Return the mean standard deviation of the masks' rows and columns, and the mean share, in 32 x 32 patches."""
    made = julia_patches(np.stack([flat(0.7, (1, 32, 32))] * count), one_of(family), rng(1))
    points = [np.nonzero(each.mask) for each in made]
    return (*np.mean([[ys.std(), xs.std()] for ys, xs in points], axis=0), np.mean([each.mask.mean() for each in made]))


def test_families_are_what_they_are_called():
    """Bars are long one way only, a point is small, a hole large and round, a yarn longer than it is high."""
    found = {family: spreads(family) for family in JULIA.families}
    assert found["horizontal"][1] > 4 * found["horizontal"][0]
    assert found["vertical"][0] > 4 * found["vertical"][1]
    assert found["point"][2] < 0.03 < 0.08 < found["hole"][2]
    assert found["hole"][0] == pytest.approx(found["hole"][1], rel=0.2)
    assert found["yarn"][1] > 2 * found["yarn"][0]
    assert found["stain"][2] > 0.05


# --- blending --------------------------------------------------------------------------------------------------------
def test_blend_is_the_average_where_fewer_steps_are_left_than_230():
    image = flat(0.5, (1, 1, 1, 4))
    left = np.array([[[1, 229, 230, 255]]], np.uint8)
    region = np.ones((1, 4), bool)
    blended, masks, fits = blend_sets(image, left, region, JULIA.but(share=(0.4, 0.6)), least=np.array([0.1]))
    np.testing.assert_allclose(blended[0, 0, 0], [(0.5 + 1 / 255) / 2, (0.5 + 229 / 255) / 2, 0.5, 0.5], atol=1e-6)
    assert masks[0, 0].tolist() == [True, True, False, False]
    assert fits.tolist() == [True]


def test_weight_is_the_sets_part_of_the_average():
    image, left, region = flat(0.8, (1, 2, 1, 1)), np.full((1, 1, 1), 51, np.uint8), np.ones((1, 1), bool)
    blended, _, _ = blend_sets(image, left, region, JULIA.but(weight=0.25), least=np.zeros(1))
    np.testing.assert_allclose(blended.ravel(), 0.75 * 0.8 + 0.25 * 0.2, atol=1e-6)


def test_set_lies_on_the_regions_box_and_is_cut_to_it():
    """What the nine numbers make of the box, averaged in inside the region: nothing else is different."""
    image, region = textured(np.float32), Disk(x=60, y=30, radius=17).mask((80, 100))
    made = Julia(JULIA)(image, region, rng(4))
    drawn = {name: made.drawn[name] for name in JuliaSet._fields}
    assert (drawn["height"], drawn["width"]) == (35, 35)
    (left,) = julia_steps_left([JuliaSet(**drawn)])
    box = (slice(13, 48), slice(43, 78))
    expected = (left < 230) & region[box]
    np.testing.assert_array_equal(made.mask[box], expected)
    average = (image[:, *box] + left / np.float32(255)) / 2
    np.testing.assert_allclose(made.image[:, *box], np.where(expected, average, image[:, *box]), atol=1e-6)


def test_all_nine_parameters_the_family_and_the_blend_are_told():
    made = Julia(JULIA)(textured(np.float32), frozen(np.ones((80, 100), bool)), rng())
    assert list(made.drawn) == ["family", *JuliaSet._fields, "below", "weight"]
    assert (made.drawn["width"], made.drawn["height"]) == (100, 80)


def test_patches_are_damaged_each_in_its_own_way():
    patches = frozen(rng(3).random((60, 3, 32, 32), dtype=np.float32))
    made = julia_patches(patches, JULIA, rng())
    assert len(made) == 60
    assert len({str(each.drawn) for each in made}) == 60
    assert {each.drawn["family"] for each in made} == set(JULIA.families)
    for before, each in zip(patches, made, strict=True):
        np.testing.assert_array_equal(each.image[:, ~each.mask], before[:, ~each.mask])
    again = julia_patches(patches, JULIA, rng())
    assert all((one.image == two.image).all() for one, two in zip(made, again, strict=True))


def test_no_patches_are_no_defects():
    assert julia_patches(np.zeros((0, 1, 32, 32), np.float32), JULIA, rng()) == []


def test_patches_of_another_shape_or_type_are_refused():
    with pytest.raises(FlawlineError, match=r"patches must have shape \(N, C, h, w\), got \(1, 32, 32\)"):
        julia_patches(np.zeros((1, 32, 32), np.float32), JULIA, rng())
    with pytest.raises(FlawlineError, match=r"image must be float32 in \[0, 1\], got uint8"):
        julia_patches(np.zeros((2, 1, 32, 32), np.uint8), JULIA, rng())
    with pytest.raises(FlawlineError, match="region must be at least 3 x 3 pixels for julia, got 2 x 32"):
        julia_patches(np.zeros((2, 1, 2, 32), np.float32), JULIA, rng())


def test_share_that_no_draw_has_is_an_error_after_so_many():
    params = one_of("point").but(share=(0.8, 0.9), attempts=3)
    with pytest.raises(
        UnseenError, match=r"no Julia set of the family point in 3 draws covered 0\.8 to 0\.9 of a region"
    ):
        julia_patches(np.stack([textured(np.float32, (1, 32, 32))] * 2), params, rng())


def test_family_of_a_patch_stays_when_its_set_is_drawn_again():
    """Points are drawn again far more often than bars; as many come out."""
    made = julia_patches(rng().random((400, 1, 32, 32), dtype=np.float32), one_of("point", "horizontal"), rng())
    points = sum(each.drawn["family"] == "point" for each in made)
    assert points == pytest.approx(200, abs=50)
