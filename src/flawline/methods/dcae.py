"""The deep convolutional autoencoder that Alpdemir 2022 compares with (section 5.3): the same network, and nothing but
the reconstruction error to learn by."""

from flawline.methods.cae import reconstruction_loss
from flawline.params import LeNetModelParams
from flawline.training.objective import Objective, minimise


def dcae_objective(params: LeNetModelParams) -> Objective:
    """Return how the autoencoder learns: by its mean squared error. Alpdemir 2022, Eq. 3."""
    return minimise(reconstruction_loss)
