"""What candidates scored in the folds of a trial, and a file of it, so that a choice that was cut off goes on."""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from flawline.storage.tensors import packed, part
from flawline.storage.unfinished import UnfinishedFile


class FoldScores(NamedTuple):
    """The scores (image scores, n) of the images of a fold: as they are, with pseudo-defects, moved; and which
    pseudo-defects these are."""

    normal: NDArray
    defective: NDArray
    moved: NDArray
    damaged: NDArray[np.int64]


class Timed(NamedTuple):
    """The scores of a fold, and the seconds that they took."""

    scores: FoldScores
    seconds: float


class FoldStore(Protocol):
    def recall(self, candidate: str, fold: int) -> Timed | None:
        """Return what a candidate scored in a fold, or None if that is not known."""
        ...

    def remember(self, candidate: str, fold: int, made: Timed) -> None: ...


class NoFolds:
    """Forgets everything."""

    def recall(self, candidate: str, fold: int) -> Timed | None:
        return None

    def remember(self, candidate: str, fold: int, made: Timed) -> None:
        pass


class FoldFile:
    """Keeps the folds of one choice in a file, whose ``key`` is a digest of all that shapes their scores."""

    def __init__(self, file: UnfinishedFile, key: str):
        self._file, self._key = file, key
        tensors, meta = file.read(key) or ({}, {})
        self._known = {
            name: Timed(FoldScores(**{field: each.numpy() for field, each in part(tensors, name).items()}), seconds)
            for name, seconds in meta.items()
        }

    def recall(self, candidate: str, fold: int) -> Timed | None:
        return self._known.get(_name(candidate, fold))

    def remember(self, candidate: str, fold: int, made: Timed) -> None:
        self._known[_name(candidate, fold)] = made
        tensors = packed({name: _tensors(each.scores) for name, each in self._known.items()})
        self._file.write(self._key, tensors, {name: each.seconds for name, each in self._known.items()})


def _name(candidate: str, fold: int) -> str:
    return f"{candidate}.{fold}"


def _tensors(scores: FoldScores) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in scores._asdict().items()}
