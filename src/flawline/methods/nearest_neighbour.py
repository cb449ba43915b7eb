"""The most similar normal image: the baseline NN of Saeedi & Giusti 2022, section 4.4."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from flawline.methods.heads import IMAGE, Look, NoEmbedding, Scored, State
from flawline.methods.pixels import check_like_learned, difference_map, learned_shape
from flawline.params import PixelHeadParams


class NearestNeighbour(NoEmbedding):
    """The score is the Euclidean distance to the most similar normal image; the map is the squared difference to it.

    Normal images are kept with 8 bits a value, whatever they had."""

    by_map = False

    def __init__(self, params: PixelHeadParams, views: Sequence[str] = (IMAGE,)):
        self._smoothing = params.smoothing

    def fit(self, looks: Sequence[Look], *, seed: int) -> State:
        """Keep all images. Raise FlawlineError if there are none or several sizes."""
        bank = torch.empty((len(looks), *learned_shape(looks, "nearest_neighbour")), dtype=torch.uint8)
        for row, look in zip(bank, looks, strict=True):
            row.copy_(torch.from_numpy(np.rint(look.views[0] * 255).astype(np.uint8)))
        return {"bank": bank}  # (N, C, H, W)

    def score(self, state: State, look: Look) -> Scored:
        bank, image = state["bank"], look.views[0]
        check_like_learned(image.shape, tuple(bank.shape[1:]), "nearest_neighbour")
        nearest = bank[most_similar(torch.from_numpy(np.array(image)), bank)].numpy()
        difference = image - nearest / np.float32(255)  # (C, H, W)
        score = float(np.sqrt(np.square(difference, dtype=np.float64).sum()))
        return Scored(score, difference_map(difference, self._smoothing))


def most_similar(image: Tensor, bank: Tensor) -> int:
    """Return which of ``bank`` (N, C, H, W) uint8 has the least Euclidean distance to ``image`` (C, H, W) in [0, 1].

    One pass over the bank, an image at a time, so that the difference stays in cache. Expanding the square to have a
    matrix product is no faster and loses digits."""
    sought = image.flatten() * 255  # (V,)
    difference = torch.empty_like(sought)
    distances = [torch.sub(row, sought, out=difference).dot(difference) for row in bank.flatten(1)]
    return int(torch.stack(distances).argmin())
