"""How far a pixel is from its mean, in its own deviations: the baseline of Saeedi & Giusti 2022, section 4.4, after
Steger et al. 2018."""

from collections.abc import Sequence

import numpy as np
import torch

from flawline.methods.heads import IMAGE, Look, NoEmbedding, Scored, State
from flawline.methods.maps import smooth
from flawline.methods.pixels import check_like_learned, learned_shape
from flawline.params import PixelHeadParams

# A pixel that never varied is held to one grey level of 8 bits: less cannot be told from rounding.
DEVIATION_FLOOR = 1 / 255


class VariationModel(NoEmbedding):
    """The map is the squared distance of every pixel to its mean, in its standard deviations; the score its mean.

    The paper takes the sum, which is the same order of images as long as all have one size."""

    by_map = False

    def __init__(self, params: PixelHeadParams, views: Sequence[str] = (IMAGE,)):
        self._smoothing = params.smoothing

    def fit(self, looks: Sequence[Look], *, seed: int) -> State:
        """Learn every pixel's mean and deviation. Raise FlawlineError if there are no images or several sizes."""
        total = np.zeros(learned_shape(looks, "variation_model"), np.float64)
        squares = np.zeros_like(total)
        for look in looks:
            total += look.views[0]
            squares += np.square(look.views[0], dtype=np.float64)
        mean = total / len(looks)
        variance = squares / len(looks) - np.square(mean)
        deviation = np.sqrt(variance.clip(DEVIATION_FLOOR**2))
        return {"mean": torch.from_numpy(mean).float(), "deviation": torch.from_numpy(deviation).float()}  # (C, H, W)

    def score(self, state: State, look: Look) -> Scored:
        mean, deviation = state["mean"].numpy(), state["deviation"].numpy()
        check_like_learned(look.views[0].shape, mean.shape, "variation_model")
        squares = np.square((look.views[0] - mean) / deviation).mean(axis=0)  # (H, W)
        return Scored(float(squares.mean(dtype=np.float64)), smooth(squares, self._smoothing))
