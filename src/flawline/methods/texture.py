"""Three maps of a texture in one: what a pretrained network finds unusual, what principal components of the pixels
cannot reconstruct, and spots and bars. Each sees defects that the others miss (docs/papers/alpdemir2022.md)."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from torch import Tensor

from flawline.methods.filter_bank import Normal, bank_map, learn_normal, make_bank
from flawline.methods.maps import smooth
from flawline.methods.one_class import Inputs, State, embedding_of
from flawline.methods.patch_memory_free import FreeMemory
from flawline.methods.patch_scorer import held_out, positions_to_map
from flawline.metrics.reductions import Reduction
from flawline.params import ImageScoreParams

LEARNED_FROM = 512  # images whose filter responses are learned; more only cost time
HIGHEST = Reduction(ImageScoreParams(reduction="top_share", share=0.01))  # what a map is standardised by


class Texture(FreeMemory):
    """The map is the mean of three, each less its usual peak on normal images, in the deviations of that: the distance
    of features from a memory that knows no positions; the squared error of principal components, averaged over a small
    window; the largest deviation of a bank of filters.

    It sees the photograph and the residual image (H, W) of principal components. Peaks are those of training images
    that were held out from the memory. Ours; what each map adds was measured on fabrics."""

    name = "texture"

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn from normal images. Raise FlawlineError if there are too few."""
        self.check(len(inputs))
        step = -(-len(inputs) // LEARNED_FROM)
        normal = learn_normal([grey(each) for each in inputs[::step]], self._bank, self.params.bank)
        bank = {f"bank_{name}": value for name, value in normal._asdict().items()}
        peaks = [
            [HIGHEST(part) for part in self._maps(bank | memory, each)]
            for memory, each in held_out(inputs, self._memory, self.ready, seed=seed)
        ]
        return bank | self._memory(inputs, seed=seed) | standardising(torch.tensor(peaks))

    def _memory(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        return self._model_of([embedding_of(each) for each in inputs], seed=seed)

    def anomaly_map(self, state: State, inputs: Inputs) -> NDArray[np.float16]:
        maps = torch.from_numpy(np.stack(self._maps(state, inputs)))  # (3, H, W)
        mean, deviation = (state[name].cpu()[:, None, None] for name in ("peak_mean", "peak_deviation"))
        return smooth(((maps - mean) / deviation).mean(dim=0).numpy(), self.params.smoothing)

    @cached_property
    def _bank(self) -> Tensor:
        return make_bank(self.params.bank)

    def _maps(self, state: State, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Return the three maps (H, W) of an image."""
        size = inputs.views[0].shape[-2:]
        distances = self._at_places(state, embedding_of(inputs))  # (h, w)
        normal = Normal(*(state[f"bank_{name}"].cpu() for name in Normal._fields))
        return [
            positions_to_map(distances, size, 0.0).astype(np.float32),
            uniform_filter(inputs.views[1], self.params.window, mode="reflect"),
            bank_map(grey(inputs), self._bank, normal, self.params.bank).numpy(),
        ]


def grey(inputs: Inputs) -> Tensor:
    """Return the photograph (H, W), the mean of its channels."""
    return torch.from_numpy(inputs.views[0].mean(axis=0))


def standardising(peaks: Tensor) -> State:
    """Return mean and deviation of each map's peaks (n, 3) on normal images; a deviation of 0 counts as 1."""
    deviation = peaks.std(dim=0, correction=0)
    return {"peak_mean": peaks.mean(dim=0), "peak_deviation": torch.where(deviation > 0, deviation, 1.0)}
