"""The conditional patch-based autoencoder of Saeedi & Giusti 2022, section 3.1: its patches know their grid position.

Here are network, loss (Eq. 3) and residual image; `grid_positions` has the patches and their condition. What the
proposed method makes of the residual image (section 3.2: pretrained features, three-way pooling, nearest neighbours,
Eq. 4) is in `features` and `pooled_knn`. docs/papers/saeedi2022.md has the paper beside the code, and where we
depart."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.checks import FlawlineError, check_shape
from flawline.methods.grid_positions import check_grid_patches, grid_of, split_position, with_position
from flawline.methods.maps import BATCH, as_numpy
from flawline.methods.one_class import check_one_size
from flawline.methods.reconstruction import Reconstruction, absolute_residual, loader
from flawline.params import CPCAEModelParams, GridPatchParams
from flawline.training.objective import Objective, minimise
from flawline.training.windows import to_unit
from flawline.vision.downsizing import downsize, upsize
from flawline.vision.patches import OverlapAverage, cut, grid_sides

SLOPE = 0.01  # of the leaky ReLU; the paper names no activation


class CPCAE(nn.Module):
    """Strided convolutions, a dense code, transposed convolutions: (n, C + 1, s, s) in [0, 1] to (n, C, s, s).

    The last plane of the input is the position (``grid_positions.with_position``). As one number it joins what the
    encoder's dense layer and what the decoder's dense layer get, unless ``params.conditioned`` is false. ``size`` is
    the side s, a multiple of 2 to the number of convolutions. Source: Saeedi & Giusti 2022, section 3.1, Fig. 2;
    kernels of 4 x 4, widths and activations are ours."""

    def __init__(self, params: CPCAEModelParams, *, channels: int, size: int):
        super().__init__()
        shrink = 2 ** len(params.channels)
        if size % shrink:
            raise FlawlineError(f"size must be a multiple of {shrink}, got {size}")
        self.channels, self.size, self.conditioned = channels, size, params.conditioned
        bottom = (params.channels[-1], size // shrink, size // shrink)
        features, condition = int(np.prod(bottom)), int(params.conditioned)
        self.encoder = _encoder((channels, *params.channels))
        self.compress = nn.Sequential(nn.Linear(features + condition, params.latent_size), nn.ReLU())  # (n, d)
        self.expand = nn.Sequential(
            nn.Linear(params.latent_size + condition, features), nn.LeakyReLU(SLOPE), nn.Unflatten(1, bottom)
        )
        self.decoder = _decoder((*params.channels[::-1], channels))

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes (n, d) of patches with their position (n, C + 1, s, s): the activations a of Eq. 3, behind
        their ReLU."""
        check_shape("patches", x, ("N", self.channels + 1, self.size, self.size))
        patches, position = split_position(x)
        return self.compress(self._with_condition(self.encoder(patches), position))

    def decode(self, codes: Tensor, position: Tensor) -> Tensor:
        """Return the patches (n, C, s, s) that the decoder draws from codes (n, d) at positions (n, 1)."""
        return self.decoder(self.expand(self._with_condition(codes, position)))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x), split_position(x)[1])

    def _with_condition(self, features: Tensor, position: Tensor) -> Tensor:
        return torch.cat([features, position.to(features)], dim=1) if self.conditioned else features


def _encoder(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Flatten())


def _decoder(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def sparse_loss(model: nn.Module, x: Tensor, generator: torch.Generator | None = None, *, sparsity: float) -> Tensor:
    """Return Eq. 3 of ``model`` on patches with their position (n, C + 1, s, s): squared error plus ``sparsity``
    (lambda) times the L1 norm of a.

    The paper leaves open the layer and the scale of both terms. Here a is the code, the error is the mean over all
    values of the patches and the norm the mean over units and patches: neither grows with a patch or the code."""
    patches, position = split_position(x)
    codes = model.encode(x)  # type: ignore[operator]  # a CPCAE's
    error = nn.functional.mse_loss(model.decode(codes, position), patches)  # type: ignore[operator]
    return error + sparsity * codes.abs().mean()


def cpcae_objective(params: CPCAEModelParams) -> Objective:
    """Return how the autoencoder learns: by Eq. 3."""
    return minimise(partial(sparse_loss, sparsity=params.sparsity))


class CPCAEReconstructor:
    """Reconstructs by a network that knows grid positions: downsize, reconstruct the grid's patches, average them where
    they overlap, upsize. Source: Saeedi & Giusti 2022, section 3.1."""

    def __init__(self, network: nn.Module, patches: GridPatchParams):
        self.network, self.patches = network.eval(), patches

    def reconstruct(self, image: NDArray) -> Reconstruction:
        """Return the reconstruction of ``image`` (C, H, W) and its residual image abs(x - reconstructed) (C, H, W).

        Eq. 2 squares the difference; the square is taken where a map is measured (`pixel_scorers`)."""
        small = self._downsized(image)  # (C, h, w)
        planes = [OverlapAverage(*small.shape[1:], size=self.patches.size, stride=self.patches.stride) for _ in small]
        for patches, at in self._through(self.network, small):
            for channel, plane in enumerate(planes):
                plane.add(as_numpy(patches[:, channel]), at)
        whole = np.stack([plane.result() for plane in planes])  # (C, h, w)
        reconstructed = upsize(whole, image.shape[1:])  # (C, H, W)
        return Reconstruction(reconstructed, absolute_residual(image, reconstructed))

    def codes(self, image: NDArray) -> NDArray[np.float32]:
        """Return the codes (h, w, d) of all patches of the grid of ``image`` (C, H, W)."""
        encode: Callable = self.network.encode  # type: ignore[assignment]  # a CPCAE's
        small = self._downsized(image)
        found = np.concatenate([as_numpy(codes) for codes, _ in self._through(encode, small)])  # (P, d)
        sides = grid_sides(*small.shape[1:], size=self.patches.size, stride=self.patches.stride)
        return found.reshape(*sides, -1)

    def _downsized(self, image: NDArray) -> NDArray:
        check_grid_patches(image.shape, self.patches)
        return downsize(image, self.patches.side)

    @torch.no_grad()
    def _through(self, work: Callable[[Tensor], Tensor], small: NDArray) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        """Yield (what ``work`` makes of patches with their positions, where they lie (n, 2)), a batch at a time."""
        grid, device = grid_of(small.shape, self.patches), next(self.network.parameters()).device
        for positions in np.split(np.arange(len(grid)), range(BATCH, len(grid), BATCH)):
            patches = to_unit(cut(small, grid[positions], self.patches.size), device)
            yield work(with_position(patches, positions, len(grid))), grid[positions]


load_cpcae = loader(CPCAEReconstructor)


def check_images(shapes: Sequence[tuple[int, ...]], *, patches: GridPatchParams, **others: Any) -> None:
    """Raise FlawlineError unless all images (C, H, W) have one size, in which a patch fits once they are downsized."""
    check_one_size(shapes, "cpcae")
    check_grid_patches(shapes[0], patches)
