"""What patch scorers share: the features of every position, their distances as a map, several views as one, and models
of all images but some.

A grid position is a cell (row, column) of the coarsest layer taken. Embeddings are (V, h, w, D): views, positions,
features."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, pad

from flawline.checks import FlawlineError
from flawline.methods.maps import as_half
from flawline.methods.one_class import Inputs, MapScorer, State, check_learns, embedding_of, embeddings_of
from flawline.methods.pretrained import PretrainedScorer
from flawline.storage.ragged import Lazy

FOLDS = 4  # of the learned images, where held-out distances are needed
BLOCK = 2**22  # values of learned images worked on at a time, 16 MiB

Embeddings = Sequence[NDArray[np.float16]]  # (V, h, w, D) each
Image = TypeVar("Image")  # what is known of an image


class PatchScorer(PretrainedScorer, MapScorer):
    """A model of what is normal at every position. The map is each position's distance.

    Several views count alike: each one's distances are divided by their standard deviation on normal images that the
    model did not learn from, then averaged; their means would only move the whole map. Of one view they stay as they
    are."""

    name: str
    least: int  # images that ``learn`` needs

    @abstractmethod
    def learn(self, embeddings: Embeddings, *, seed: int) -> State:
        """Return the model of normal images, of each view by itself."""

    @abstractmethod
    def distances(self, state: State, embedding: NDArray[np.float16]) -> Tensor:
        """Return the anomaly distances (V, h, w) of an image's features (V, h, w, D), a view and position each."""

    @torch.no_grad()
    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.float16]:
        """Return the features of every position (n, V, h, w, D)."""
        positions = torch.stack([patch_features(self._extractor(view)) for view in views], dim=1)
        return as_half(positions)

    @property
    def _fused(self) -> bool:
        return len(self.views) > 1

    def check_count(self, count: int) -> None:
        """Raise FlawlineError if ``count`` normal images are too few. Several views need one image more, since their
        spread is measured on held-out ones."""
        check_learns(count, self.least + self._fused, self.name)

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn from normal images. Raise FlawlineError if there are too few or they have several sizes."""
        self.check(len(inputs))
        embeddings, shapes = embeddings_of(inputs)
        self.check_sizes(shapes, self.name)
        learned = self.learn(embeddings, seed=seed)
        return {**learned, "spread": self._held_out_spread(embeddings, seed=seed) if self._fused else torch.ones(1)}

    def anomaly_map(self, state: State, inputs: Inputs) -> NDArray[np.float16]:
        distances = self.distances(state, embedding_of(inputs)).cpu()  # (V, h, w)
        fused = fuse(distances, state["spread"].cpu())  # (h, w)
        return positions_to_map(fused, inputs.views[0].shape[-2:], self.params.smoothing)

    def _held_out_spread(self, embeddings: Embeddings, *, seed: int) -> Tensor:
        """Return the deviation (V,) of the distances of normal images to models of the others."""
        folds = held_out(embeddings, self.learn, self.ready, seed=seed)
        found = [self.distances(model, each).cpu() for model, each in folds]
        return view_spread(torch.stack(found, dim=1))


def patch_features(layers: Sequence[Tensor]) -> Tensor:
    """Return the features (n, h, w, D) of every position: ``layers`` (n, D_l, h_l, w_l), finer ones averaged to the
    coarsest one's grid, one after the other."""
    height, width = min((layer.shape[-2:] for layer in layers), key=lambda size: size[0] * size[1])
    brought = [
        layer.float() if layer.shape[-2:] == (height, width) else adaptive_avg_pool2d(layer.float(), (height, width))
        for layer in layers
    ]
    return torch.cat(brought, dim=1).permute(0, 2, 3, 1)


