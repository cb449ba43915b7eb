import tracemalloc
from collections import Counter

import numpy as np
import pytest
from base_params import BASE
from pydantic import ValidationError
from scipy.ndimage import binary_dilation, label

from flawline.intake.examples import riblet
from flawline.intake.examples.riblet import (
    add_roughness,
    albedo_image,
    crush_stripes,
    draw_blotches,
    draw_foil,
    draw_grooves,
    draw_riblet_albedo,
    draw_riblet_normals,
    draw_stripe,
    draw_wave,
    groove_profile,
    normals_image,
    surface_normals,
)

RIBLET = BASE.examples.riblet

COUNTS = BASE.examples.riblet.albedo.but(train=2, calibration=1, normal_test=1, anomalous_test=3)
SMALL = RIBLET.but(image_size=(160, 224), stripe_width=(6.0, 12.0), albedo=COUNTS, normals=COUNTS)
STILL = {"waviness": 0, "roughness": 0, "blotches": 0, "sensor_noise": 0}  # nothing is left to chance but the phase
DRAW = {"albedo": draw_riblet_albedo, "normals": draw_riblet_normals}


def small(**changes):
    return RIBLET.but(**SMALL.model_dump() | changes)


@pytest.fixture(scope="module")
def albedo():
    return list(draw_riblet_albedo(SMALL))


@pytest.fixture(scope="module")
def normals():
    return list(draw_riblet_normals(SMALL))


def undamaged(params, name):
    """Return the defective images of ``params`` as they would be with stripes that crush nothing."""
    gentle = params.model_copy(update={"crush": 0.0, "displacement": 0})  # unchecked: the model wants a crush above 0
    return [e.image for e in DRAW[name](gentle) if e.mask is not None]


# --- counts ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "train", "anomalous"), [("albedo", 10, 4), ("normals", 3, 2)])
def test_counts_are_the_papers_and_ours(name, train, anomalous):
    params = RIBLET.but(image_size=(40, 40), period=8, stripe_width=(4.0, 6.0))
    assert Counter((e.split, e.defect) for e in DRAW[name](params)) == {
        ("train", "good"): train,
        ("validation", "good"): 1,
        ("calibration", "good"): 19,
        ("test", "good"): 2,
        ("test", "crushed"): anomalous,
    }


# --- the foil --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("steepness", "heights"),
    [
        (1, [2, 1, 0, -1, -2, -1, 0, 1, 2]),  # a triangle wave
        (2, [2, 2, 0, -2, -2, -2, 0, 2, 2]),  # flat ribs and valleys
    ],
)
def test_groove_profile_by_hand(steepness, heights):
    params = RIBLET.but(period=8, depth=4, steepness=steepness)
    np.testing.assert_allclose(groove_profile(np.arange(9.0), params), heights)


def test_grooves_run_along_x_and_repeat_every_period():
    heights = draw_grooves(small(**STILL, period=10), np.random.default_rng(0))
    assert (heights.shape, heights.dtype) == ((160, 224), np.float32)
    assert (heights == heights[:, :1]).all()
    np.testing.assert_allclose(heights[10:], heights[:-10], atol=1e-5)
    assert (heights.min(), heights.max()) == (-2, 2)


def test_waves_have_the_asked_deviation_and_are_long():
    waves = np.array([draw_wave(800, SMALL, np.random.default_rng(seed)) for seed in range(300)])  # (300, 800)
    assert waves.std() == pytest.approx(SMALL.waviness, rel=0.05)
    steepest = 3 * SMALL.waviness * np.sqrt(2 / 3) * 2 * np.pi / SMALL.wavelength
    assert np.abs(np.diff(waves)).max() < steepest


@pytest.mark.parametrize("grain", [0.3, 1.0, 4.0])
def test_roughness_has_the_asked_deviation_after_smoothing(grain):
    heights = np.zeros((400, 400), np.float32)
    add_roughness(heights, RIBLET.but(roughness=0.5, grain=grain), np.random.default_rng(0))
    assert heights.mean() == pytest.approx(0, abs=0.05)
    assert heights.std() == pytest.approx(0.5, rel=0.06)


def test_defective_foil_is_the_same_foil_but_for_the_crushed_pixels():
    good, none = draw_foil(SMALL, np.random.default_rng(3), False)
    bad, crushed = draw_foil(SMALL, np.random.default_rng(3), True)
    assert none is None
    np.testing.assert_array_equal(bad[~crushed], good[~crushed])
    assert (bad != good)[crushed].mean() > 0.99


# --- stripes ---------------------------------------------------------------------------------------------------------
def test_stripes_are_vertical_and_as_large_as_asked():
    for seed in range(50):
        top, left, inside = draw_stripe(SMALL, np.random.default_rng(seed))
        rows, columns = inside.shape
        assert 0.3 * 160 - 1 <= rows <= 0.9 * 160 + 1
        assert 0 <= top <= 160 - rows
        assert 0 <= left <= 224 - columns
        widths = inside.sum(axis=1)
        assert 5 <= widths.min() <= widths.max() <= 13
        assert np.ptp(widths) <= 1
        middles = (inside * np.arange(columns)).sum(axis=1) / widths
        assert np.ptp(middles) <= 2 * SMALL.stripe_wander + 1


