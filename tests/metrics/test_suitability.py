import numpy as np
import pytest
from base_params import BASE
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from flawline.checks import FlawlineError
from flawline.metrics.suitability import (
    VERDICTS,
    black_error,
    expect_suitability,
    explained,
    judge_network,
    linear_error,
    patch_mean_error,
    reach_of,
    spectral_regularity,
)

SUITABILITY = BASE.suitability

SIDE = 32
Y, X = np.mgrid[:SIDE, :SIDE]
LIMITS = SUITABILITY.but(regular=0.5, linear=0.9, suited=0.8, doubtful=0.5, dark=0.25)


def read_only(array):
    array.setflags(write=False)
    return array


def noise(*shape, seed=0):
    """Return normal white noise of mean 0 and standard deviation 1, read-only."""
    return read_only(np.random.default_rng(seed).standard_normal(shape))


def repeated(pattern, count=8, seed=0):
    """Return patches (count, 1, s, s) of ``pattern``, a function of (y, x), each shifted at random."""
    shifts = np.random.default_rng(seed).integers(0, 100, (count, 2))
    return read_only(np.stack([pattern(Y + dy, X + dx) for dy, dx in shifts])[:, None].astype(np.float32))


def smooth_noise(count, sigma, seed=0):
    fields = noise(count, 2 * SIDE, 2 * SIDE, seed=seed)
    smoothed = np.stack([gaussian_filter(field, sigma) for field in fields])
    return read_only(smoothed[:, None, :SIDE, :SIDE].copy())


def mixtures(count, basis, seed):
    """Return patches (count, 1, 16, 16) that are random sums of the patterns ``basis`` (k, 16, 16)."""
    weights = np.random.default_rng(seed).standard_normal((count, len(basis)))
    return read_only(np.einsum("nk,kyx->nyx", weights, basis)[:, None])


# --- regularity ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [16, 64, 256, 1024])
def test_white_noise_has_what_chance_leaves_above_the_median(count):
    """A bin's mean power over N patches is about normal, of standard deviation 1 / sqrt(N); the mean of what lies above
    the median is that over sqrt(2 pi)."""
    found = spectral_regularity(noise(count, 1, SIDE, SIDE))
    assert found == pytest.approx(1 / np.sqrt(2 * np.pi * count), rel=0.2)
    assert found < 1 / np.sqrt(count)


@pytest.mark.parametrize("period", [3, 4, 5, 7.3, 8])  # at least four in a patch
@pytest.mark.parametrize("angle", [0, 30, 45, 90])
def test_a_sine_grating_is_regular_whatever_its_direction(period, angle):
    dy, dx = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
    grating = repeated(lambda y, x: 0.5 + 0.4 * np.sin(2 * np.pi * (dy * y + dx * x) / period))
    assert 0.9 < spectral_regularity(grating) <= 1 + 1e-9


