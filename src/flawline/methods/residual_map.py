"""The residual image of an autoencoder as the anomaly map (Schneider 2022, Eq. 1)."""

import numpy as np
from numpy.typing import NDArray

from flawline.methods.maps import smooth
from flawline.methods.one_class import Inputs, MapScorer, State


class ResidualMap(MapScorer):
    """The map is the residual image (H, W), smoothed. Nothing is learned.

    Source: Schneider 2022, section 2; the smoothing is ours."""

    learns = False
    sees_maps = True
    one_size = False

    def anomaly_map(self, state: State, inputs: Inputs) -> NDArray[np.float16]:
        return smooth(inputs.views[0], self.params.smoothing)
