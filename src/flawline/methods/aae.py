"""The adversarial autoencoder of Schneider 2022 (section 2.3, Table 4): a critic pulls the codes towards N(0, I)."""

from functools import partial

import torch
from torch import Tensor, nn

from flawline.methods.cae import CAE, SLOPE, reconstruction_loss
from flawline.params import AAEModelParams
from flawline.training.objective import Batch, Objective, Phase, one_stage, warmed_up

HIDDEN = 10  # lind1, Table 4


class AAE(CAE):
    """The autoencoder with a critic of its codes, which only training uses.

    Source: Schneider 2022, section 2.3, Tables 2 to 4."""

    def __init__(self, params: AAEModelParams, *, channels: int, size: int):
        super().__init__(params, channels=channels, size=size)
        self.critic = nn.Sequential(  # Table 4 prints a leaky ReLU behind the last layer too
            nn.Linear(params.latent_size, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, 1), nn.LeakyReLU(SLOPE)
        )

    def criticise(self, z: Tensor) -> Tensor:
        """Return the critic's value (N, 1) of codes z (N, n_z): high where it takes them for draws of the prior."""
        return self.critic(z)


def encode(model: nn.Module, x: Tensor) -> Tensor:
    """Return the codes (N, n_z) of patches (N, C, s, s)."""
    return model.encode(x)  # type: ignore[operator]


def encode_batch(model: nn.Module, batch: Batch) -> Tensor:
    """Return the codes (N, n_z) of a batch."""
    return encode(model, batch.x)


def critic_loss(model: nn.Module, codes: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return minus the critic's estimate of the Wasserstein distance between the prior N(0, I) and ``codes`` (N, n_z).

    Source: Schneider 2022, section 2.3, after Arjovsky et al. 2017, Algorithm 1, lines 3 to 6."""
    prior = torch.randn(codes.shape, generator=generator).to(codes)  # (N, n_z)
    return model.criticise(codes).mean() - model.criticise(prior).mean()  # type: ignore[operator]


def generator_loss(model: nn.Module, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return what the encoder, as the generator of codes, lowers to confuse the critic: minus its value of them.

    Source: Schneider 2022, section 2.3, after Arjovsky et al. 2017, Algorithm 1, lines 9 to 11."""
    return -model.criticise(encode(model, x)).mean()  # type: ignore[operator]


def clip_critic(model: nn.Module, *, clip: float) -> None:
    """Clip the critic's weights to [-clip, clip], which bounds its slope. Arjovsky et al. 2017, Algorithm 1, line 7."""
    with torch.no_grad():
        for parameter in model.critic.parameters():  # type: ignore[union-attr]
            parameter.clamp_(-clip, clip)


def aae_objective(params: AAEModelParams) -> Objective:
    """Return how the autoencoder learns: a reconstruction phase, then a regularisation phase. Section 2.3. Before that,
    if ``warmup`` is not 0, by reconstruction alone.

    The encoder rests while the critic learns, so a batch is encoded once for all the critic's updates."""
    clip = partial(clip_critic, clip=params.clip)
    regularised = one_stage(
        phases=(  # the paper's reconstruction phase; its regularisation phase is the two behind it
            Phase("train", reconstruction_loss, ("encoder", "compress", "expand", "decoder")),
            Phase("critic", critic_loss, ("critic",), times=params.critic_steps, given=encode_batch, after=clip),
            Phase("generator", generator_loss, ("encoder", "compress")),
        ),
        watched=reconstruction_loss,
    )
    return warmed_up(regularised, reconstruction_loss, params.warmup)