@pytest.mark.parametrize("square", [1, 2, 3, 4, 5])
def test_a_checkerboard_is_regular(square):
    assert spectral_regularity(repeated(lambda y, x: (y // square + x // square) % 2)) > 0.9


@pytest.mark.parametrize("sigma", [1, 2, 3])
def test_grain_without_direction_is_irregular_though_its_spectrum_falls(sigma):
    assert spectral_regularity(smooth_noise(128, sigma)) < 0.1


def test_grain_with_a_direction_is_more_regular_than_without():
    fields = noise(128, SIDE, SIDE)
    brushed = read_only(np.stack([gaussian_filter(field, (4, 0.7)) for field in fields])[:, None])
    assert spectral_regularity(brushed) > 5 * spectral_regularity(smooth_noise(128, 2))


def test_noise_over_a_grating_lowers_its_regularity_by_its_share_of_the_power():
    grating = repeated(lambda y, x: np.sin(2 * np.pi * x / 8), count=256)  # variance 1/2
    mixed = read_only(grating + np.sqrt(0.5) * noise(256, 1, SIDE, SIDE))
    assert spectral_regularity(mixed) == pytest.approx(0.5, abs=0.03)


def test_a_brightness_gradient_does_not_count():
    ramps = repeated(lambda y, x: np.broadcast_to(x / 500 + Y / 100, (SIDE, SIDE)))
    assert spectral_regularity(ramps) < 0.1


@pytest.mark.parametrize(("level", "channels", "side"), [(0.0, 1, 32), (0.3, 1, 32), (0.1, 3, 48), (0.7, 3, 24)])
def test_patches_without_contrast_have_no_regularity(level, channels, side):
    flat = read_only(np.full((4, channels, side, side), level, np.float32))
    assert spectral_regularity(flat) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("scale", "offset"), [(0.01, 0.0), (1.0, 0.4), (-7.0, 3.0)])
def test_regularity_does_not_depend_on_contrast_or_brightness(scale, offset):
    patches = read_only(repeated(lambda y, x: np.sin(x), count=16).astype(float) + noise(16, 1, SIDE, SIDE))
    changed = read_only(scale * patches + offset)
    assert spectral_regularity(changed) == pytest.approx(spectral_regularity(patches), rel=1e-6)


def test_regularity_is_that_of_the_channels_mean():
    colour = noise(16, 3, SIDE, SIDE)
    grey = read_only(colour.mean(axis=1, keepdims=True))
    assert spectral_regularity(colour) == pytest.approx(spectral_regularity(grey), rel=1e-12)


# --- the cheapest network --------------------------------------------------------------------------------------------
def test_patch_mean_error_by_hand():
    patches = np.array([[[[0.0, 1.0], [0.0, 1.0]], [[0.7, 0.7], [0.7, 0.7]]]])  # (1, 2, 2, 2): 1/4 and nothing
    assert patch_mean_error(read_only(patches)) == pytest.approx(1 / 8)
    other = np.concatenate([patches, np.zeros((1, 2, 2, 2))])  # and a patch without contrast
    assert patch_mean_error(read_only(other)) == pytest.approx(1 / 16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_patch_mean_error_is_the_mean_variance_of_each_patchs_channels(dtype):
    patches = read_only(np.random.default_rng(0).random((5, 3, 8, 8)).astype(dtype))
    assert patch_mean_error(patches) == pytest.approx(patches.var(axis=(2, 3), dtype=float).mean(), rel=1e-6)


# --- the best linear autoencoder -------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [40, 400])  # fewer patches than the 256 values of one, and more: two solvers
def test_linear_error_of_patches_of_low_rank_is_0_and_with_a_shorter_code_is_not(count):
    basis = noise(5, 16, 16, seed=1)
    patches, held_out = mixtures(count, basis, 2), mixtures(20, basis, 3)
    assert linear_error(patches, held_out, code_length=5) == pytest.approx(0, abs=1e-9)
    assert linear_error(patches, held_out, code_length=4) > 0.01 * held_out.var()


@pytest.mark.parametrize(("count", "code_length"), [(12, 5), (12, 11), (12, 100), (90, 5), (90, 48), (90, 100)])
def test_linear_error_agrees_with_a_singular_value_decomposition(count, code_length):
    generator = np.random.default_rng(0)
    patches, held_out = (read_only(generator.random((n, 3, 4, 4))) for n in (count, 7))
    flat, other = patches.reshape(count, -1), held_out.reshape(7, -1)
    mean = flat.mean(axis=0)
    _, _, rows = np.linalg.svd(flat - mean, full_matrices=False)  # (min(count, 48), 48)
    kept = rows[: min(code_length, count - 1)]
    rest = (other - mean) - (other - mean) @ kept.T @ kept
    found = linear_error(patches, held_out, code_length=code_length)
    assert found == pytest.approx((rest**2).mean(), rel=1e-4, abs=1e-9)


def test_a_longer_code_never_explains_less():
    patches, held_out = noise(60, 1, 8, 8), noise(30, 1, 8, 8, seed=1)
    errors = [linear_error(patches, held_out, code_length=k) for k in (1, 3, 10, 30, 59)]
    assert errors == sorted(errors, reverse=True)


# --- the share -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "baseline", "share"),
    [(0.25, 1.0, 0.75), (0.0, 0.3, 1.0), (0.3, 0.3, 0.0), (2.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.1, 0.0, 0.0)],
)
def test_explained_by_hand(error, baseline, share):
    assert explained(error, baseline) == share


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_explained_is_a_share(error, baseline):
    assert 0 <= explained(error, baseline) <= 1


# --- before training -------------------------------------------------------------------------------------------------
REGULAR = repeated(lambda y, x: 0.5 + 0.4 * np.sin(2 * np.pi * x / 8), count=40)
BASIS = noise(20, 16, 16, seed=1)


@pytest.mark.parametrize(
    ("patches", "held_out", "verdict", "words"),
    [
        (
            REGULAR,
            REGULAR[:5],
            "suited",
            "100% of the spectral power lies in a repeating pattern (suited from 50%); "
            "a linear autoencoder explains 100% of what varies in held-out patches.",
        ),
        (
            mixtures(60, BASIS, 2),
            mixtures(10, BASIS, 3),
            "doubtful",
            "only {regularity:.0%} of the spectral power lies in a repeating pattern, but a linear autoencoder "
            "explains 100% of what varies in held-out patches (from 90%): shapes that recur may still be learned.",
        ),
        (
            noise(64, 1, 16, 16),
            noise(10, 1, 16, 16, seed=1),
            "unsuited",
            "only {regularity:.0%} of the spectral power lies in a repeating pattern (suited from 50%), and a linear "
            "autoencoder explains {linear:.0%} of what varies in held-out patches (doubtful from 90%).",
        ),
    ],
    ids=VERDICTS,
)
def test_foresees_from_period_and_recurring_shapes(patches, held_out, verdict, words):
    found = expect_suitability(patches, held_out, code_length=20, params=LIMITS)
    assert found.verdict == verdict
    assert found.reason == words.format(regularity=found.regularity, linear=found.linear)
    assert (found.regularity >= 0.9) == (verdict == "suited")
    assert (found.linear >= 0.9) == (verdict != "unsuited")


def test_foreseen_shares_are_those_of_the_functions():
    patches, held_out = mixtures(60, BASIS, 2), mixtures(10, BASIS, 3)
    found = expect_suitability(patches, held_out, code_length=7, params=LIMITS)
    assert found.regularity == spectral_regularity(patches)
    assert found.linear == 1 - linear_error(patches, held_out, code_length=7) / patch_mean_error(held_out)
    assert found.to_dict() == {
        "verdict": found.verdict, "reason": found.reason, "regularity": found.regularity, "linear": found.linear,
    }  # fmt: skip


def test_a_limit_is_still_suited_or_doubtful_and_just_below_is_not():
    patches, held_out = mixtures(60, BASIS, 2), mixtures(10, BASIS, 3)
    shares = expect_suitability(patches, held_out, code_length=12, params=LIMITS)

    def verdict(regular, linear):
        params = SUITABILITY.but(regular=regular, linear=linear)
        return expect_suitability(patches, held_out, code_length=12, params=params).verdict

    assert verdict(shares.regularity, 0.99) == "suited"
    assert verdict(np.nextafter(shares.regularity, 1), shares.linear) == "doubtful"
    assert verdict(np.nextafter(shares.regularity, 1), np.nextafter(shares.linear, 1)) == "unsuited"


@pytest.mark.parametrize(("count", "held_out"), [(1, 1), (0, 3), (5, 0)])
def test_too_few_patches_are_refused(count, held_out):
    with pytest.raises(FlawlineError, match=f"training images and one held-out, got {count} and {held_out}. Raise"):
        expect_suitability(noise(count, 1, 8, 8), noise(held_out, 1, 8, 8), code_length=2, params=LIMITS)


# --- after training --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "verdict", "share"),
    [
        (0.0, "suited", 1.0),
        (0.2, "suited", 0.8),  # the limit
        (0.201, "doubtful", 0.799),
        (0.5, "doubtful", 0.5),  # the limit
        (0.501, "unsuited", 0.499),
        (1.0, "unsuited", 0.0),
        (3.0, "unsuited", 0.0),  # worse than the averages
    ],
)
def test_a_network_is_judged_by_what_it_explains_of_what_the_averages_leave(error, verdict, share):
    found, reason, explains = judge_network(error, 1.0, "unsuited", LIMITS)
    assert (found, explains) == (verdict, pytest.approx(share))
    assert f"explains {share:.0%} of what varies in held-out normal patches" in reason
    assert judge_network(0.01 * error, 0.01, "unsuited", LIMITS)[2] == pytest.approx(share)


def test_a_networks_reason_says_limits_and_errors():
    _, reason, _ = judge_network(0.00123, 0.0123, "suited", LIMITS)
    assert reason == (
        "the trained network explains 90% of what varies in held-out normal patches (suited from 80%, unsuited below "
        "50%): its error is 0.00123, that of drawing each patch's average 0.01230."
    )


@pytest.mark.parametrize(("error", "verdict"), [(0.0, "suited"), (1e-9, "unsuited")])
def test_where_the_averages_leave_nothing_a_network_must_make_no_error(error, verdict):
    assert judge_network(error, 0.0, "suited", LIMITS)[0] == verdict


@pytest.mark.filterwarnings("error")
def test_patches_without_contrast_are_looked_at_without_a_warning():
    even = np.full((4, 1, 16, 16), 0.5, np.float32)
    assert linear_error(even, even + 0.25, code_length=3) == pytest.approx(0.0625)
    said = expect_suitability(even, even, code_length=3, params=SUITABILITY)
    assert (said.regularity, said.linear) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("expected_suitability", "error", "hinted"),
    [("suited", 0.6, True), ("suited", 0.3, True), ("suited", 0.1, False), ("doubtful", 0.6, True),
     ("doubtful", 0.3, False), ("unsuited", 0.9, False)],
)  # fmt: skip
def test_a_network_behind_its_prospect_may_not_have_finished(expected_suitability, error, hinted):
    reason = judge_network(error, 1.0, expected_suitability, LIMITS)[1]
    assert (f"the images looked {expected_suitability}: the training may not be finished" in reason) is hinted


