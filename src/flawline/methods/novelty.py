"""One-class models of scikit-learn on what an autoencoder makes of patches: on their latent codes (LREP), or on their
reconstruction error alone (AERE). Source: Alpdemir 2022, section 5.3.

What is kept of a model is what it learned from, not the model: that would be a pickle, and scikit-learn makes the same
model of the same numbers again within a second."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flawline.methods.one_class import Inputs, MapScorer, State
from flawline.methods.patch_scorer import positions_to_map
from flawline.vision.patches import grid_sides, patch_grid, window_means


class NoveltyScorer(MapScorer):
    """A model of the patches of normal images. It sees the photograph, of which it takes the size, and an autoencoder's
    codes (h, w, d) or its residual image (H, W), of which it takes the means of cells.

    The map is how abnormal each patch is by the model; cells are taken to cut the image into equal parts."""

    one_size = False

    @abstractmethod
    def make_model(self, seed: int) -> Any:
        """Return the model of scikit-learn, which has learned nothing."""

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Return the features (n, d) of normal patches. Raise FlawlineError if there is no image."""
        self.check(len(inputs))
        features = (self._features(each) for each in inputs)
        seen = np.concatenate([each.reshape(-1, each.shape[-1]) for each in features])  # (n, d)
        generator = np.random.default_rng(seed)
        kept = np.sort(generator.permutation(len(seen))[: self.params.patches])
        return {"features": torch.from_numpy(seen[kept]), "seed": torch.tensor(seed)}

    def anomaly_map(self, state: State, inputs: Inputs) -> NDArray[np.float16]:
        features = self._features(inputs)
        height, width, depth = features.shape
        found = -self._model_of(state).decision_function(features.reshape(-1, depth))  # above 0: an outlier
        values = torch.from_numpy(found.reshape(height, width)).float()
        return positions_to_map(values, inputs.views[0].shape[-2:], self.params.smoothing)

    def _features(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return what is learned of an image (h, w, d)."""
        seen = inputs.views[1]
        return seen if seen.ndim == 3 else cell_means(seen, self.params.cell)[..., None]

    def _model_of(self, state: State) -> Any:
        """Return the model that has learned ``state``, made once."""
        known, model = getattr(self, "_made", (None, None))
        if known is not state:
            model = self.make_model(int(state["seed"])).fit(state["features"].numpy())
            self._made = (state, model)
        return model


def cell_means(plane: NDArray, cell: int) -> NDArray[np.float32]:
    """Return the means (h, w) of a plane (H, W) over cells of ``cell`` pixels, the last ones flush with the border; a
    plane smaller than a cell is one."""
    size = min(cell, *plane.shape)
    geometry = {"size": size, "stride": size}
    means = window_means(plane, patch_grid(*plane.shape, **geometry), size)
    return means.reshape(grid_sides(*plane.shape, **geometry)).astype(np.float32)
