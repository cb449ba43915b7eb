"""The most similar normal image: the baseline NN of Saeedi & Giusti 2022, section 4.4."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from flawline.methods.one_class import Inputs, OneClassScorer, Scored, State
from flawline.methods.pixel_scorers import check_like_learned, learned_shape, residual_map


class NearestNeighbour(OneClassScorer):
    """The score is the Euclidean distance to the most similar normal image; the map is the squared difference to it.

    Normal images are kept with 8 bits a value, whatever they had."""

    def is_monotone(self, count: int) -> bool:
        return True

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Keep all images. Raise FlawlineError if there are none or several sizes."""
        bank = torch.empty((len(inputs), *learned_shape(inputs, "nearest_neighbour")), dtype=torch.uint8)
        for row, each in zip(bank, inputs, strict=True):
            row.copy_(torch.from_numpy(np.rint(each.views[0] * 255).astype(np.uint8)))
        return {"bank": bank}  # (N, C, H, W)

    def score(self, state: State, inputs: Inputs) -> Scored:
        bank, image = state["bank"].to(self.device), inputs.views[0]
        check_like_learned(image.shape, tuple(bank.shape[1:]), "nearest_neighbour")
        seen = torch.from_numpy(np.array(image)).to(self.device)
        nearest = bank[most_similar(seen, bank)].cpu().numpy()
        difference = image - nearest / np.float32(255)  # (C, H, W)
        score = float(np.sqrt(np.square(difference, dtype=np.float64).sum()))
        return Scored(score, residual_map(difference, self.params.smoothing))


def most_similar(image: Tensor, bank: Tensor) -> int:
    """Return which of ``bank`` (N, C, H, W) uint8 has the least Euclidean distance to ``image`` (C, H, W) in [0, 1].

    One pass over the bank, an image at a time, so that the difference stays in cache. Expanding the square to have a
    matrix product is no faster and loses digits."""
    sought = image.flatten() * 255  # (V,)
    difference = torch.empty_like(sought)
    distances = [torch.sub(row, sought, out=difference).dot(difference) for row in bank.flatten(1)]
    return int(torch.stack(distances).argmin())
