"""The convolutional autoencoder of Schneider 2022 (Tables 2 and 3): learn normal patches, show what comes out wrong."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from flawline.checks import FlawlineError, check_shape
from flawline.methods.initial_weights import draw_he_weights
from flawline.methods.reconstruction import PatchReconstructor, loader
from flawline.params import CAEModelParams
from flawline.training.objective import Objective, minimise

SLOPE = 0.01  # of the leaky ReLU; the paper prints none, this is PyTorch's and the original's (Maas et al. 2013)


@dataclass(frozen=True)
class Widths:
    """One column of Table 2: channels after each convolution, and by how much each shrinks or enlarges the image."""

    encoder: tuple[int, ...]
    strides: tuple[int, ...]
    decoder: tuple[int, ...]  # without the last layer, which has as many channels as the image
    factors: tuple[int, ...]


# Table 2 gives resolutions, not strides: what lies between two of them is the stride. The synthetic encoder goes from
# W/4 to W/d in one step, which is a stride of 4 where d = 16.
TABLE_2 = {
    "synthetic": Widths((16, 32, 64, 64, 16), (1, 2, 2, 4, 1), (64, 64, 32, 16), (1, 4, 2, 2, 1)),
    "industrial": Widths((16, 32, 64, 64, 64, 16), (1, 2, 2, 2, 2, 1), (64, 64, 64, 32, 16), (1, 2, 2, 2, 2, 1)),
}
SHRINK = 16  # from the image to the bottleneck, both columns


class CAE(nn.Module):
    """Encoder, bottleneck of four linear layers, decoder: (N, C, s, s) in [0, 1] to the same shape.

    ``size`` is the side s of a patch, a multiple of 16. Source: Schneider 2022, Eq. 2, Tables 2 and 3."""

    def __init__(self, params: CAEModelParams, *, channels: int, size: int):
        super().__init__()
        if size % SHRINK:
            raise FlawlineError(f"size must be a multiple of {SHRINK}, got {size}")
        self.channels, self.size = channels, size
        widths, side = TABLE_2[params.encoder], size // SHRINK
        bottom = (widths.encoder[-1], side, side)
        self.encoder = _encoder(widths, channels)
        self.compress = _compress(side * side * bottom[0], params)
        self.expand = _expand(side * side * bottom[0], params, bottom)
        self.decoder = _decoder(widths, bottom[0], channels)
        self.initialisation = params.initialisation
        if self.initialisation == "he":
            draw_he_weights(self, SLOPE)

    def extra_repr(self) -> str:
        return f"initialisation={self.initialisation}"

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent codes z (N, n_z) of patches (N, C, s, s)."""
        check_shape("patches", x, ("N", self.channels, self.size, self.size))
        return self.compress(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return the patches (N, C, s, s) that the decoder draws from latent codes z (N, n_z)."""
        return self.decoder(self.expand(z))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def _encoder(widths: Widths, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for (inputs, outputs), stride in zip(pairwise((channels, *widths.encoder)), widths.strides, strict=True):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)  # (N, 16, s/16, s/16)


def _compress(features: int, params: CAEModelParams) -> nn.Sequential:
    """lin1 and lin2 of Table 3."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, params.hidden_size),
        nn.LeakyReLU(SLOPE),
        nn.Linear(params.hidden_size, params.latent_size),
    )  # (N, n_z)


def _expand(features: int, params: CAEModelParams, bottom: tuple[int, int, int]) -> nn.Sequential:
    """lin3 and lin4 of Table 3."""
    return nn.Sequential(
        nn.Linear(params.latent_size, params.hidden_size),
        nn.LeakyReLU(SLOPE),
        nn.Linear(params.hidden_size, features),
        nn.LeakyReLU(SLOPE),
        nn.Unflatten(1, bottom),
    )  # (N, 16, s/16, s/16)


def _decoder(widths: Widths, bottom: int, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for (inputs, outputs), factor in zip(pairwise((bottom, *widths.decoder, channels)), widths.factors, strict=True):
        if factor > 1:
            layers.append(nn.Upsample(scale_factor=factor, mode="nearest"))
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())  # (N, C, s, s)


def squared_residual(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the residual map R (N, s, s), the mean over channels of the squared difference. Schneider 2022, Eq. 1."""
    return (x - reconstruction).square().mean(dim=1)  # (N, s, s)


def reconstruction_loss(model: nn.Module, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the mean squared error of ``model`` on patches (N, C, s, s). Schneider 2022, Eq. 3, mean over a batch.

    Nothing in it is random; ``generator`` is what every loss gets."""
    return torch.nn.functional.mse_loss(model(x), x)


def cae_objective(params: CAEModelParams) -> Objective:
    """Return how the autoencoder learns: by its reconstruction error alone. Schneider 2022, section 2.1."""
    return minimise(reconstruction_loss)


load_autoencoder = loader(partial(PatchReconstructor, residual=squared_residual))