def test_crushed_tracks_are_dragged_and_lose_their_share_of_the_depth():
    params = small(stripes=1, stripe_wander=0, crush=0.75, displacement=3)
    before = np.arange(160, dtype=np.float32)[:, None] * np.ones((1, 224), np.float32)  # each height tells its row
    heights = before.copy()
    crushed = crush_stripes(heights, params, np.random.default_rng(5))
    np.testing.assert_array_equal(heights[~crushed], before[~crushed])
    shifts = heights[crushed] / 0.25 - before[crushed]
    assert len(np.unique(shifts)) == 1  # the stripe is far enough from the rim
    assert abs(shifts[0]) in (1, 2, 3)


def test_a_defective_image_has_the_asked_number_of_stripes():
    params = small(stripes=1)
    for example in (e for e in draw_riblet_albedo(params) if e.mask is not None):
        assert label(example.mask)[1] == 1
    both = [label(e.mask)[1] for e in draw_riblet_albedo(small(albedo=COUNTS.model_copy(update={"anomalous_test": 10})))
            if e.mask is not None]  # fmt: skip
    assert set(both) <= {1, 2}  # two may overlap
    assert both.count(2) > 5


@pytest.mark.parametrize("name", DRAW)
def test_outside_the_mask_a_defective_image_is_the_undamaged_one(name, request):
    defective = [e for e in request.getfixturevalue(name) if e.mask is not None]
    for example, intact in zip(defective, undamaged(SMALL, name), strict=True):
        np.testing.assert_array_equal(example.image[:, ~example.mask], intact[:, ~example.mask])
        assert (example.image != intact).any(axis=0)[example.mask].mean() > 0.85


def test_masks_are_the_crushed_pixels_and_of_normals_also_their_neighbours(albedo, normals):
    for one, two in zip(albedo, normals, strict=True):
        if one.mask is not None:
            np.testing.assert_array_equal(binary_dilation(one.mask), two.mask)


# --- albedo ----------------------------------------------------------------------------------------------------------
def test_albedo_by_hand():
    params = RIBLET.but(image_size=(8, 8), period=4, depth=4, dark=0.2, bright=0.6, blotches=0, sensor_noise=0,
                          stripe_width=(1.0, 2.0))  # fmt: skip
    heights = np.repeat(np.float32([-2, 0, 2, 5, -5, 1, 0, 0])[:, None], 8, axis=1)
    image = albedo_image(heights, params, np.random.default_rng(0))
    assert image.shape == (1, 8, 8)
    assert image[0, :6, 0].tolist() == [51, 102, 153, 153, 51, 128]  # 0.2, 0.4, 0.6, clipped, clipped, 0.5


def test_albedo_is_alternating_dark_and_bright_horizontal_tracks():
    image = next(draw_riblet_albedo(small(**STILL, period=16.0))).image[0].astype(int)
    assert (image == image[:, :1]).all()
    crossings = np.flatnonzero(np.diff(image[:, 0] > 127.5))
    np.testing.assert_allclose(np.diff(crossings), 8, atol=1)
    assert (image.min(), image.max()) == pytest.approx((0.3 * 255, 0.7 * 255), abs=0.6)


def test_blotches_only_darken_and_are_as_many_as_asked_on_average():
    params = small(blotches=100, blotch_radius=(3.0, 5.0))
    seeds = range(200)
    lefts = [draw_blotches(params, np.random.default_rng(seed)) for seed in seeds]
    assert max(left.max() for left in lefts) <= 1
    assert min(left.min() for left in lefts) > (1 - 0.4) ** 4
    wanted = 100 * 160 * 224 / 1e6 * 2 * np.pi * 4**2 * 0.3  # number times the volume of a mean Gaussian spot
    assert np.mean([(1 - left).sum() for left in lefts]) == pytest.approx(wanted, rel=0.12)


def test_blotches_are_in_normal_images_of_all_splits_and_smooth():
    left = draw_blotches(RIBLET, np.random.default_rng(0))
    assert left.min() < 0.9
    steepest = 0.4 / (20 * np.sqrt(np.e))  # of one: depth / (deviation sqrt(e))
    assert max(np.abs(np.diff(left, axis=axis)).max() for axis in (0, 1)) < 2 * steepest


def test_darker_areas_of_the_albedo_are_not_in_the_mask():
    params = small(stripes=1, blotches=200.0)
    for example in (e for e in draw_riblet_albedo(params) if e.mask is not None):
        dark = example.image[0] < 60  # below the valleys' 0.3 * 255 = 76
        assert dark[~example.mask].sum() > dark[example.mask].sum()


