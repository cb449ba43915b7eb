"""How far a pixel is from its mean, in its own deviations: the baseline of Saeedi & Giusti 2022, section 4.4, after
Steger et al. 2018."""

from collections.abc import Sequence

import numpy as np
import torch

from flawline.methods.maps import smooth
from flawline.methods.one_class import Inputs, OneClassScorer, Scored, State
from flawline.methods.pixel_scorers import check_like_learned, learned_shape

# A pixel that never varied is held to one grey level of 8 bits: less cannot be told from rounding.
DEVIATION_FLOOR = 1 / 255


class VariationModel(OneClassScorer):
    """The map is the squared distance of every pixel to its mean, in its standard deviations; the score its mean.

    The paper takes the sum, which is the same order of images as long as all have one size."""

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn every pixel's mean and deviation. Raise FlawlineError if there are no images or several sizes."""
        total = np.zeros(learned_shape(inputs, "variation_model"), np.float64)
        squares = np.zeros_like(total)
        for each in inputs:
            total += each.views[0]
            squares += np.square(each.views[0], dtype=np.float64)
        mean = total / len(inputs)
        variance = squares / len(inputs) - np.square(mean)
        deviation = np.sqrt(variance.clip(DEVIATION_FLOOR**2))
        return {"mean": torch.from_numpy(mean).float(), "deviation": torch.from_numpy(deviation).float()}  # (C, H, W)

    def score(self, state: State, inputs: Inputs) -> Scored:
        mean, deviation = state["mean"].numpy(), state["deviation"].numpy()
        check_like_learned(inputs.views[0].shape, mean.shape, "variation_model")
        squares = np.square((inputs.views[0] - mean) / deviation).mean(axis=0)  # (H, W)
        return Scored(float(squares.mean(dtype=np.float64)), smooth(squares, self.params.smoothing))