# --- brightness ------------------------------------------------------------------------------------------------------
def grating_with_noise(count, noise_share, seed):
    """Return patches (count, 1, s, s) in [0, 1] of a grating with so much white noise."""
    regular = repeated(lambda y, x: 0.5 + 0.2 * np.sin(2 * np.pi * x / 8), count=count, seed=seed)
    return read_only((regular + noise_share * 0.1 * noise(count, 1, SIDE, SIDE, seed=seed)).clip(0, 1))


MATERIALS = {"suited": 0.2, "unsuited": 6.0}  # share of noise


def looked_at(patches, held_out):
    return expect_suitability(patches, held_out, code_length=20, params=LIMITS)


@pytest.mark.parametrize("factor", [1 / 2, 1 / 4, 1 / 16])
@pytest.mark.parametrize("verdict", MATERIALS)
def test_halved_brightness_changes_no_bit_of_what_is_expected(verdict, factor):
    """A power of two only changes the exponents of floating-point numbers."""
    patches, held_out = (grating_with_noise(64, MATERIALS[verdict], seed).astype(np.float32) for seed in (0, 1))
    bright = looked_at(patches, held_out)
    assert bright.verdict == verdict
    assert looked_at(read_only(patches * np.float32(factor)), read_only(held_out * np.float32(factor))) == bright


