import math
from functools import partial

import pytest
import torch
from base_params import BASE
from hypothesis import given
from hypothesis import strategies as st
from torch import distributions, nn, tensor

from flawline.checks import FlawlineError
from flawline.methods.cae import CAE, reconstruction_loss
from flawline.methods.vae import VAE, kl_divergence, negative_elbo, reparametrise, vae_objective

VAE_MODEL = BASE.vae.model

SMALL = {"latent_size": 5, "hidden_size": 16}


def linear(inputs, outputs):
    """Weights and biases of a linear layer."""
    return outputs * (inputs + 1)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def vae():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VAE(VAE_MODEL.but(**SMALL), channels=1, size=16)


@pytest.fixture
def x():
    return torch.rand(4, 1, 16, 16, generator=seeded(1))


# --- the network -----------------------------------------------------------------------------------------------------
def test_synthetic_columns_have_the_parameters_of_tables_2_and_3():
    model = VAE(VAE_MODEL.but(encoder="synthetic"), channels=1, size=64)
    outer = linear(4 * 4 * 16, 1024) + linear(1024, 4 * 4 * 16)  # lin1, lin4
    inner = 2 * linear(1024, 100) + linear(100, 1024)  # lin21, lin22, lin3
    assert (outer, inner) == (525_568, 308_424)
    assert count(model.compress) + count(model.log_sigma) + count(model.expand) == outer + inner
    assert count(model) == 69_456 + outer + inner + 69_441  # the convolutions are the cae's


def test_industrial_columns_have_the_parameters_of_tables_2_and_3_in_colour():
    model = VAE(VAE_MODEL.but(encoder="industrial"), channels=3, size=128)
    assert count(model) == 2_518_455 + linear(1024, 100)  # the cae's, and lin22


def test_with_one_seed_the_shared_weights_are_the_caes():
    torch.manual_seed(7)
    cae = CAE(BASE.cae.model.but(**SMALL), channels=1, size=16).state_dict()
    torch.manual_seed(7)
    vae = VAE(VAE_MODEL.but(**SMALL), channels=1, size=16).state_dict()
    assert vae.keys() - cae.keys() == {"log_sigma.weight", "log_sigma.bias"}
    assert [name for name in cae if not torch.equal(cae[name], vae[name])] == []


@pytest.mark.parametrize("channels", [1, 3])
def test_a_code_is_n_z_means_and_as_many_sigmas_and_output_has_the_shape_of_the_input(channels):
    model = VAE(VAE_MODEL.but(latent_size=7, hidden_size=8), channels=channels, size=32)
    x = torch.rand(2, channels, 32, 32)
    mu, log_sigma = model.distribution(x)
    assert (mu.shape, log_sigma.shape) == ((2, 7), (2, 7))
    assert model.encode(x).shape == (2, 7)
    assert model(x).shape == x.shape


def test_mean_and_sigma_come_from_one_hidden_layer_by_two_linear_ones(vae, x):
    hidden = vae.compress[:-1](vae.encoder(x))
    mu, log_sigma = vae.distribution(x)
    torch.testing.assert_close(mu, nn.functional.linear(hidden, vae.compress[-1].weight, vae.compress[-1].bias))
    torch.testing.assert_close(log_sigma, nn.functional.linear(hidden, vae.log_sigma.weight, vae.log_sigma.bias))


@pytest.mark.parametrize("training", [True, False])
def test_a_patch_is_reconstructed_from_the_mean_and_so_always_the_same(vae, x, training):
    vae.train(training)
    mu, _ = vae.distribution(x)
    assert torch.equal(vae.encode(x), mu)
    assert torch.equal(vae(x), vae.decode(mu))
    with torch.no_grad():
        vae.log_sigma.bias += 3.0  # a wider distribution, the same mean
    assert torch.equal(vae(x), vae.decode(mu))


def test_patches_of_another_shape_are_refused(vae):
    with pytest.raises(FlawlineError, match=r"patches must have shape \(N, 1, 16, 16\), got \(2, 3, 16, 16\)"):
        vae.distribution(torch.zeros(2, 3, 16, 16))


# --- Eq. 5 -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mu", "log_sigma", "nats"),
    [
        ([1.0], [0.0], 0.5),  # mu^2 / 2
        ([0.0], [1.0], (math.e**2 - 3) / 2),  # sigma = e: (sigma^2 - 1 - 2 log sigma) / 2
        ([0.0], [-1.0], (math.e**-2 + 1) / 2),
        ([1.0, 2.0, 0.0], [0.0, 0.0, 1.0], 0.5 + 2.0 + (math.e**2 - 3) / 2),  # a sum over the code
    ],
)
def test_kl_divergence_by_hand(mu, log_sigma, nats):
    assert kl_divergence(tensor([mu]), tensor([log_sigma])).tolist() == pytest.approx([nats], rel=1e-6)


def test_kl_divergence_of_the_prior_is_zero():
    assert kl_divergence(torch.zeros(3, 4), torch.zeros(3, 4)).tolist() == [0.0, 0.0, 0.0]


def test_kl_divergence_agrees_with_torch_distributions():
    mu, log_sigma = torch.randn(2, 50, 6, generator=seeded(0), dtype=torch.float64)
    posterior, prior = distributions.Normal(mu, log_sigma.exp()), distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(kl_divergence(mu, log_sigma), distributions.kl_divergence(posterior, prior).sum(dim=1))


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-20, 10)), min_size=1, max_size=5))
def test_kl_divergence_is_never_negative(codes):
    mu, log_sigma = tensor(codes, dtype=torch.float64).T[:, None]  # each (1, n_z)
    assert kl_divergence(mu, log_sigma).item() >= -1e-12


