"""An autoencoder of what principal components leave: a small network beside a linear one that is not trained.

On patches of fabrics the linear autoencoder, that is, principal component analysis, beats the network of Alpdemir 2022;
the network is given what it does well, and learns the rest. Ours."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from flawline.checks import FlawlineError, check_shape
from flawline.methods.pca import gain_of, relative_residual
from flawline.params import RDCAEModelParams

WIDTHS = (24, 48, 64)  # channels behind each convolution, which halves the patch
SHRINK = 2 ** len(WIDTHS)
SLOPE = 0.1  # of the leaky ReLU
SMALL = 0.1  # by which the weights of the last layer begin smaller: at first the linear part does all


class LinearSkip(nn.Module):
    """(N, C, s, s) in [0, 1] to the same shape: principal components of the patch, plus what a network makes of it.

    With ``normalise`` = median a patch is divided by its median before, and the result multiplied with it. ``size`` is
    the side s of a patch, a multiple of 8."""

    mean: Tensor
    components: Tensor
    level: Tensor
    contrast: Tensor

    def __init__(self, params: RDCAEModelParams, *, channels: int, size: int):
        super().__init__()
        if size % SHRINK:
            raise FlawlineError(f"patches.size must be a multiple of {SHRINK} (the encoder halves 3 times), got {size}")
        self.params, self.channels, self.size = params, channels, size
        self.encoder, self.decoder = _encoder(params, channels, size), _decoder(params, channels, size)
        values = channels * size * size
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("components", torch.zeros(min(params.components, values), values))
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("contrast", torch.ones(()))

    def extra_repr(self) -> str:
        return f"components={self.params.components}, normalise={self.params.normalise}"

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """Set the linear part to the principal components of patches x (n, C, s, s); of fewer patches than components,
        as many as there are."""
        gain = self.gain(x)
        normal = x / gain
        self.level.copy_(normal.mean())
        self.contrast.copy_(normal.std(correction=0).clamp_min(1e-6))
        z = self._standardised(x, gain).flatten(1)  # (n, D)
        self.mean.copy_(z.mean(dim=0))
        if len(self.components):
            _, _, directions = torch.linalg.svd(z - self.mean, full_matrices=False)
            some = directions[: len(self.components)]
            self.components[: len(some)].copy_(some)

    def gain(self, x: Tensor) -> Tensor:
        """Return what each patch is divided by, (N, 1, 1, 1)."""
        return gain_of(x, self.params.normalise)

    def unit(self, x: Tensor) -> Tensor:
        """Return the deviation of normal values, in each patch's brightness: (N, 1, 1, 1)."""
        return self.gain(x) * self.contrast

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent codes (N, d) of patches (N, C, s, s)."""
        check_shape("patches", x, ("N", self.channels, self.size, self.size))
        return self.encoder(self._standardised(x, self.gain(x)))

    def forward(self, x: Tensor) -> Tensor:
        check_shape("patches", x, ("N", self.channels, self.size, self.size))
        gain = self.gain(x)
        standardised = self._standardised(x, gain)
        z = standardised.flatten(1) - self.mean  # (N, D)
        linear = (z @ self.components.mT) @ self.components + self.mean
        whole = linear.view_as(x) + self.decoder(self.encoder(standardised))  # (N, C, s, s)
        return (whole * self.contrast + self.level) * gain

    def residual(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """Return the residual map (N, s, s), as `relative_residual`."""
        return relative_residual(x, reconstruction, normalise=self.params.normalise)

    def _standardised(self, x: Tensor, gain: Tensor) -> Tensor:
        return (x / gain - self.level) / self.contrast


def _encoder(params: RDCAEModelParams, channels: int, size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((channels, *WIDTHS)):
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTHS[-1] * (size // SHRINK) ** 2, params.latent_size))


def _decoder(params: RDCAEModelParams, channels: int, size: int) -> nn.Sequential:
    side = size // SHRINK
    widths = (*WIDTHS[::-1], channels)
    layers: list[nn.Module] = [
        nn.Linear(params.latent_size, WIDTHS[-1] * side * side),
        nn.LeakyReLU(SLOPE),
        nn.Unflatten(1, (WIDTHS[-1], side, side)),
    ]
    for inputs, outputs in pairwise(widths):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    with torch.no_grad():
        for parameter in layers[-2].parameters():
            parameter.mul_(SMALL)
    return nn.Sequential(*layers[:-1])  # (N, C, s, s)
