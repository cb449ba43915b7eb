import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.linear_skip import LinearSkip

MODEL = BASE.rdcae.model.but(components=3, latent_size=4, normalise="none")


def network(**changes):
    torch.manual_seed(0)
    return LinearSkip(MODEL.but(**changes), channels=1, size=16)


def in_a_plane(count):
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randn(3, 1, 16, 16, generator=generator)
    strengths = torch.randn(count, 3, generator=generator)
    return 0.5 + 0.05 * torch.einsum("nk,kchw->nchw", strengths, patterns)


def silent(model):
    """The network beside the linear part says nothing."""
    for parameter in model.decoder.parameters():
        parameter.data.zero_()
    return model


def test_linear_part_is_that_of_principal_components():
    x, model = in_a_plane(40), silent(network())
    model.learn(x)
    with torch.no_grad():
        torch.testing.assert_close(model(x), x, atol=1e-4, rtol=0)
        far = x + 0.1 * torch.randn_like(x)
        flat = far.flatten(1) - x.flatten(1).mean(dim=0)
        _, _, axes = torch.linalg.svd(x.flatten(1) - x.flatten(1).mean(dim=0), full_matrices=False)
        wanted = flat @ axes[:3].mT @ axes[:3] + x.flatten(1).mean(dim=0)
        torch.testing.assert_close(model(far).flatten(1), wanted, atol=1e-4, rtol=0)


def test_at_first_the_network_beside_it_says_little():
    x, model = in_a_plane(40), network()
    model.learn(x)
    with torch.no_grad():
        assert float((model(x) - x).abs().mean()) < 0.1 * float(x.std())


def test_brightness_of_a_patch_does_not_matter_where_it_is_divided_by_its_median():
    x, model = in_a_plane(40), network(normalise="median")
    model.learn(x)
    with torch.no_grad():
        torch.testing.assert_close(model(0.6 * x), 0.6 * model(x), atol=1e-4, rtol=1e-3)
        one, other = (model.residual(scale * x, scale * model(x)) for scale in (1.0, 0.6))
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_fewer_patches_than_components_are_no_error():
    model = silent(network(components=10))
    x = in_a_plane(4)
    model.learn(x)
    with torch.no_grad():
        torch.testing.assert_close(model(x), x, atol=1e-4, rtol=0)


def test_without_components_only_the_mean_is_left():
    x, model = in_a_plane(40), silent(network(components=0))
    model.learn(x)
    with torch.no_grad():
        torch.testing.assert_close(model(x[:1]), x.mean(dim=0, keepdim=True), atol=1e-4, rtol=0)


def test_gradient_reaches_every_weight():
    model = network()
    model.learn(in_a_plane(40))
    model(torch.rand(4, 1, 16, 16)).square().mean().backward()
    assert all(float(parameter.grad.abs().max()) > 0 for parameter in model.parameters())


def test_geometry_that_cannot_be_built_is_refused():
    with pytest.raises(FlawlineError, match=r"patches.size must be a multiple of 8 .* got 20"):
        LinearSkip(MODEL, channels=1, size=20)
