"""How far an image's mean brightness is from the usual: what any method has to beat before its figures mean much."""

from collections.abc import Sequence

import numpy as np
import torch

from flawline.methods.one_class import NO_MAP, Inputs, OneClassScorer, Scored, State


class MeanBrightness(OneClassScorer):
    """The score is the absolute difference of the image's mean and the median of the training images' means, in [0, 1].

    It says nothing of where, so there is no map."""

    one_size = False

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn the usual brightness. Raise FlawlineError if there is no image."""
        self.check(len(inputs))
        means = [float(each.views[0].mean(dtype=np.float64)) for each in inputs]
        return {"brightness": torch.tensor(float(np.median(means)), dtype=torch.float64)}

    def score(self, state: State, inputs: Inputs) -> Scored:
        mean = float(inputs.views[0].mean(dtype=np.float64))
        return Scored(abs(mean - float(state["brightness"])), NO_MAP)
