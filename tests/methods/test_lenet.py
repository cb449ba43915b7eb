import numpy as np
import pytest
import torch
from base_params import BASE
from torch import nn

from flawline.checks import FlawlineError
from flawline.methods.lenet import LeNet, load_lenet
from flawline.params import ComputeParams
from flawline.vision.patches import cut, patch_grid

MODEL = BASE.dcae.model
PATCHES = BASE.dcae.patches.but(size=32, stride=16)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return LeNet(MODEL, channels=1, size=32)


def test_network_has_the_weights_of_section_4_1_and_no_biases():
    parameters = dict(LeNet(MODEL, channels=3, size=32).named_parameters())
    assert not [name for name in parameters if "bias" in name]
    encoder = sum(p.numel() for name, p in parameters.items() if name.startswith("encoder"))
    assert encoder == 25 * (3 * 32 + 32 * 64 + 64 * 128) + 128 * 4 * 4 * 256


@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 32), (1, 64)])
def test_patches_come_back_in_their_shape_and_in_range(channels, size):
    found = LeNet(MODEL, channels=channels, size=size)(torch.rand(3, channels, size, size))
    assert found.shape == (3, channels, size, size)
    assert 0 <= float(found.detach().min()) <= float(found.detach().max()) <= 1


def test_the_gradient_reaches_every_weight(network):
    network.train()
    network(torch.rand(4, 1, 32, 32)).square().mean().backward()
    assert all(float(parameter.grad.abs().max()) > 0 for parameter in network.parameters())


def test_normalisation_learns_no_scale():
    norms = [m for m in LeNet(MODEL, channels=1, size=32).modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(norms) == 3 + 1 + 3
    assert not any(norm.affine for norm in norms)


def test_codes_are_those_of_the_patches_of_the_grid(network):
    weights = network.state_dict()
    ready = load_lenet(
        weights, build=LeNet, channels=1, compute=ComputeParams(device="cpu"), patches=PATCHES, model=MODEL
    )
    image = np.random.default_rng(0).integers(0, 255, (1, 50, 70), dtype=np.uint8)
    codes = ready.codes(image)
    assert codes.shape == (3, 4, 256)  # rows from 0, 16, 18; columns from 0, 16, 32, 38
    patches = torch.from_numpy(cut(image, patch_grid(50, 70, size=32, stride=16), 32).copy()).float() / 255
    with torch.no_grad():
        wanted = ready.network.encode(patches)
    np.testing.assert_allclose(codes.reshape(-1, 256), wanted, atol=1e-4)


@pytest.mark.parametrize(("size", "latent", "said"), [(30, 256, "multiple of 8"), (32, 250, "multiple of 16")])
def test_geometry_that_cannot_be_built_is_refused(size, latent, said):
    with pytest.raises(FlawlineError, match=said):
        LeNet(MODEL.but(latent_size=latent), channels=1, size=size)
