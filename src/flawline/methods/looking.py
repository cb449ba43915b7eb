"""What a one-class method sees of the images of a category: views made as they are asked for, embeddings a batch at a
time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from flawline.methods.heads import IMAGE, Head, Look
from flawline.methods.registry import OneClass
from flawline.training.windows import to_unit

Views = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Looks(Sequence[Look]):
    """What ``method`` sees of the images at ``rows``, made when asked for.

    ``differences`` are those of its redrawer, ``embeddings`` those of its head; None where it has none."""

    method: OneClass
    images: Sequence[NDArray]  # (C, H, W) uint8 or uint16 each
    differences: Sequence[NDArray] | None  # (C, H, W) float16
    embeddings: Sequence[NDArray] | None
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Look: ...
    @overload
    def __getitem__(self, index: slice) -> "Looks": ...
    def __getitem__(self, index: int | slice) -> "Look | Looks":
        if isinstance(index, slice):
            return Looks(self.method, self.images, self.differences, self.embeddings, self.rows[index])
        row = self.rows[index]
        difference = None if self.differences is None else self.differences[row]
        embedding = None if self.embeddings is None else self.embeddings[row]
        return Look(views_of(self.method, self.images[row], difference), embedding)


def views_of(method: OneClass, image: NDArray, difference: NDArray | None) -> Views:
    """Return what the head of ``method`` looks at, each (C, H, W) float32 in [0, 1]; ``difference`` is what its
    redrawer made of the image, None where it has none."""
    views: dict[str, NDArray] = {IMAGE: to_unit(image[None])[0].numpy()} if IMAGE in method.views else {}
    if difference is not None and method.redrawer is not None:
        views[method.redrawer] = difference.astype(np.float32)
    return tuple(views[name] for name in method.views)


def embed_all(head: Head, looks: Sequence[Look], *, batch_size: int) -> Iterator[NDArray]:
    """Yield the embedding of each look, made ``batch_size`` at a time: no more than that is in memory."""
    for start in range(0, len(looks), batch_size):
        views = zip(*(look.views for look in looks[start : start + batch_size]), strict=True)
        yield from head.embed(tuple(torch.from_numpy(np.stack(view)) for view in views))