# --- Eq. 6 -----------------------------------------------------------------------------------------------------------
def test_drawn_codes_have_the_asked_mean_and_standard_deviation():
    mu, sigma, n = tensor([1.0, -2.0, 0.0]), tensor([0.5, 3.0, 1.0]), 100_000
    z = reparametrise(mu.expand(n, 3), sigma.log().expand(n, 3), seeded(0))
    assert ((z.mean(dim=0) - mu).abs() < 4 * sigma / n**0.5).all()  # four standard errors
    assert ((z.std(dim=0) - sigma).abs() < 4 * sigma / (2 * n) ** 0.5).all()
    assert (torch.corrcoef(z.T) - torch.eye(3)).abs().max() < 4 / n**0.5


def test_without_a_generator_a_code_is_its_mean():
    mu = torch.randn(4, 3, generator=seeded(0))
    assert torch.equal(reparametrise(mu, torch.ones(4, 3), None), mu)


def test_one_generator_seed_gives_one_draw_and_two_draws_differ():
    mu, log_sigma, generator = torch.zeros(2, 3), torch.zeros(2, 3), seeded(5)
    first, second = (reparametrise(mu, log_sigma, generator) for _ in range(2))
    assert torch.equal(first, reparametrise(mu, log_sigma, seeded(5)))
    assert not torch.equal(first, second)
    assert not torch.equal(first, reparametrise(mu, log_sigma, seeded(6)))


def test_a_draw_does_not_touch_the_global_random_state():
    before = torch.random.get_rng_state()
    reparametrise(torch.zeros(2, 3), torch.zeros(2, 3), seeded(5))
    assert torch.equal(torch.random.get_rng_state(), before)


# --- Eq. 4 -----------------------------------------------------------------------------------------------------------
class Fixed(nn.Module):
    """Gives every patch (1, 1, 2) the distribution it was made with and reconstructs the code itself."""

    def __init__(self, mu, log_sigma):
        super().__init__()
        self.mu, self.log_sigma = tensor(mu), tensor(log_sigma)

    def distribution(self, x):
        return self.mu, self.log_sigma

    def decode(self, z):
        return z.reshape(-1, 1, 1, 2)


def test_negative_elbo_by_hand():
    model = Fixed([[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]])
    loss = negative_elbo(model, torch.zeros(2, 1, 1, 2), kl_weight=4.0)
    # Squared errors 1, 0, 0, 0: mean 1/4. KL 1/2 and 0: mean 1/4, over two values a patch.
    assert loss.item() == pytest.approx(1 / 4 + 4 * (1 / 4) / 2)


def test_negative_elbo_is_that_of_a_gaussian_likelihood_of_variance_one_half(vae, x):
    loss = negative_elbo(vae, x, seeded(3), kl_weight=1.0).item()
    mu, log_sigma = vae.distribution(x)
    reconstructed = vae.decode(reparametrise(mu, log_sigma, seeded(3)))
    likelihood = distributions.Normal(reconstructed, 0.5**0.5).log_prob(x).sum(dim=(1, 2, 3))  # (N,)
    prior = distributions.Normal(0.0, 1.0)
    divergence = distributions.kl_divergence(distributions.Normal(mu, log_sigma.exp()), prior).sum(dim=1)  # (N,)
    elbo = (likelihood - divergence).mean().item()
    values = 16 * 16
    assert values * loss + values / 2 * math.log(math.pi) == pytest.approx(-elbo, rel=1e-5)


def test_without_kl_weight_it_is_the_reconstruction_of_a_drawn_code(vae, x):
    drawn = vae.decode(reparametrise(*vae.distribution(x), seeded(3)))
    loss = negative_elbo(vae, x, seeded(3), kl_weight=0.0)
    torch.testing.assert_close(loss, nn.functional.mse_loss(drawn, x))
    assert loss.item() != negative_elbo(vae, x, seeded(4), kl_weight=0.0).item()


def test_without_a_generator_or_kl_weight_it_is_the_caes_loss(vae, x):
    torch.testing.assert_close(negative_elbo(vae, x, None, kl_weight=0.0), reconstruction_loss(vae, x))


@pytest.mark.parametrize("kl_weight", [0.0, 1.0])  # without the KL term, sigma is reached through the draw alone
def test_gradient_reaches_every_parameter(vae, x, kl_weight):
    negative_elbo(vae, x, seeded(0), kl_weight=kl_weight).backward()
    assert [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_objective_is_one_phase_that_moves_all_and_watches_the_same_loss(vae, x):
    objective = vae_objective(VAE_MODEL.but(kl_weight=0.5, warmup=0))
    (stage,) = objective.stages
    (phase,) = stage.phases
    assert (phase.name, phase.times, len(phase.parameters(vae))) == ("train", 1, len(list(vae.parameters())))
    expected = partial(negative_elbo, vae, x, kl_weight=0.5)
    assert stage.watched(vae, x, None).item() == expected(None).item()
    assert phase.loss(vae, x, seeded(2)).item() == expected(seeded(2)).item()


def test_warmed_up_it_first_learns_without_the_kl_term(vae, x):
    first, then = vae_objective(VAE_MODEL.but(kl_weight=0.5, warmup=3)).stages
    assert (first.epochs, then.epochs) == (3, None)
    assert first.phases[0].loss(vae, x, seeded(2)).item() == negative_elbo(vae, x, seeded(2), kl_weight=0.0).item()
    assert then.phases[0].loss(vae, x, seeded(2)).item() == negative_elbo(vae, x, seeded(2), kl_weight=0.5).item()
