"""Deep SVDD (Ruff et al. 2018), which Alpdemir 2022 compares with: an encoder that maps normal patches near a centre.

The network is that of the autoencoder, whose encoder is pretrained to reconstruct. Neither has biases, so that the
encoder cannot map every patch to the centre. Source: Ruff et al. 2018, Eq. 3 (soft boundary) and 4 (hard)."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.methods.cae import reconstruction_loss
from flawline.methods.lenet import LeNet, patch_codes
from flawline.methods.maps import LARGEST, device_of
from flawline.methods.reconstruction import Reconstruction, loader
from flawline.params import DeepSVDDModelParams, PatchParams
from flawline.training.loop import batches_of
from flawline.training.objective import Material, Objective, Phase, Stage, Tensors
from flawline.vision.patches import OverlapAverage, patch_grid

NEAR_ZERO = 0.1  # a coordinate of the centre is at least this far from 0: the authors' code
WARM_UP = 10  # epochs before the radius of a soft boundary is first set: the authors' code
BATCH = 128  # patches encoded together where the centre or the radius is measured


class DeepSVDD(LeNet):
    """`LeNet`, with the ``centre`` c (d,) of the codes of normal patches and the ``radius`` R of the soft boundary, 0
    with a hard one."""

    centre: Tensor
    radius: Tensor
    epochs_done: Tensor

    def __init__(self, params: DeepSVDDModelParams, *, channels: int, size: int):
        super().__init__(params, channels=channels, size=size)
        self.register_buffer("centre", torch.zeros(params.latent_size))
        self.register_buffer("radius", torch.zeros(()))
        self.register_buffer("epochs_done", torch.zeros((), dtype=torch.int64))

    def distance(self, x: Tensor) -> Tensor:
        """Return the squared distance (N,) of the codes of patches (N, C, s, s) to the centre."""
        return (self.encode(x) - self.centre).square().sum(dim=1)


def hard_boundary_loss(model: nn.Module, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the mean squared distance to the centre of patches (N, C, s, s). Ruff et al. 2018, Eq. 4."""
    return model.distance(x).mean()  # type: ignore[operator]


def soft_boundary_loss(model: nn.Module, x: Tensor, generator: torch.Generator | None = None, *, nu: float) -> Tensor:
    """Return R^2 and 1 / nu times the mean of what lies outside it. Ruff et al. 2018, Eq. 3."""
    squared = model.radius.square()  # type: ignore[operator]
    return squared + (model.distance(x) - squared).clamp_min(0).mean() / nu  # type: ignore[operator]


def deep_svdd_objective(params: DeepSVDDModelParams) -> Objective:
    """Return how the encoder learns: first to reconstruct, then to map normal patches close to the centre of what it
    maps them to."""
    pretrain = Stage(
        (Phase("train", reconstruction_loss),), reconstruction_loss, name="pretrain", epochs=params.pretrain_epochs
    )
    soft = params.boundary == "soft"
    loss = partial(soft_boundary_loss, nu=params.nu) if soft else hard_boundary_loss
    learn = Stage(
        (Phase("train", loss, parts=("encoder",)),),
        loss,
        start=set_centre,
        after_epoch=partial(set_radius, nu=params.nu) if soft else None,
        series=("radius",) if soft else (),
    )
    return Objective((pretrain, learn), reconstructs=False)


@torch.no_grad()
def set_centre(model: nn.Module, material: Material, own: Tensors) -> Tensors:
    """Set the model's centre to the mean code of training patches, every coordinate off zero by 0.1 at least: weights
    of 0 would meet a centre of 0."""
    centre = torch.cat([model.encode(batch) for batch in _patches(model, material)]).mean(dim=0)  # type: ignore[operator]
    off = torch.where(centre < 0, -NEAR_ZERO, NEAR_ZERO)
    model.centre.copy_(torch.where(centre.abs() < NEAR_ZERO, off, centre))  # type: ignore[operator]
    return {}


@torch.no_grad()
def set_radius(model: nn.Module, material: Material, own: Tensors, *, nu: float) -> tuple[Tensors, dict[str, float]]:
    """Set the model's radius to the 1 - ``nu`` quantile of the distances of training patches, once it has learned for
    some epochs. Ruff et al. 2018, section 3.3."""
    model.epochs_done.add_(1)  # type: ignore[operator]
    if int(model.epochs_done) > WARM_UP:  # type: ignore[arg-type]
        distances = torch.cat([model.distance(batch) for batch in _patches(model, material)])  # type: ignore[operator]
        model.radius.copy_(distances.sqrt().quantile(1 - nu))  # type: ignore[operator]
    return {}, {"radius": float(model.radius)}  # type: ignore[arg-type]


def _patches(model: nn.Module, material: Material) -> Iterator[Tensor]:
    """Yield the patches of the first epoch where the model is, a batch at a time, with the model ready to measure."""
    model.eval()
    train = material.train
    for batch in batches_of(train, train.epoch(0), BATCH, {}, device_of(model)):
        yield batch.x


class DeepSVDDReconstructor:
    """Maps images by a trained encoder; nothing is reconstructed. The map (H, W) is the squared distance to the centre
    of the patches of the grid, less R^2 where the boundary is soft, averaged where they overlap."""

    def __init__(self, network: DeepSVDD, patches: PatchParams):
        self.network, self.patches = network.eval(), patches

    def reconstruct(self, image: NDArray) -> Reconstruction:
        """Return the map of ``image`` (C, H, W), without a picture."""
        geometry = {"size": self.patches.size, "stride": self.patches.stride}
        grid = patch_grid(*image.shape[1:], **geometry)
        distances = patch_codes(self.network, self._outside, image, self.patches).ravel()  # (n,)
        whole = OverlapAverage(*image.shape[1:], **geometry)
        whole.add(np.broadcast_to(distances[:, None, None], (len(grid), self.patches.size, self.patches.size)), grid)
        return Reconstruction(None, whole.result().clip(-LARGEST, LARGEST).astype(np.float16))

    def _outside(self, x: Tensor) -> Tensor:
        return self.network.distance(x) - self.network.radius.square()


load_deep_svdd = loader(DeepSVDDReconstructor)
