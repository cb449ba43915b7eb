"""Every method by its name: what it is called here is what it is called in conf, in the catalog and in the docs."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from flawline.checks import FlawlineError, near_name
from flawline.methods.aae import AAE, aae_objective
from flawline.methods.cae import CAE, cae_objective, squared_residual
from flawline.methods.maps import Residual
from flawline.methods.objective import Objective
from flawline.methods.vae import VAE, vae_objective
from flawline.params import AAEModelParams, CAEModelParams, Params, VAEModelParams


@dataclass(frozen=True)
class Method:
    """What makes one autoencoder method: its network's parameters, its network, how it learns and its residual."""

    name: str
    paper: str
    model_params: type[Params]
    build: Callable[..., nn.Module]  # (model params, channels=..., size=...)
    objective: Callable[..., Objective]  # (model params)
    residual: Residual


METHODS: dict[str, Method] = {
    "cae": Method("cae", "Schneider 2022", CAEModelParams, CAE, cae_objective, squared_residual),
    "vae": Method("vae", "Schneider 2022", VAEModelParams, VAE, vae_objective, squared_residual),
    "aae": Method("aae", "Schneider 2022", AAEModelParams, AAE, aae_objective, squared_residual),
}


def get_method(name: str) -> Method:
    """Return the method called ``name``; raise FlawlineError, with the near name, if there is none."""
    if name not in METHODS:
        raise FlawlineError(f"no method '{name}'{near_name(name, METHODS)}; there are: {', '.join(METHODS)}")
    return METHODS[name]
