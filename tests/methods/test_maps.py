import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from flawline.checks import FlawlineError
from flawline.methods import maps
from flawline.methods.cae import CAE, squared_residual
from flawline.methods.maps import (
    anomaly_map,
    check_fits,
    image_score,
    load_model,
    reconstruction,
    reconstruction_error,
    residual_map,
    smooth,
)
from flawline.params import CAEModelParams, ComputeParams, PatchParams
from flawline.vision.patches import patch_grid

GEOMETRY = PatchParams(size=16, stride=8)


def grid_of(image):
    return patch_grid(*image.shape[1:], size=GEOMETRY.size, stride=GEOMETRY.stride)


def map_of(model, image, *, smoothing=0.0):
    return anomaly_map(model, image, grid_of(image), GEOMETRY, smoothing, residual=squared_residual)


def raw_map_of(model, image):
    return residual_map(model, image, grid_of(image), GEOMETRY, residual=squared_residual)


@pytest.fixture
def image():
    pixels = np.random.default_rng(3).integers(0, 256, (3, 37, 29), dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


@pytest.fixture
def cae():
    torch.manual_seed(0)
    return CAE(CAEModelParams(latent_size=3, hidden_size=8), channels=3, size=16)


def test_an_image_that_is_redrawn_exactly_has_a_zero_map(offset_model, image):
    anomaly = map_of(offset_model(), image, smoothing=2.0)
    assert (anomaly.shape, anomaly.dtype) == ((37, 29), np.float16)
    assert not anomaly.any()


@pytest.mark.parametrize("smoothing", [0.0, 3.0])
def test_a_constant_error_maps_to_its_square_everywhere(offset_model, image, smoothing):
    anomaly = map_of(offset_model(0.25), image, smoothing=smoothing)
    np.testing.assert_allclose(anomaly, 0.0625, rtol=1e-3)


def test_an_error_in_one_pixel_stays_there(offset_model):
    class Blind(offset_model):
        def forward(self, x):
            return torch.zeros_like(x)

    image = np.zeros((1, 40, 40), np.uint8)
    image[0, 20, 13] = 255
    anomaly = map_of(Blind(), image)
    assert anomaly[20, 13] == 1
    assert anomaly.sum() == 1


def test_smoothing_is_scipys_gaussian_over_the_raw_map(cae, image):
    raw = map_of(cae, image).astype(np.float32)
    expected = gaussian_filter(raw, 2.5, mode="reflect")
    np.testing.assert_allclose(map_of(cae, image, smoothing=2.5).astype(np.float32), expected, rtol=2e-3)


@pytest.mark.parametrize("smoothing", [0.0, 2.5])
def test_the_anomaly_map_is_the_residual_map_smoothed(cae, image, smoothing):
    raw = raw_map_of(cae, image)
    assert (raw.shape, raw.dtype) == ((37, 29), np.float16)
    raw.setflags(write=False)
    np.testing.assert_array_equal(map_of(cae, image, smoothing=smoothing), smooth(raw, smoothing))


def test_smoothing_by_zero_is_the_raw_map_to_the_bit(cae, image):
    raw = raw_map_of(cae, image)
    assert raw.any()
    assert smooth(raw, 0.0).tobytes() == raw.tobytes()
    assert smooth(raw, 1.0).tobytes() != raw.tobytes()


def test_smoothing_spreads_a_dot_as_a_gaussian_and_keeps_its_sum():
    raw = np.zeros((41, 41), np.float16)
    raw[20, 20] = 100
    raw.setflags(write=False)
    smoothed = smooth(raw, 3.0)
    assert smoothed.dtype == np.float16
    assert smoothed.astype(float).sum() == pytest.approx(100, rel=1e-3)
    assert float(smoothed[20, 20]) == pytest.approx(100 / (2 * np.pi * 3**2), rel=0.01)
    assert float(smoothed[20, 23]) == pytest.approx(100 / (2 * np.pi * 3**2) * np.exp(-0.5), rel=0.01)


def test_smoothing_reflects_at_the_borders_and_goes_up_to_float16s_largest():
    full = np.full((12, 9), 65504, np.float16)
    full.setflags(write=False)
    np.testing.assert_array_equal(smooth(full, 4.0), full)


def test_16_bit_images_of_the_same_brightness_have_the_same_map(cae, image):
    deep = image.astype(np.uint16) * 257
    np.testing.assert_allclose(map_of(cae, deep), map_of(cae, image), rtol=2e-3)


def test_residuals_beyond_float16_become_its_largest_value(offset_model, image):
    anomaly = map_of(offset_model(1000.0), image)  # squared: a million
    assert (anomaly == np.float16(65504)).all()


def test_residuals_that_are_no_number_stay_so(offset_model, image):
    assert np.isnan(map_of(offset_model(float("nan")), image)).all()


@pytest.mark.parametrize("batch", [1, 5])
def test_batches_do_not_change_the_result(monkeypatch, cae, image, batch):
    whole = map_of(cae, image), reconstruction(cae, image, grid_of(image), GEOMETRY)
    monkeypatch.setattr(maps, "BATCH", batch)
    np.testing.assert_allclose(map_of(cae, image), whole[0], rtol=2e-3)
    redrawn = reconstruction(cae, image, grid_of(image), GEOMETRY)
    assert np.abs(redrawn.astype(int) - whole[1]).max() <= 1  # grey levels, by rounding


def test_mapping_leaves_no_gradient(cae, image):
    map_of(cae, image)
    assert all(parameter.grad is None for parameter in cae.parameters())
    assert not cae.training


def test_reconstruction_by_a_model_that_copies_is_the_image(offset_model, image):
    np.testing.assert_array_equal(reconstruction(offset_model(), image, grid_of(image), GEOMETRY), image)


def test_reconstruction_of_16_bits_has_8(offset_model, image):
    deep = image.astype(np.uint16) * 257
    redrawn = reconstruction(offset_model(), deep, grid_of(deep), GEOMETRY)
    assert redrawn.dtype == np.uint8
    np.testing.assert_array_equal(redrawn, image)


def test_reconstruction_beyond_the_range_is_clipped(offset_model, image):
    assert (reconstruction(offset_model(2.0), image, grid_of(image), GEOMETRY) == 255).all()
    assert (reconstruction(offset_model(-2.0), image, grid_of(image), GEOMETRY) == 0).all()


# --- the mean over patches -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 64, 150])  # less than a batch, one, more than two
def test_reconstruction_error_is_the_mean_over_all_values_of_all_patches(cae, count):
    patches = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        redrawn = torch.cat([cae(patch[None]) for patch in patches])
    direct = np.mean((patches.double().numpy() - redrawn.double().numpy()) ** 2)
    assert reconstruction_error(cae, patches, squared_residual) == pytest.approx(direct, rel=1e-5)


def test_reconstruction_error_by_hand(offset_model):
    assert reconstruction_error(offset_model(0.5), torch.rand(3, 2, 4, 8), squared_residual) == pytest.approx(0.25)
    assert reconstruction_error(offset_model(), torch.rand(3, 2, 4, 8), squared_residual) == 0

    def uneven(x, y):  # (N, s, s): 1 in the first patch, 0 elsewhere
        return torch.cat([torch.ones(1, 4, 8), torch.zeros(len(x) - 1, 4, 8)])

    assert reconstruction_error(offset_model(), torch.rand(5, 2, 4, 8), uneven) == pytest.approx(1 / 5)


def test_reconstruction_error_leaves_no_gradient(cae):
    reconstruction_error(cae.train(), torch.rand(2, 3, 16, 16), squared_residual)
    assert all(parameter.grad is None for parameter in cae.parameters())
    assert not cae.training


# --- scores and models -----------------------------------------------------------------------------------------------
def test_image_score_is_the_largest_value():
    assert image_score(np.array([[0.5, 2.0], [1.0, -3.0]], np.float16)) == 2.0


def test_check_fits_names_how_many_images_are_too_small():
    check_fits([(1, 16, 16), (1, 20, 40)], GEOMETRY)
    with pytest.raises(FlawlineError, match="size = 16 is larger than 2 of 3 images \\(first: 40 x 12\\)"):
        check_fits([(1, 16, 16), (1, 40, 12), (1, 8, 8)], GEOMETRY)


def test_load_model_is_ready_to_score(cae):
    other = CAE(CAEModelParams(latent_size=3, hidden_size=8), channels=3, size=16)
    loaded = load_model(other, cae.state_dict(), ComputeParams(device="cpu"))
    assert not loaded.training
    assert all(torch.equal(value, cae.state_dict()[name]) for name, value in loaded.state_dict().items())
