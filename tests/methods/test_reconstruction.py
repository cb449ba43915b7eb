import numpy as np
import pytest
import torch
from base_params import BASE
from torch import tensor

from flawline.methods import maps
from flawline.methods.cae import CAE, load_autoencoder, squared_residual
from flawline.methods.reconstruction import PatchReconstructor, absolute_residual, dead_share, loader
from flawline.params import ComputeParams
from flawline.vision.levels import unit

GEOMETRY = BASE.cae.patches.but(size=16, stride=8)
MODEL = BASE.cae.model.but(latent_size=3, hidden_size=8)


def made(model, image):
    return PatchReconstructor(model, GEOMETRY, squared_residual).reconstruct(image)


def residual_of(model, image):
    return made(model, image).residual


def picture_of(model, image):
    return made(model, image).picture()


@pytest.fixture
def image():
    pixels = np.random.default_rng(3).integers(0, 256, (3, 37, 29), dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


@pytest.fixture
def cae():
    torch.manual_seed(0)
    return CAE(MODEL, channels=3, size=16)


# --- the residual image ----------------------------------------------------------------------------------------------
def test_an_image_that_is_reconstructed_exactly_has_no_residual(offset_model, image):
    residual = residual_of(offset_model(), image)
    assert (residual.shape, residual.dtype) == ((37, 29), np.float16)
    assert not residual.any()


def test_a_constant_error_leaves_its_square_everywhere(offset_model, image):
    np.testing.assert_allclose(residual_of(offset_model(0.25), image), 0.0625, rtol=1e-3)


def test_an_error_in_one_pixel_stays_there(offset_model):
    class Blind(offset_model):
        def forward(self, x):
            return torch.zeros_like(x)

    image = np.zeros((1, 40, 40), np.uint8)
    image[0, 20, 13] = 255
    residual = residual_of(Blind(), image)
    assert residual[20, 13] == 1
    assert residual.sum() == 1


def test_16_bit_images_of_the_same_brightness_have_the_same_residual(cae, image):
    deep = image.astype(np.uint16) * 257
    np.testing.assert_allclose(residual_of(cae, deep), residual_of(cae, image), rtol=2e-3)


def test_residuals_beyond_float16_become_its_largest_value(offset_model, image):
    residual = residual_of(offset_model(1000.0), image)  # squared: a million
    assert (residual == np.float16(65504)).all()


def test_residuals_that_are_no_number_stay_so(offset_model, image):
    assert np.isnan(residual_of(offset_model(float("nan")), image)).all()


@pytest.mark.parametrize("batch", [1, 5])
def test_batches_do_not_change_the_result(monkeypatch, cae, image, batch):
    whole = made(cae, image)
    monkeypatch.setattr(maps, "BATCH", batch)
    again = made(cae, image)
    np.testing.assert_allclose(again.residual, whole.residual, rtol=2e-3)
    assert np.abs(again.picture().astype(int) - whole.picture()).max() <= 1  # grey levels, by rounding


def test_reconstructing_leaves_no_gradient(cae, image):
    made(cae.train(), image)
    assert all(parameter.grad is None for parameter in cae.parameters())
    assert not cae.training


def test_a_residual_image_of_full_size_is_absolute():
    image = np.array([[[0, 51], [102, 255]]], np.uint8)
    found = absolute_residual(image, np.full(image.shape, 0.4, np.float32))
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, [[[0.4, 0.2], [0, 0.6]]], atol=5e-4)  # half precision


# --- the reconstruction ----------------------------------------------------------------------------------------------
def test_reconstruction_by_a_model_that_copies_is_the_image(offset_model, image):
    found = made(offset_model(), image)
    assert found.image.dtype == np.float32
    np.testing.assert_allclose(found.image, unit(image), atol=1e-6)
    np.testing.assert_array_equal(found.picture(), image)


def test_reconstruction_of_16_bits_has_8(offset_model, image):
    picture = picture_of(offset_model(), image.astype(np.uint16) * 257)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, image)


def test_reconstruction_beyond_the_range_is_clipped_where_it_is_shown(offset_model, image):
    assert (picture_of(offset_model(2.0), image) == 255).all()
    assert (picture_of(offset_model(-2.0), image) == 0).all()
    assert made(offset_model(2.0), image).image.min() >= 2


def test_loaded_weights_reconstruct_as_the_network_that_they_are_of(cae, image):
    weights = dict(sorted(cae.state_dict().items()))  # a file keeps no order
    compute = ComputeParams(device="cpu")
    loaded = load_autoencoder(weights, build=CAE, channels=3, compute=compute, patches=GEOMETRY, model=MODEL)
    found, wanted = loaded.reconstruct(image), made(cae, image)
    np.testing.assert_allclose(found.image, wanted.image, atol=1e-6)
    np.testing.assert_allclose(found.residual, wanted.residual, rtol=2e-3)


def test_loader_wraps_the_network_built_for_the_patches_with_the_weights_put_in(cae):
    load = loader(lambda network, patches: (network, patches))
    network, patches = load(
        cae.state_dict(), build=CAE, channels=3, compute=ComputeParams(device="cpu", engine="torch"), patches=GEOMETRY,
        model=MODEL,
    )  # fmt: skip
    assert patches is GEOMETRY
    assert (network.channels, network.size, network.training) == (3, GEOMETRY.size, False)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in cae.state_dict().items())


# --- pixels and codes ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_unit_divides_by_the_types_largest_value(dtype, largest):
    pixels = np.array([[[0, 1, largest]]], dtype)
    assert unit(pixels).dtype == np.float32
    np.testing.assert_allclose(unit(pixels), [[[0, 1 / largest, 1]]], rtol=1e-6)


def test_the_dead_are_those_that_no_patch_wakes():
    codes = tensor([[0.0, 0.0, 1e-4, -2.0], [0.0, 0.5, -1e-4, 0.0]])
    assert dead_share(codes) == 0.5
    assert dead_share(codes, tiny=1e-5) == 0.25
    assert dead_share(codes, tiny=0.6) == 0.75
