import json
from typing import get_args

import numpy as np
import pytest
from base_params import BASE
from pydantic import ValidationError
from skimage.transform import warp

from flawline.checks import FlawlineError
from flawline.params import DefectKind
from flawline.vision.defects import (
    FULL_SCALE,
    INJECTORS,
    Disk,
    Elastic,
    GaussianNoise,
    Line,
    PoissonNoise,
    PseudoDefects,
    displacement_field,
    inject,
    noisy_line,
    random_disk,
    random_region,
)

INJECTION = BASE.defect_injection

KINDS = ("elastic", "line", "gaussian", "poisson")
PARAMS = INJECTION


def rng(seed=0):
    return np.random.default_rng(seed)


def frozen(array):
    array.flags.writeable = False
    return array


def textured(dtype, shape=(3, 80, 100)):
    values = rng(99).random(shape) * FULL_SCALE[np.dtype(dtype)]
    return frozen(values.astype(dtype))


def flat(value, shape=(1, 100, 100)):
    return frozen(np.full(shape, value, np.float32))


@pytest.fixture
def disk():
    return frozen(Disk(x=50, y=48, radius=30).mask((100, 100)))


# --- every injector --------------------------------------------------------------------------------------------------
def test_there_is_an_injector_for_every_kind_of_the_params():
    assert set(INJECTORS) == set(KINDS) == set(get_args(DefectKind)) == set(INJECTION.kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_injector_changes_only_masked_pixels_and_stays_in_range(kind):
    image, region = textured(np.float32), Disk(40, 40, 20).mask((80, 100))
    result, mask = INJECTORS[kind](getattr(PARAMS, kind))(image, region, rng())
    assert result.dtype == np.float32
    assert result.shape == image.shape
    assert mask.any()
    assert not (mask & ~region).any()
    np.testing.assert_array_equal(result[:, ~mask], image[:, ~mask])
    np.testing.assert_array_equal((result != image).any(axis=0), mask)  # random pixels: every defective one shows
    assert result.min() >= 0
    assert result.max() <= 1


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


# --- elastic ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("amplitude", "smoothness"), [(12.0, 6.0), (0.5, 2.0), (40.0, 15.0)])
def test_longest_displacement_in_the_region_is_the_amplitude(disk, amplitude, smoothness):
    field = displacement_field(
        disk, rng(), BASE.defect_injection.elastic.but(amplitude=amplitude, smoothness=smoothness)
    )
    assert field.shape == (2, 100, 100)
    assert np.hypot(*field)[disk].max() == pytest.approx(amplitude)


def test_smoothed_white_noise_correlates_as_theory_says():
    """White noise under a Gaussian of s: the correlation at distance d is exp(-d^2 / (4 s^2))."""
    field = displacement_field(
        np.ones((400, 400), bool), rng(), BASE.defect_injection.elastic.but(amplitude=1, smoothness=3)
    )
    for axis, shift in [(1, 3), (2, 3), (1, 6)]:
        moved = np.roll(field, shift, axis=axis)
        assert (field * moved).mean() / (field**2).mean() == pytest.approx(np.exp(-(shift**2) / 36), abs=0.05)


def test_field_is_no_stronger_at_the_rim_than_inside():
    whole, params = np.ones((60, 60), bool), BASE.defect_injection.elastic.but(amplitude=1, smoothness=4)
    energy = np.mean([(displacement_field(whole, rng(seed), params) ** 2).sum(axis=0) for seed in range(200)], axis=0)
    rim = np.concatenate([energy[0], energy[-1], energy[:, 0], energy[:, -1]])
    assert rim.mean() == pytest.approx(energy[10:-10, 10:-10].mean(), rel=0.15)


def test_elastic_moves_a_ramp_by_the_field(disk):
    """A pixel of a linear ramp shows its own position: the difference is the displacement, y and x told apart."""
    ys, xs = np.mgrid[:100, :100] / np.float32(200)
    image, params = (
        frozen(np.stack([ys, xs]).astype(np.float32)),
        BASE.defect_injection.elastic.but(amplitude=5, smoothness=6),
    )
    result, mask = Elastic(params)(image, disk, rng(3))
    box = disk[18:79, 20:81]
    expected = displacement_field(box, rng(3), params)[:, box] / 200
    np.testing.assert_allclose((result - image)[:, disk], expected, atol=1e-6)
    np.testing.assert_array_equal(mask, disk)


def test_elastic_equals_scikit_image_warp_with_mirrored_borders():
    image, params, whole = (
        textured(np.float32, (1, 40, 50)),
        BASE.defect_injection.elastic.but(amplitude=8, smoothness=4),
        (40, 50),
    )
    result, _ = Elastic(params)(image, np.ones(whole, bool), rng(1))
    points = np.indices(whole) + displacement_field(np.ones(whole, bool), rng(1), params)
    expected = warp(image[0], points, order=1, mode="symmetric")
    np.testing.assert_allclose(result[0], expected, atol=1e-5)


# --- line ------------------------------------------------------------------------------------------------------------
def test_quiet_line_is_straight_as_wide_as_asked_and_spans_the_region(disk):
    params = BASE.defect_injection.line.but(width=3, jitter=0, noise=0, intensity=0.5)
    for seed in range(10):
        mask = noisy_line(disk, rng(seed), params)
        points = np.argwhere(mask) - np.array([48, 50])
        direction = np.linalg.svd(points)[2]  # rows: along, across
        assert np.abs(points @ direction[1]).max() <= 1.55
        assert np.ptp(points @ direction[0]) == pytest.approx(60, abs=2)
        assert mask.sum() == pytest.approx(3 * 60, rel=0.1)


def test_quiet_line_raises_its_pixels_by_the_intensity(disk):
    result, mask = Line(BASE.defect_injection.line.but(jitter=0, noise=0, intensity=0.5))(flat(0.25), disk, rng())
    np.testing.assert_array_equal(result[0], np.where(mask, np.float32(0.75), np.float32(0.25)))


def test_line_mask_is_exactly_the_changed_pixels_where_nothing_saturates(disk):
    image = flat(0.3, (3, 100, 100))
    result, mask = Line(BASE.defect_injection.line.but(noise=0.02, intensity=0.4))(image, disk, rng())
    np.testing.assert_array_equal((result != image).any(axis=0), mask)
    assert (result[0] == result[2]).all()
    assert result[0, mask].mean() == pytest.approx(0.7, abs=0.01)
    assert result[0, mask].std() == pytest.approx(0.02, rel=0.2)


def test_jitter_spreads_the_line_by_its_standard_deviation():
    """Across the line, pixels lie uniform in a band of the width (variance w^2 / 12) whose middle jitters."""
    points = np.argwhere(
        noisy_line(np.ones((401, 401), bool), rng(4), BASE.defect_injection.line.but(width=5, jitter=2))
    )
    across = (points - points.mean(axis=0)) @ np.linalg.eigh(np.cov(points.T)).eigenvectors[:, 0]
    assert across.var() == pytest.approx(2**2 + 5**2 / 12, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_line_is_never_empty_however_thin_and_noisy(seed):
    region = np.zeros((9, 9), bool)
    region[4, 4:6] = True
    assert noisy_line(region, rng(seed), BASE.defect_injection.line.but(width=0.01, jitter=50)).any()


# --- noise -----------------------------------------------------------------------------------------------------------
def test_gaussian_noise_has_the_asked_mean_and_deviation(disk):
    result, mask = GaussianNoise(INJECTION.gaussian.but(sigma=0.05))(flat(0.5, (3, 100, 100)), disk, rng())
    values = result[:, disk]
    assert values.mean() == pytest.approx(0.5, abs=0.002)
    assert values.std() == pytest.approx(0.05, rel=0.03)
    assert abs(np.corrcoef(values)[0, 1]) < 0.06  # channels are independent
    np.testing.assert_array_equal(mask, disk)


@pytest.mark.parametrize("value", [0.2, 0.6])
def test_poisson_noise_keeps_the_mean_and_has_variance_value_over_photons(disk, value):
    result, mask = PoissonNoise(INJECTION.poisson.but(photons=500))(flat(value), disk, rng())
    assert result[0, disk].mean() == pytest.approx(value, abs=0.004)
    assert result[0, disk].var() == pytest.approx(value / 500, rel=0.1)
    np.testing.assert_array_equal(mask, disk)


def test_poisson_counts_are_whole_and_black_stays_black(disk):
    injector = PoissonNoise(INJECTION.poisson.but(photons=20))
    counts = injector(flat(0.5), disk, rng())[0][0, disk] * 20
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-5)
    np.testing.assert_array_equal(injector(flat(0), disk, rng())[0], flat(0))


# --- regions ---------------------------------------------------------------------------------------------------------
def test_disk_of_radius_one_is_a_plus():
    np.testing.assert_array_equal(Disk(x=2, y=1, radius=1).mask((3, 4)), [[0, 0, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0]])


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (20, 20)])
def test_random_disks_lie_fully_inside_the_image(size):
    generator = rng()
    for _ in range(100):
        disk = random_disk(size, generator, radius=(3, 10))
        assert 3 <= disk.radius <= 10
        wide = Disk(disk.x + 50, disk.y + 50, disk.radius).mask((size[0] + 100, size[1] + 100))
        assert wide.sum() == disk.mask(size).sum() == pytest.approx(np.pi * disk.radius**2, rel=0.2)