def test_sensor_noise_has_the_asked_deviation():
    flat = small(**STILL | {"sensor_noise": 0.05}, dark=0.49, bright=0.5)
    image = albedo_image(np.zeros((160, 224), np.float32), flat, np.random.default_rng(0)) / 255
    assert image.std() == pytest.approx(0.05, rel=0.03)


# --- normals ---------------------------------------------------------------------------------------------------------
def test_normals_of_a_plane_by_hand():
    ys, xs = np.mgrid[:5, :6].astype(np.float32)
    normals = surface_normals(2 * xs + 2 * ys)  # (-2, -2, 1) / 3
    np.testing.assert_allclose(normals, np.broadcast_to(np.array([-2, -2, 1])[:, None, None] / 3, (3, 5, 6)), atol=1e-6)
    image = normals_image(2 * xs + 2 * ys)
    assert image[:, 2, 2].tolist() == [42, 42, 170]  # (n + 1) / 2 * 255 = 42.5 and 170, to the even
    assert normals_image(np.zeros((5, 6), np.float32))[:, 0, 0].tolist() == [128, 128, 255]


def test_normals_have_unit_length_and_point_to_the_viewer_before_and_after_rounding(normals):
    heights, _ = draw_foil(SMALL, np.random.default_rng(0), True)
    exact = surface_normals(heights)
    np.testing.assert_allclose(np.linalg.norm(exact, axis=0), 1, atol=1e-6)
    assert (exact[2] > 0).all()
    for image in (e.image for e in normals):
        rounded = image / 127.5 - 1
        assert np.abs(np.linalg.norm(rounded, axis=0) - 1).max() < np.sqrt(3) / 255


def test_normals_of_a_hemisphere_are_its_radii():
    ys, xs = np.mgrid[-20:21, -20:21].astype(np.float32)
    z = np.sqrt(100.0**2 - xs**2 - ys**2)
    expected = np.stack([xs, ys, z]) / 100
    np.testing.assert_allclose(surface_normals(z)[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-3)


def test_horizontal_grooves_lean_along_y_and_hardly_along_x(normals):
    x, y, z = next(e.image for e in normals) / 127.5 - 1
    assert y.std() > 5 * x.std()
    assert abs(y.mean()) < 0.03
    assert z.mean() > 0.7


# --- both ------------------------------------------------------------------------------------------------------------
def test_both_categories_show_the_same_foil():
    params = small(**STILL | {"waviness": 1.5})
    for one, two in zip(draw_riblet_albedo(params), draw_riblet_normals(params), strict=True):
        assert (one.split, one.defect, one.name) == (two.split, two.defect, two.name)
        height = one.image[0].astype(float)  # grows with the height
        y = two.image[1, 1:-1] / 127.5 - 1  # minus the slope along y
        slope = height[2:] - height[:-2]
        assert np.corrcoef(slope.ravel(), y.ravel())[0, 1] < -0.95


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_blocks_do_not_show(albedo, normals, rows, monkeypatch):
    monkeypatch.setattr(riblet, "ROWS", rows)
    for one, two in ((albedo[0], next(draw_riblet_albedo(SMALL))), (normals[0], next(draw_riblet_normals(SMALL)))):
        np.testing.assert_array_equal(one.image, two.image)


@pytest.mark.parametrize(("name", "most"), [("albedo", 12), ("normals", 5)])
def test_memory_at_the_papers_size_is_a_few_times_one_image(name, most):
    counts = BASE.examples.riblet.albedo.but(train=1, calibration=1, normal_test=0, anomalous_test=1)
    params = RIBLET.but(image_size=(3672, 5496), **{name: counts})
    generator = np.random.default_rng(0)
    draw = {"albedo": riblet._draw_albedo, "normals": riblet._draw_normals}[name]
    tracemalloc.start()
    try:
        image, _ = draw(params, generator, True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert image.shape == ({"albedo": 1, "normals": 3}[name], 3672, 5496)
    assert peak < most * image.nbytes


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dark": 0.8}, "dark must be below bright, got 0.8 and 0.7"),
        ({"period": 300}, r"period must fit the image \(512, 768\) twice, got 300"),
        ({"period": 3}, "greater than or equal to 4"),
        ({"blotch_radius": (5, 4)}, r"blotch_radius must be \(smallest, largest\), got \(5.0, 4.0\)"),
        ({"stripe_width": (9, 8)}, r"stripe_width must be \(smallest, largest\)"),
        ({"stripe_length": (0.9, 0.3)}, r"stripe_length must be \(smallest, largest\)"),
        ({"stripe_width": (8, 764)}, r"stripe_width and stripe_wander must fit the image \(512, 768\), got"),
        ({"crush": 0}, "greater than 0"),
        ({"depth": 0}, "greater than 0"),
    ],
)
def test_parameters_that_do_not_fit(params, message):
    with pytest.raises(ValidationError, match=message):
        RIBLET.but(**params)
