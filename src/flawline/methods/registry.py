"""Every method by its name: what it is called here is what it is called in conf, in the catalog and in the docs."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from flawline.checks import FlawlineError, near_name
from flawline.methods.aae import AAE, aae_objective
from flawline.methods.ae_l2 import AEL2
from flawline.methods.cae import CAE, cae_objective, squared_residual
from flawline.methods.heads import IMAGE, Head
from flawline.methods.maps import Residual
from flawline.methods.nearest_neighbour import NearestNeighbour
from flawline.methods.patch_gaussian import PatchGaussian
from flawline.methods.patch_memory import PatchMemory
from flawline.methods.pooled_knn import PooledKNN
from flawline.methods.vae import VAE, vae_objective
from flawline.methods.variation_model import VariationModel
from flawline.params import (
    AAEModelParams,
    CAEModelParams,
    Params,
    PatchGaussianParams,
    PatchMemoryParams,
    PixelHeadParams,
    PooledKNNParams,
    VAEModelParams,
)
from flawline.training.objective import Objective

SCHNEIDER, SAEEDI, OURS = "Schneider 2022", "Saeedi & Giusti 2022", "flawline"


@dataclass(frozen=True)
class Autoencoder:
    """What makes an autoencoder whose map is its residual: parameters, network, how it learns, residual."""

    name: str
    paper: str
    model_params: type[Params]
    build: Callable[..., nn.Module]  # (model params, channels=..., size=...)
    objective: Callable[..., Objective]  # (model params)
    residual: Residual
    by_map = True  # the image's score is the map's largest value


@dataclass(frozen=True)
class OneClass:
    """What makes a one-class method: what its head looks at, the image or how it differs from its reconstruction, and
    the head."""

    name: str
    paper: str
    head_params: type[Params]
    head: Callable[..., Head]  # (head params, views)
    views: tuple[str, ...] = (IMAGE,)  # "image", or the redrawer whose differences are looked at

    @property
    def redrawer(self) -> str | None:
        """The method whose reconstructions the head looks at, or None."""
        return next((view for view in self.views if view != IMAGE), None)

    @property
    def by_map(self) -> bool:
        return self.head.by_map  # type: ignore[attr-defined]  # a head's class

    @property
    def embeds(self) -> bool:
        return self.head.embeds  # type: ignore[attr-defined]


Method = Autoencoder | OneClass
REDRAWERS = ("cpcae", "mean_image")  # methods that also redraw images, for themselves and for others

_AUTOENCODERS = (
    Autoencoder("cae", SCHNEIDER, CAEModelParams, CAE, cae_objective, squared_residual),
    Autoencoder("vae", SCHNEIDER, VAEModelParams, VAE, vae_objective, squared_residual),
    Autoencoder("aae", SCHNEIDER, AAEModelParams, AAE, aae_objective, squared_residual),
)
_ONE_CLASS = (
    OneClass("cpcae", SAEEDI, PooledKNNParams, PooledKNN, ("cpcae",)),
    OneClass("ae_l2", SAEEDI, PixelHeadParams, AEL2, ("cpcae",)),
    OneClass("deep_feature_knn", SAEEDI, PooledKNNParams, PooledKNN),
    OneClass("nearest_neighbour", SAEEDI, PixelHeadParams, NearestNeighbour),
    OneClass("variation_model", SAEEDI, PixelHeadParams, VariationModel),
    OneClass("cpcae_fused", OURS, PooledKNNParams, PooledKNN, (IMAGE, "cpcae")),
    OneClass("mean_image", OURS, PooledKNNParams, PooledKNN, ("mean_image",)),
    OneClass("patch_memory", OURS, PatchMemoryParams, PatchMemory),
    OneClass("patch_memory_map", OURS, PatchMemoryParams, PatchMemory, ("cpcae",)),
    OneClass("patch_memory_fused", OURS, PatchMemoryParams, PatchMemory, (IMAGE, "cpcae")),
    OneClass("patch_gaussian", OURS, PatchGaussianParams, PatchGaussian),
    OneClass("patch_gaussian_map", OURS, PatchGaussianParams, PatchGaussian, ("cpcae",)),
    OneClass("patch_gaussian_fused", OURS, PatchGaussianParams, PatchGaussian, (IMAGE, "cpcae")),
)
AUTOENCODERS: dict[str, Autoencoder] = {method.name: method for method in _AUTOENCODERS}
ONE_CLASS: dict[str, OneClass] = {method.name: method for method in _ONE_CLASS}
METHODS: dict[str, Method] = {**AUTOENCODERS, **ONE_CLASS}


def get_method(name: str) -> Method:
    """Return the method called ``name``; raise FlawlineError, with the near name, if there is none."""
    if name not in METHODS:
        raise FlawlineError(f"no method '{name}'{near_name(name, METHODS)}; there are: {', '.join(METHODS)}")
    return METHODS[name]