def test_random_region_is_the_mask_of_the_random_disk():
    region = random_region((50, 60), rng(5), radius=(5, 9))
    assert region.dtype == np.bool_
    np.testing.assert_array_equal(region, random_disk((50, 60), rng(5), radius=(5, 9)).mask((50, 60)))


def test_random_region_refuses_what_does_not_fit():
    with pytest.raises(FlawlineError, match="radius must fit an image of 30 x 80 pixels, got 16 pixels"):
        random_region((30, 80), rng(), radius=(5, 16))
    with pytest.raises(FlawlineError, match=r"radius must be \(smallest, largest\), .* got \(9, 5\)"):
        random_region((30, 80), rng(), radius=(9, 5))
    with pytest.raises(FlawlineError, match=r"from 1 upwards, got \(0.5, 5\)"):
        random_region((30, 80), rng(), radius=(0.5, 5))


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
        inject(np.zeros((1, 8, 30), np.uint8), "line", PARAMS, rng())


# --- PseudoDefects ---------------------------------------------------------------------------------------------------
def test_pseudo_defects_take_images_in_order_and_kinds_in_turn():
    images = [textured(np.uint8, (1, 40 + i, 40)) for i in range(3)]
    defects = PseudoDefects(images, INJECTION.but(per_image=2), seed=0)
    assert len(defects) == 6
    assert [d.parameters["kind"] for d in defects] == ["elastic", "line", "gaussian", "poisson", "elastic", "line"]
    assert [d.image.shape[1] for d in defects] == [40, 40, 41, 41, 42, 42]


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
    defects = PseudoDefects(images, INJECTION.but(per_image=4), seed=0)
    assert len(defects) == 12
    assert images.seen == ()
    _ = defects[9]
    assert images.seen == (2,)


def test_pseudo_defects_index_like_a_sequence():
    defects = PseudoDefects([textured(np.uint8, (1, 40, 40))] * 3, INJECTION.but(per_image=1), seed=0)
    assert defects[-1].parameters == defects[2].parameters
    assert [d.parameters for d in defects[1:]] == [defects[1].parameters, defects[2].parameters]
    with pytest.raises(IndexError):
        defects[3]


def test_pseudo_defects_need_a_kind():
    with pytest.raises(ValidationError, match="at least 1 item"):
        INJECTION.but(kinds=())