@pytest.mark.parametrize("factor", [0.9, 0.3, 0.07, 1e-3])
@pytest.mark.parametrize("verdict", MATERIALS)
def test_any_other_factor_changes_what_is_expected_by_rounding_only(verdict, factor):
    patches, held_out = (grating_with_noise(64, MATERIALS[verdict], seed).astype(np.float32) for seed in (0, 1))
    bright = looked_at(patches, held_out)
    dark = looked_at(read_only(patches * np.float32(factor)), read_only(held_out * np.float32(factor)))
    assert dark.verdict == bright.verdict
    assert (dark.regularity, dark.linear) == pytest.approx((bright.regularity, bright.linear), rel=1e-4)


def test_many_large_patches_are_expected_the_same_though_the_solver_is_a_randomised_one():
    patches, held_out = (noise(600, 1, SIDE, SIDE, seed=seed).astype(np.float32) for seed in (0, 1))
    assert looked_at(read_only(patches / 16), read_only(held_out / 16)) == looked_at(patches, held_out)


@pytest.mark.parametrize("factor", [1 / 2, 1 / 4])
def test_darker_images_of_8_bits_are_expected_the_same(factor):
    def stored(patches, factor):
        return read_only((np.rint(255 * factor * patches) / 255).astype(np.float32))

    for verdict, share in MATERIALS.items():
        patches, held_out = (grating_with_noise(64, share, seed) for seed in (0, 1))
        assert looked_at(stored(patches, factor), stored(held_out, factor)).verdict == verdict


