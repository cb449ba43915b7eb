"""The autoencoder that learns by structural similarity (Bergmann et al. 2018), which Rádli & Czúni 2022 start from: the
network of `ae`, another loss."""

from flawline.methods.ae import ae_objective
from flawline.params import AEModelParams
from flawline.training.objective import Objective


def ssim_ae_objective(params: AEModelParams) -> Objective:
    """Return how the autoencoder learns: by 1 less the mean structural similarity. Bergmann et al. 2018, Eq. 5."""
    return ae_objective(params)
