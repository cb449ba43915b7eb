"""The autoencoder of Rádli & Czúni 2022 (Table 1, after Bergmann et al. 2018), and what its relatives share.

`ssim_ae` learns by another loss, `dae` with deleted blocks, `stn_ae` on patches that a spatial transformer turns. All
are given frames (`frames`), of which the autoencoder looks at the patch in the middle."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from flawline.checks import FlawlineError, check_shape
from flawline.methods.frames import middle_of, split_counts, widened
from flawline.methods.initial_weights import draw_he_weights
from flawline.params import AEModelParams
from flawline.training.objective import Objective, minimise
from flawline.vision.ssim import ssim_map

SLOPE = 0.2  # of the leaky ReLU: Bergmann et al. 2018, section 4; the paper prints no activation
SHRINK = 16  # from the patch to what the last convolution sees


@dataclass(frozen=True)
class Layer:
    """A row of Table 1."""

    channels: int
    kernel: int
    stride: int
    padding: int


TABLE_1 = (  # without the last row, whose kernel is all that is left: 8 x 8 of 128 pixels
    Layer(32, 4, 2, 1),
    Layer(32, 4, 2, 1),
    Layer(32, 3, 1, 1),
    Layer(64, 4, 2, 1),
    Layer(64, 3, 1, 1),
    Layer(128, 4, 2, 1),
    Layer(64, 3, 1, 1),
    Layer(32, 3, 1, 1),
)


@dataclass(frozen=True)
class Look:
    """What the autoencoder sees of frames: patches ``seen`` (n, C, s, s), which pixels count, ``inside`` (n, 1, s, s)
    with 0 or 1, by how many ``degrees`` (n,) the frame was turned before, None: not at all; and the frame's side."""

    seen: Tensor
    inside: Tensor
    degrees: Tensor | None
    side: int


class AE(nn.Module):
    """Encoder of Table 1 and its mirror as decoder: frames (n, C + 1, F, F) to reconstructions (n, C, F, F), of which
    the patch in the middle says something.

    ``size`` is the side s of a patch, a multiple of 16; the paper's is 128. Source: Rádli & Czúni 2022, Table 1; the
    mirrored decoder with deconvolutions, section 3.1; leaky ReLU behind every layer but the code and the output, which
    is linear, as in Bergmann et al. 2018, section 4. Values enter and leave the network in [-2, 2], and weights start
    as He et al. 2015 have them: as PyTorch has them, it took four times the epochs to draw more than an even grey."""

    def __init__(self, params: AEModelParams, *, channels: int, size: int):
        super().__init__()
        if size % SHRINK:
            raise FlawlineError(f"patches.size must be a multiple of {SHRINK} (the encoder halves 4 times), got {size}")
        self.channels, self.size = channels, size
        self.encoder = _encoder(channels, params.latent_size, size // SHRINK)
        self.decoder = _decoder(channels, params.latent_size, size // SHRINK)
        draw_he_weights(self, SLOPE)

    def look(self, x: Tensor) -> Look:
        """Return what the autoencoder sees of frames (n, C + 1, F, F)."""
        check_shape("frames", x, ("N", self.channels + 1, x.shape[-1], x.shape[-1]))
        seen, inside = (middle_of(part, self.size) for part in split_counts(x))
        return Look(seen * inside, inside, None, x.shape[-1])

    def draw(self, seen: Tensor) -> Tensor:
        """Return the reconstructions (n, C, s, s) of what is seen (n, C, s, s): D(E(x)), Eq. 1."""
        return (self.decoder(self.encoder(4 * seen - 2)) + 2) / 4

    def back(self, values: Tensor, look: Look, *, picture: bool) -> Tensor:
        """Return planes (n, k, s, s) of what was seen as planes of the frames (n, k, F, F). Around the patch they are
        0, or of a ``picture`` its rim."""
        return widened(values, look.side, outside="replicate" if picture else "constant")

    def forward(self, x: Tensor) -> Tensor:
        look = self.look(x)
        return self.back(self.draw(look.seen), look, picture=True)


def _encoder(channels: int, latent_size: int, left: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for row in TABLE_1:
        layers += [nn.Conv2d(channels, row.channels, row.kernel, row.stride, row.padding), nn.LeakyReLU(SLOPE)]
        channels = row.channels
    return nn.Sequential(*layers, nn.Conv2d(channels, latent_size, left))  # (n, d, 1, 1)


def _decoder(channels: int, latent_size: int, left: int) -> nn.Sequential:
    """The encoder's rows from the last to the first, each undone by a deconvolution of the same geometry."""
    wanted = [channels, *(row.channels for row in TABLE_1)]
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size, wanted[-1], left)]
    for row, inputs, outputs in zip(reversed(TABLE_1), wanted[::-1], wanted[-2::-1], strict=False):
        layers += [nn.LeakyReLU(SLOPE), nn.ConvTranspose2d(inputs, outputs, row.kernel, row.stride, row.padding)]
    return nn.Sequential(*layers)  # (n, C, s, s)


# --- image against reconstruction ------------------------------------------------------------------------------------
def difference(x: Tensor, made: Tensor, inside: Tensor, measure: str) -> Tensor:
    """Return by how much ``made`` differs from ``x`` (n, C, s, s) at every pixel (n, s, s), 0 where they are the same:
    the squared difference (``mse``) or 1 less the structural similarity (``ssim``), the mean over channels. Pixels
    where ``inside`` (n, 1, s, s) is 0 do not count: there it says nothing."""
    if measure == "ssim":
        return (1 - ssim_map(x, made, inside)).clamp_min(0)
    return (x - made).square().mean(dim=1)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of ``values`` (n, s, s) by ``weights`` (n, s, s); 0 where nothing weighs anything."""
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)


def reconstruction_loss(model: Any, x: Tensor, generator: torch.Generator | None = None, *, loss: str) -> Tensor:
    """Return the mean `difference` of the patches in frames ``x`` (n, C + 1, F, F) and their reconstructions, where
    pixels count. Rádli & Czúni 2022, Eq. 2 with R = 0 and L2 (mse); Bergmann et al. 2018, Eq. 5 (ssim).

    Nothing in it is random; ``generator`` is what every loss gets."""
    look = model.look(x)
    return weighted_mean(difference(look.seen, model.draw(look.seen), look.inside, loss), look.inside[:, 0])


def ae_objective(params: AEModelParams) -> Objective:
    """Return how the autoencoder learns: by its reconstruction error alone."""
    return minimise(partial(reconstruction_loss, loss=params.loss))
