"""The variational autoencoder of Schneider 2022 (section 2.2, Table 3): the code is a distribution near N(0, I)."""

from functools import partial

import torch
from torch import Tensor, nn

from flawline.checks import check_shape
from flawline.methods.cae import CAE
from flawline.params import VAEModelParams
from flawline.training.objective import Objective, minimise, warmed_up


class VAE(CAE):
    """The autoencoder with two innermost linear layers: mean (lin21) and logarithm of sigma (lin22) of the code.

    The paper's text names the two layers in the other order; which is which changes nothing.

    ``encode`` and ``forward`` take the mean, so that a patch is always reconstructed the same; only training draws
    codes. Source: Schneider 2022, section 2.2, Tables 2 and 3."""

    def __init__(self, params: VAEModelParams, *, channels: int, size: int):
        super().__init__(params, channels=channels, size=size)
        self.log_sigma = nn.Linear(params.hidden_size, params.latent_size)  # lin22; the last of compress is lin21

    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (mu, log sigma), each (N, n_z), of q(z|x) for patches (N, C, s, s)."""
        check_shape("patches", x, ("N", self.channels, self.size, self.size))
        hidden = self.compress[:-1](self.encoder(x))  # (N, r)
        return self.compress[-1](hidden), self.log_sigma(hidden)


def reparametrise(mu: Tensor, log_sigma: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw z = mu + sigma * epsilon (N, n_z), epsilon from N(0, I); without a generator z is mu. Source: Eq. 6."""
    if generator is None:
        return mu
    epsilon = torch.randn(mu.shape, generator=generator).to(mu)  # drawn on the CPU: the same numbers on every device
    return mu + log_sigma.exp() * epsilon


def kl_divergence(mu: Tensor, log_sigma: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence (N,) of N(mu, sigma^2) from N(0, I), in nats. Source: Eq. 5.

    Our copy of the paper lacks the leading minus, as other minus signs; a divergence is never negative."""
    log_variance = 2 * log_sigma
    return -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).sum(dim=1)  # (N,)


def negative_elbo(model: nn.Module, x: Tensor, generator: torch.Generator | None = None, *, kl_weight: float) -> Tensor:
    """Return Eq. 4 with its sign turned, a value of the squared error's size: MSE + kl_weight * KL / (C s s).

    The paper puts the mean squared error (Eq. 3) in the place of the likelihood. A Gaussian likelihood of variance 1/2
    is the squared error summed over the patch, so that sum stands against the KL term; both are divided by the number
    of values, which moves no minimum. Taking Eq. 3's mean against the whole KL term would weigh the latter C s s times
    more, and the code would carry nothing (docs/papers/schneider2022.md)."""
    mu, log_sigma = model.distribution(x)  # type: ignore[operator]  # a VAE's
    error = (model.decode(reparametrise(mu, log_sigma, generator)) - x).square().mean()  # type: ignore[operator]
    return error + kl_weight * kl_divergence(mu, log_sigma).mean() / x[0].numel()


def vae_objective(params: VAEModelParams) -> Objective:
    """Return how the autoencoder learns: by the evidence lower bound. Schneider 2022, section 2.2. Before that, if
    ``warmup`` is not 0, from the squared error alone: a code that carries nothing costs no divergence, which is where
    the training can rest for long."""
    bound = partial(negative_elbo, kl_weight=params.kl_weight)
    return warmed_up(minimise(bound), partial(negative_elbo, kl_weight=0.0), params.warmup)
