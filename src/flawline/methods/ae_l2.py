"""The sum of what an autoencoder reconstructs wrongly: the baseline AE-L2 of Saeedi & Giusti 2022, section 4.4."""

import numpy as np

from flawline.methods.one_class import Inputs, OneClassScorer, Scored, State
from flawline.methods.pixel_scorers import residual_map


class AEL2(OneClassScorer):
    """The score is the mean squared difference of an image and its reconstruction; the map is it, smoothed."""

    learns = False
    one_size = False

    def score(self, state: State, inputs: Inputs) -> Scored:
        residual = inputs.views[0]
        score = float(np.square(residual, dtype=np.float64).mean())
        return Scored(score, residual_map(residual, self.params.smoothing))
