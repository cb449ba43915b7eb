"""The autoencoder of Alpdemir 2022, section 4.1: a network in the style of LeNet, as the authors of Deep SVDD have it.

No layer has a bias, and batch normalisation has no learned scale or shift: a network with a bias can map every patch to
one point, which makes Deep SVDD's distance useless (Ruff et al. 2018, Proposition 2)."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.checks import FlawlineError, check_shape
from flawline.methods.cae import squared_residual
from flawline.methods.maps import as_numpy, encode_patches
from flawline.methods.reconstruction import PatchReconstructor, loader
from flawline.params import LeNetModelParams, PatchParams
from flawline.vision.patches import grid_sides, patch_grid

WIDTHS = (32, 64, 128)  # channels behind each module, section 4.1
KERNEL = 5  # side of a filter, section 4.1
SHRINK = 2 ** len(WIDTHS)  # each module halves the patch


class LeNet(nn.Module):
    """Three modules of convolution, leaky ReLU and 2 x 2 max-pooling, a dense layer of ``latent_size`` units, and the
    same way back by nearest upsampling: (N, C, s, s) in [0, 1] to the same shape.

    ``size`` is the side s of a patch, a multiple of 8 such that (s / 8)^2 divides ``latent_size``. Source: Alpdemir
    2022, section 4.1; what it does not print (batch normalisation, upsampling, sigmoid) is Deep SVDD's authors'."""

    def __init__(self, params: LeNetModelParams, *, channels: int, size: int):
        super().__init__()
        check_geometry(size, params.latent_size)
        side = size // SHRINK
        self.channels, self.size = channels, size
        self.encoder = nn.Sequential(
            *_down(channels),
            nn.Flatten(),
            nn.Linear(WIDTHS[-1] * side * side, params.latent_size, bias=False),
        )  # (N, d)
        self.decoder = nn.Sequential(
            nn.BatchNorm1d(params.latent_size, affine=False),
            nn.Unflatten(1, (params.latent_size // side**2, side, side)),
            nn.LeakyReLU(),
            *_up(params.latent_size // side**2, channels),
            nn.Sigmoid(),
        )  # (N, C, s, s)
        self.apply(_initialise)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent codes (N, d) of patches (N, C, s, s)."""
        check_shape("patches", x, ("N", self.channels, self.size, self.size))
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encode(x))


def check_geometry(size: int, latent_size: int) -> None:
    """Raise FlawlineError unless the network can be built for patches of ``size``."""
    if size % SHRINK:
        raise FlawlineError(f"patches.size must be a multiple of {SHRINK} (the encoder halves 3 times), got {size}")
    cells = (size // SHRINK) ** 2
    if latent_size % cells:
        raise FlawlineError(
            f"model.latent_size must be a multiple of {cells}, the cells that a patch of {size} pixels is decoded "
            f"from; got {latent_size}"
        )


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight, gain=nn.init.calculate_gain("leaky_relu"))


def _down(channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((channels, *WIDTHS)):
        layers += [
            nn.Conv2d(inputs, outputs, KERNEL, padding=KERNEL // 2, bias=False),
            nn.BatchNorm2d(outputs, affine=False),
            nn.LeakyReLU(),
            nn.MaxPool2d(2),
        ]
    return layers  # (N, 128, s/8, s/8)


def _up(inputs: int, channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *reversed(WIDTHS))):
        layers += [
            nn.Conv2d(before, after, KERNEL, padding=KERNEL // 2, bias=False),
            nn.BatchNorm2d(after, affine=False),
            nn.LeakyReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
        ]
    return [*layers, nn.Conv2d(WIDTHS[0], channels, KERNEL, padding=KERNEL // 2, bias=False)]  # (N, C, s, s)


def patch_codes(
    network: nn.Module, encode: Callable[[Tensor], Tensor], image: NDArray, patches: PatchParams
) -> NDArray[np.float32]:
    """Return what ``encode``, a part of ``network``, makes of the patches of the grid of ``image`` (C, H, W):
    (h, w, d)."""
    geometry = {"size": patches.size, "stride": patches.stride}
    grid = patch_grid(*image.shape[1:], **geometry)
    found = [as_numpy(codes) for codes in encode_patches(network, encode, image, grid, patches.size)]
    return np.concatenate(found).reshape(*grid_sides(*image.shape[1:], **geometry), -1)


class LeNetReconstructor(PatchReconstructor):
    """A trained `LeNet` at work: the residual image is the squared error, and every patch of the grid has a code."""

    network: LeNet

    def codes(self, image: NDArray) -> NDArray[np.float32]:
        """Return the latent codes (h, w, d) of the patches of the grid of ``image`` (C, H, W)."""
        return patch_codes(self.network, self.network.encode, image, self.patches)


load_lenet = loader(partial(LeNetReconstructor, residual=squared_residual))
