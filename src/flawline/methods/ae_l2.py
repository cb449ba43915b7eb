"""The sum of what an autoencoder redraws wrongly: the baseline AE-L2 of Saeedi & Giusti 2022, section 4.4."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from flawline.methods.heads import Look, NoEmbedding, Scored, State
from flawline.methods.pixels import difference_map
from flawline.params import PixelHeadParams


class AEL2(NoEmbedding):
    """The score is the mean squared difference of an image and its reconstruction; the map is it, smoothed."""

    by_map = False

    def __init__(self, params: PixelHeadParams, views: Sequence[str]):
        self._smoothing = params.smoothing

    def fit(self, looks: Sequence[Look], *, seed: int) -> State:
        """Return nothing: there is nothing to learn."""
        learned: dict[str, Tensor] = {}
        return learned

    def score(self, state: State, look: Look) -> Scored:
        difference = look.views[0]
        score = float(np.square(difference, dtype=np.float64).mean())
        return Scored(score, difference_map(difference, self._smoothing))
