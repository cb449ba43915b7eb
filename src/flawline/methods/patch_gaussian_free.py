"""One Gaussian of the features of all places: the small sibling of the patch memory that knows no positions."""

import torch
from torch import Tensor

from flawline.methods.free_patches import HeldOutScorer
from flawline.methods.one_class import State
from flawline.methods.patch_memory_free import whitening_of


class PatchGaussianFree(HeldOutScorer):
    """The distance of a place is Mahalanobis', from the mean of normal features of any place, with their covariance
    full and shrunk (Ledoit & Wolf 2004)."""

    name = "patch_gaussian_free"

    def learn(self, points: Tensor) -> State:
        """Return the mean (D,) and what whitens features (D, D)."""
        return {"mean": points.mean(dim=0), "whitening": whitening_of(points)}

    def distances(self, state: State, features: Tensor) -> Tensor:
        mean, whitening = state["mean"].to(self.device), state["whitening"].to(self.device)
        return torch.linalg.vector_norm((features - mean) @ whitening.mT, dim=1)