def position_blocks(embeddings: Embeddings, view: int) -> Iterator[Tensor]:
    """Yield one view of all images by position (positions, N, D) float32, some positions at a time, row by row of the
    grid."""
    flat = [one[view].reshape(-1, one.shape[-1]) for one in embeddings]  # (P, D) each, nothing copied
    positions, depth = flat[0].shape
    step = max(1, BLOCK // (len(flat) * depth))
    for start in range(0, positions, step):
        yield torch.from_numpy(np.stack([one[start : start + step] for one in flat], axis=1)).float()


def neighbours(grid: Tensor, search_radius: int) -> Tensor:
    """Return the values of every position's neighbours (P, K, D), row by row, of a ``grid`` (h, w, D); beyond it
    zeros."""
    side = 2 * search_radius + 1
    padded = pad(grid, (0, 0, search_radius, search_radius, search_radius, search_radius))
    windows = padded.unfold(0, side, 1).unfold(1, side, 1)  # (h, w, D, side, side)
    return windows.permute(0, 1, 3, 4, 2).reshape(-1, side * side, grid.shape[2])


def least_over_neighbourhood(least: Tensor, size: tuple[int, ...], search_radius: int) -> Tensor:
    """Return for every position of a grid (h, w) the smallest of the values (P, K) that its neighbours hold for it; K
    is ordered as in `neighbours`, whose inverse this is."""
    height, width = size
    best = torch.full((height + 2 * search_radius, width + 2 * search_radius), torch.inf, device=least.device)
    for k, values in enumerate(least.unflatten(0, (height, width)).unbind(dim=2)):
        row, column = divmod(k, 2 * search_radius + 1)
        window = best[row : row + height, column : column + width]
        torch.minimum(window, values, out=window)
    return best[search_radius : search_radius + height, search_radius : search_radius + width]


def check_grid(embedding: NDArray, learned: tuple[int, ...], method: str) -> None:
    """Raise FlawlineError unless an image has the positions (h, w) that were learned."""
    there = tuple(embedding.shape[1:3])
    if there != tuple(learned):
        raise FlawlineError(
            f"{method} learned images of {learned[0]} x {learned[1]} grid positions, this one has {there[0]} x "
            f"{there[1]}: its "
            f"size is another. Photograph it as they were."
        )


def folds(count: int, parts: int, *, seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield (others, held out) of at most ``parts`` folds of ``count`` images; each image is held out once."""
    order = np.random.default_rng(seed).permutation(count)
    for held_out in np.array_split(order, min(parts, count)):
        yield sorted(set(range(count)) - set(held_out.tolist())), sorted(held_out.tolist())


def held_out(
    images: Sequence[Image], learn: Callable[..., State], ready: Callable[[State], State], *, seed: int
) -> Iterator[tuple[State, Image]]:
    """Yield (model, image) for each of ``images``: a model that ``learn`` made of others, fold by fold, and ``ready``
    made ready to score. ``learn(others, seed=seed)`` reads each of the others when it asks for it."""
    for learned, rest in folds(len(images), FOLDS, seed=seed):
        model = ready(learn(Lazy.of(images, learned), seed=seed))
        for i in rest:
            yield model, images[i]


def view_spread(distances: Tensor) -> Tensor:
    """Return the standard deviation (V,) of each view's distances (V, ...), 1 where all are the same."""
    spread = torch.std(distances.flatten(1).double(), dim=1, correction=0)
    return torch.where(spread > 0, spread, 1.0).float()


def fuse(distances: Tensor, spread: Tensor) -> Tensor:
    """Return the mean (h, w) over the views of ``distances`` (V, h, w), each in its own deviations ``spread`` (V,)."""
    return (distances / spread[:, None, None]).mean(dim=0)


def positions_to_map(values: Tensor, size: tuple[int, ...], smoothing: float) -> NDArray[np.float16]:
    """Return the map (H, W) of positions (h, w) that cut the image into equal cells: bilinear (align_corners=False),
    then smoothed as `smooth` does. Both are linear and go row by row and column by column, so two small matrix products
    do it, in a fifteenth of the time."""
    rows, columns = (_to_pixels(*each, smoothing) for each in zip(values.shape, size, strict=True))
    return as_half(rows @ values.float() @ columns.T)


@lru_cache(maxsize=8)
def _to_pixels(cells: int, pixels: int, smoothing: float) -> Tensor:
    """Return the matrix (pixels, cells) that brings values of cells to pixels along one side."""
    enlarged = interpolate(torch.eye(cells)[None, None], size=(pixels, cells), mode="bilinear", align_corners=False)
    along = enlarged[0, 0].double().numpy()
    smoothed = gaussian_filter1d(along, smoothing, axis=0, mode="reflect") if smoothing else along
    return torch.from_numpy(smoothed).float()
