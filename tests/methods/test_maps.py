import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.cae import CAE, squared_residual
from flawline.methods.maps import as_half, check_patches_fit, load_model, reconstruction_error, smooth
from flawline.params import ComputeParams

CAE_MODEL = BASE.cae.model


@pytest.fixture
def cae():
    torch.manual_seed(0)
    return CAE(CAE_MODEL.but(latent_size=3, hidden_size=8), channels=3, size=16)


# --- smoothing -------------------------------------------------------------------------------------------------------
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


# --- the mean over patches -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 64, 150])  # less than a batch, one, more than two
def test_reconstruction_error_is_the_mean_over_all_values_of_all_patches(cae, count):
    patches = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reconstructed = torch.cat([cae(patch[None]) for patch in patches])
    direct = np.mean((patches.double().numpy() - reconstructed.double().numpy()) ** 2)
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


# --- models ----------------------------------------------------------------------------------------------------------
def test_check_patches_fit_names_how_many_images_are_too_small():
    patches = BASE.cae.patches.but(size=16, stride=8)
    check_patches_fit([(1, 16, 16), (1, 20, 40)], patches=patches, model=CAE_MODEL)
    with pytest.raises(FlawlineError, match="size = 16 is larger than 2 of 3 images \\(first: 40 x 12\\)"):
        check_patches_fit([(1, 16, 16), (1, 40, 12), (1, 8, 8)], patches=patches)


def test_half_holds_what_is_beyond_it_as_its_largest():
    assert as_half(torch.tensor([0.5, 1e6, -1e6])).tolist() == [0.5, 65504, -65504]
    assert as_half(torch.zeros(2)).dtype == np.float16


def test_load_model_is_ready_to_score(cae):
    other = CAE(CAE_MODEL.but(latent_size=3, hidden_size=8), channels=3, size=16)
    loaded = load_model(other, cae.state_dict(), ComputeParams(device="cpu"))
    assert not loaded.training
    assert all(torch.equal(value, cae.state_dict()[name]) for name, value in loaded.state_dict().items())
