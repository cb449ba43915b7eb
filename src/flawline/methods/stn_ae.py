"""The autoencoder behind a spatial transformer of Rádli & Czúni 2022: a localiser turns every patch to one orientation
before the autoencoder, and what that makes of it is turned back.

The paper's three variants are one parameter: the localiser is trained beforehand and frozen (`stn_ae`), starts with
random weights and learns with the autoencoder (`stn_ae_random`), or is trained beforehand and goes on learning
(`stn_ae_refined`). A fourth, ours, has no localiser: ``closed_form`` turns by the structure tensor's angle."""

from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from flawline.methods.ae import AE, Look, difference, weighted_mean
from flawline.methods.frames import COUNTS, middle_of, split_counts, widened
from flawline.methods.stn import levelling_angles, localiser_stages
from flawline.params import STNAEModelParams
from flawline.training.objective import Objective, Phase, Stage
from flawline.vision.localiser import Localiser
from flawline.vision.turning import inverse_of, sampler, theta_of

AUTOENCODER = ("encoder", "decoder")  # the parts that learn where the localiser is frozen
LEARNING = ("random", "refined")  # variants whose localiser learns with the autoencoder


class STNAE(AE):
    """Fig. 2: the frame is turned by theta, the autoencoder reconstructs the patch in its middle, theta's inverse turns
    that back. Frames (n, C + 1, F, F) to reconstructions (n, C, F, F). Source: Rádli & Czúni 2022, sections 5 and 6."""

    def __init__(self, params: STNAEModelParams, *, channels: int, size: int):
        super().__init__(params, channels=channels, size=size)
        self.sampler, self.blur = params.sampler, params.blur
        self.localiser = (
            None if params.variant == "closed_form" else Localiser(params.head, channels=channels, size=size)
        )

    def extra_repr(self) -> str:
        """Return what shapes the network beside its layers: a training's key is made of it."""
        return f"sampler={self.sampler}, blur={self.blur:g}"

    def degrees(self, x: Tensor) -> Tensor:
        """Return by how many degrees (n,), counter-clockwise, frames (n, C + 1, F, F) are turned."""
        if self.localiser is None:
            return levelling_angles(x, self.blur)[0]
        channels, counts = split_counts(x)
        return self.localiser(middle_of(channels * counts, self.size))

    def look(self, x: Tensor) -> Look:
        """Return what the autoencoder sees of frames (n, C + 1, F, F): the middle, once turned."""
        degrees = self.degrees(x)
        theta, (channels, counts) = theta_of(degrees), split_counts(x)
        turned = middle_of(sampler(self.sampler)(channels, theta), self.size)
        inside = middle_of(sampler("bilinear")(counts, theta.detach()), self.size)
        inside = (inside > COUNTS).to(x)
        return Look(turned * inside, inside, degrees, x.shape[-1])

    def back(self, values: Tensor, look: Look, *, picture: bool) -> Tensor:
        """Return planes (n, k, s, s) of what was seen, turned back, as planes of the frames (n, k, F, F)."""
        how = self.sampler if picture else "bilinear"
        wide = widened(values, look.side, outside="replicate" if picture else "constant")
        return sampler(how)(wide, inverse_of(theta_of(look.degrees)))  # type: ignore[arg-type]  # `look` gave angles


def turned_loss(
    model: Any, x: Tensor, generator: torch.Generator | None = None, *, loss: str, compare: str, frozen: bool
) -> Tensor:
    """Return the mean `difference` of the patches in frames ``x`` (n, C + 1, F, F) and their reconstructions, where
    pixels count: in the orientation that the autoencoder sees (``turned``), or as they were (``original``), the
    paper's, which has in it what turning back costs. Rádli & Czúni 2022, Eq. 2, Fig. 2."""
    with torch.no_grad() if frozen else nullcontext():
        look = model.look(x)
    made = model.draw(look.seen)
    if compare == "turned":
        return weighted_mean(difference(look.seen, made, look.inside, loss), look.inside[:, 0])
    channels, counts = split_counts(x)
    with torch.no_grad():
        seen = (counts * model.back(look.inside, look, picture=False) > COUNTS).to(x)
    return weighted_mean(difference(channels, model.back(made, look, picture=True), seen, loss), seen[:, 0])


def stn_ae_objective(params: STNAEModelParams) -> Objective:
    """Return how localiser and autoencoder learn: section 5's strategy that ``params.variant`` names."""
    learning = params.variant in LEARNING
    loss = partial(turned_loss, loss=params.loss, compare=params.compare, frozen=not learning)
    parts = () if learning else AUTOENCODER
    together = Stage((Phase("train", loss, parts=parts),), loss)
    before = localiser_stages(params) if params.variant in ("frozen", "refined") else ()
    return Objective((*before, together))
