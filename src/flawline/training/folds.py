"""Several trainings that each leave some training images out, so that every image has a network that did not see it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.storage.tensors import packed, part
from flawline.training.loop import Fitted, Tools
from flawline.training.progress import Progress

FOLD_STREAM = 3  # keeps the random numbers of different uses apart


def fold_of(count: int, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold (count,) of each of ``count`` training images, drawn at random; sizes differ by one at most.

    Raise FlawlineError if there are fewer than two folds, or fewer images than folds."""
    if not 2 <= folds <= count:
        raise FlawlineError(f"folds must be from 2 to the number of training images, {count}; got {folds}")
    return np.random.default_rng([seed, FOLD_STREAM]).permutation(np.arange(count) % folds)


def fit_folds(
    train: Callable[[Sequence[int], Tools], Fitted], rows: Sequence[int], folds: int, *, seed: int, tools: Tools
) -> dict[str, Tensor]:
    """Train a network for each fold of ``rows`` (`fold_of`) by ``train`` on the images that are not in it.

    Return the weights as "fold_K/NAME", as `fold_weights` takes them apart."""
    of = fold_of(len(rows), folds, seed)
    weights: dict[str, Tensor] = {}
    for k in range(folds):
        seen = [row for row, fold in zip(rows, of, strict=True) if fold != k]
        progress = FoldProgress(tools.progress, f"fold {k + 1}/{folds}")
        own = replace(tools, checkpoints=tools.checkpoints.part(f"fold_{k}"), progress=progress)
        weights |= packed({f"fold_{k}": train(seen, own).weights})
    return weights


def fold_weights(weights: dict[str, Tensor], fold: int) -> dict[str, Tensor]:
    """Return the weights of the network that did not see the images of ``fold``."""
    return part(weights, f"fold_{fold}")


@dataclass(frozen=True)
class FoldProgress:
    """Shows one of several trainings; its epochs are kept from the record, which belongs to the network of all."""

    progress: Progress
    label: str

    def track(self, items: Iterable[Any], *, total: int, label: str) -> Iterator[Any]:
        return self.progress.track(items, total=total, label=f"{self.label}, {label}")

    def epoch(self, record: dict[str, float]) -> None:
        pass