@pytest.mark.parametrize(
    ("expected_suitability", "error", "reach", "verdict"),
    [
        ("suited", 8.0, 0.06, "doubtful"),  # a network that draws black
        ("doubtful", 8.0, 0.06, "doubtful"),
        ("unsuited", 8.0, 0.06, "doubtful"),  # suited, perhaps, if they were brighter
        ("suited", 8.0, 0.25, "unsuited"),
        ("suited", 0.3, 0.06, "doubtful"),
        ("unsuited", 0.3, 0.06, "doubtful"),
        ("suited", 0.1, 0.06, "suited"),  # it learned all the same
        ("unsuited", 0.1, 0.06, "suited"),
    ],
)
def test_of_dark_images_a_failing_network_makes_no_material_unsuited(expected_suitability, error, reach, verdict):
    found, reason, share = judge_network(error, 1.0, expected_suitability, LIMITS, reach=reach)
    assert (found, share) == (verdict, pytest.approx(max(0, 1 - error)))
    assert ("The images reach 6% of the range (dark below 25%)" in reason) is (reach < 0.25 and verdict != "suited")
    if reach < 0.25:
        assert "try more epochs" not in reason


def test_reach_is_what_99_of_100_values_do_not_exceed():
    values = np.zeros(1000)
    values[:20] = 0.3
    values[:5] = 1.0  # a glint
    assert reach_of(values.reshape(1, 1, 10, 100)) == pytest.approx(0.3)


def test_a_network_that_draws_black_makes_no_material_unsuited_however_bright_the_images():
    verdict, reason, share = judge_network(9.6, 1.0, "suited", LIMITS, reach=0.4, black=10.0)
    assert (verdict, share) == ("doubtful", 0)
    assert "It draws black, whatever it is shown. The images reach 40% of the range" in reason
    assert judge_network(9.0, 1.0, "suited", LIMITS, reach=0.4, black=10.0)[0] == "unsuited"
    assert judge_network(9.6, 9.5, "suited", LIMITS, reach=0.4, black=10.0)[0] == "unsuited"  # averages are no better


def test_error_of_black_by_hand():
    assert black_error(np.array([[[[0.5, 0.0], [0.0, 1.0]]]], np.float32)) == pytest.approx(1.25 / 4)
