import numpy as np
import pytest
import torch
from base_params import BASE
from torch import nn, tensor

from flawline.checks import FlawlineError
from flawline.methods.cae import CAE, reconstruction_loss, squared_residual

CAE_MODEL = BASE.cae.model


def conv(inputs, outputs):
    """Weights and biases of a 3 x 3 convolution."""
    return outputs * (9 * inputs + 1)


def linear(inputs, outputs):
    return outputs * (inputs + 1)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def resolutions(module, x):
    """Return (channels, height, width) behind every convolution of ``module`` and the result for ``x``."""
    seen = []
    hooks = [
        layer.register_forward_hook(lambda _, __, y: seen.append(tuple(y.shape[1:])))
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    result = module(x)
    for hook in hooks:
        hook.remove()
    return seen, result


def test_synthetic_columns_have_the_parameters_of_tables_2_and_3():
    model = CAE(CAE_MODEL.but(encoder="synthetic"), channels=1, size=64)
    encoder = conv(1, 16) + conv(16, 32) + conv(32, 64) + conv(64, 64) + conv(64, 16)
    bottleneck = linear(4 * 4 * 16, 1024) + linear(1024, 100) + linear(100, 1024) + linear(1024, 4 * 4 * 16)
    decoder = conv(16, 64) + conv(64, 64) + conv(64, 32) + conv(32, 16) + conv(16, 1)
    assert (encoder, bottleneck, decoder) == (69_456, 731_492, 69_441)
    assert [count(model.encoder), count(model.decoder)] == [encoder, decoder]
    assert count(model) == 870_389


def test_industrial_columns_have_the_parameters_of_tables_2_and_3_in_colour():
    model = CAE(CAE_MODEL.but(encoder="industrial"), channels=3, size=128)
    encoder = conv(3, 16) + conv(16, 32) + conv(32, 64) + 2 * conv(64, 64) + conv(64, 16)
    bottleneck = linear(8 * 8 * 16, 1024) + linear(1024, 100) + linear(100, 1024) + linear(1024, 8 * 8 * 16)
    decoder = conv(16, 64) + 2 * conv(64, 64) + conv(64, 32) + conv(32, 16) + conv(16, 3)
    assert (encoder, bottleneck, decoder) == (106_672, 2_305_124, 106_659)
    assert [count(model.encoder), count(model.decoder)] == [encoder, decoder]
    assert count(model) == 2_518_455


@pytest.mark.parametrize(
    ("encoder", "shrinks", "grows", "channels"),
    [
        ("synthetic", (1, 2, 4, 16, 16), (16, 4, 2, 1, 1), [16, 32, 64, 64, 16]),  # d = 16
        ("industrial", (1, 2, 4, 8, 16, 16), (16, 8, 4, 2, 1, 1), [16, 32, 64, 64, 64, 16]),
    ],
)
def test_every_layer_has_the_resolution_that_table_2_prints(encoder, shrinks, grows, channels):
    model = CAE(CAE_MODEL.but(encoder=encoder, hidden_size=8), channels=3, size=32)
    down, codes = resolutions(model.encoder, torch.rand(2, 3, 32, 32))
    assert [shape[1:] for shape in down] == [(32 // shrink,) * 2 for shrink in shrinks]
    assert [shape[0] for shape in down] == channels
    up, result = resolutions(model.decoder, codes)
    assert [shape[1:] for shape in up] == [(32 // shrink,) * 2 for shrink in grows]
    assert [shape[0] for shape in up] == [*channels[-2:0:-1], 16, 3]
    assert result.shape == (2, 3, 32, 32)


@pytest.mark.parametrize("channels", [1, 3])
def test_codes_have_n_z_numbers_and_output_the_shape_of_the_input_in_0_to_1(channels):
    model = CAE(CAE_MODEL.but(latent_size=7, hidden_size=8), channels=channels, size=32)
    x = torch.rand(2, channels, 32, 32)
    assert model.encode(x).shape == (2, 7)
    y = model(x)
    assert y.shape == x.shape
    assert ((y >= 0) & (y <= 1)).all()


@pytest.mark.parametrize("encoder", ["synthetic", "industrial"])
def test_gradient_reaches_every_parameter(encoder):
    model = CAE(CAE_MODEL.but(encoder=encoder, latent_size=5, hidden_size=16), channels=1, size=16)
    reconstruction_loss(model, torch.rand(4, 1, 16, 16)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_patch_is_reconstructed_the_same_whatever_is_beside_it_in_the_batch():
    model, x = CAE(CAE_MODEL.but(hidden_size=8), channels=1, size=16), torch.rand(3, 1, 16, 16)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


@pytest.mark.parametrize(("initialisation", "apart"), [("he", True), ("pytorch", False)])
def test_untrained_networks_tell_patches_apart_by_he_and_not_by_pytorchs_weights(initialisation, apart):
    """Where all patches come out alike, the loss rests on the plateau of the average grey."""
    torch.manual_seed(0)
    model = CAE(CAE_MODEL.but(encoder="industrial", initialisation=initialisation), channels=1, size=64)
    spread = model(torch.rand(8, 1, 64, 64)).std(dim=0).mean()
    assert (spread > 0.01) == apart
    assert (spread < 1e-4) != apart


def test_size_must_be_a_multiple_of_16():
    with pytest.raises(FlawlineError, match="size must be a multiple of 16, got 40"):
        CAE(CAE_MODEL, channels=1, size=40)


def test_patches_of_another_shape_are_refused():
    model = CAE(CAE_MODEL.but(hidden_size=8), channels=1, size=16)
    with pytest.raises(FlawlineError, match=r"patches must have shape \(N, 1, 16, 16\), got \(2, 3, 16, 16\)"):
        model(torch.zeros(2, 3, 16, 16))


def test_squared_residual_is_equation_1_averaged_over_channels():
    x = tensor([[[[0.0, 1.0]], [[0.5, 0.0]]]])  # (1, 2, 1, 2)
    y = tensor([[[[0.2, 1.0]], [[0.1, 1.0]]]])
    torch.testing.assert_close(squared_residual(x, y), tensor([[[(0.04 + 0.16) / 2, (0 + 1) / 2]]]))  # (1, 1, 2)


def test_reconstruction_loss_is_equation_3_averaged_over_the_batch(offset_model):
    assert reconstruction_loss(offset_model(0.5), torch.rand(2, 1, 3, 4)).item() == pytest.approx(0.25, rel=1e-6)
    x = np.random.default_rng(0).random((5, 3, 4, 4), dtype=np.float32)
    loss = reconstruction_loss(nn.Sigmoid(), torch.from_numpy(x)).item()
    assert loss == pytest.approx(np.mean([((each - 1 / (1 + np.exp(-each))) ** 2).mean() for each in x]), rel=1e-5)
