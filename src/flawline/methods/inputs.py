"""The inputs of a one-class scorer, made when they are accessed: the views of each image (photograph, residual image),
and embeddings in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from flawline.methods.one_class import IMAGE, Inputs, OneClassScorer
from flawline.training.compute import side_by_side
from flawline.vision.levels import full_value

Views = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class InputSequence(Sequence[Inputs]):
    """What a scorer with ``views`` sees of the images at ``rows``, made when asked for.

    ``residuals`` are the residual images of its reconstructor, ``embeddings`` the scorer's own; None where it has
    none."""

    views: tuple[str, ...]
    images: Sequence[NDArray]  # (C, H, W) uint8 or uint16 each
    rows: Sequence[int]
    residuals: Sequence[NDArray] | None = None  # float16
    embeddings: Sequence[NDArray] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Inputs: ...
    @overload
    def __getitem__(self, index: slice) -> "InputSequence": ...
    def __getitem__(self, index: int | slice) -> "Inputs | InputSequence":
        if isinstance(index, slice):
            return replace(self, rows=self.rows[index])
        row = self.rows[index]
        residual = None if self.residuals is None else self.residuals[row]
        embedding = None if self.embeddings is None else self.embeddings[row]
        return Inputs(views_of(self.views, self.images[row], residual), embedding)


def views_of(views: Sequence[str], image: NDArray, residual: NDArray | None) -> Views:
    """Return what a scorer sees, in the order of ``views``: the photograph (C, H, W) float32 in [0, 1], and for every
    other name the residual image as float32."""
    seen = []
    for name in views:
        if name == IMAGE:
            seen.append(np.divide(image, full_value(8 * image.itemsize), dtype=np.float32))
        elif residual is not None:
            seen.append(residual.astype(np.float32))
    return tuple(seen)


def embed_all(
    scorer: OneClassScorer, inputs: Sequence[Inputs], *, batch_size: int, workers: int = 1
) -> Iterator[NDArray]:  # fmt: skip
    """Yield the embedding of each image, made ``batch_size`` at a time by each worker: no more than that is in
    memory."""

    def embedded(start: int) -> NDArray:
        views = zip(*(each.views for each in inputs[start : start + batch_size]), strict=True)
        return scorer.embed(tuple(torch.from_numpy(np.stack(view)) for view in views))

    for batch in side_by_side(embedded, range(0, len(inputs), batch_size), workers=workers):
        yield from batch
