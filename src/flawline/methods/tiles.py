"""A convolutional network over a large image, tile by tile, so that memory does not grow with the image.

Each tile is seen with as much around it as the network's outputs depend on, so nothing changes at its rim: the outputs
are those of the whole image, but for the rounding of float32."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

SIDE = 1536  # pixels of a tile with what is around it, at the least
REACHES = 6  # of which it has as many at the least: else most of a tile is what is around it
LARGER = 1.5  # times as large as a tile an image has to be: below, tiles take more time and hardly less memory

Network = Callable[[Tensor], Sequence[Tensor]]  # images (n, 3, H, W) to layers (n, D, h, w)


class Field(NamedTuple):
    """What an output depends on: at most ``reach`` pixels on every side of its cell; and the ``period``, pixels, by
    which an image can be moved so that its outputs move by whole cells."""

    reach: int
    period: int


class Span(NamedTuple):
    """A tile along one side: what is seen, and what of it counts, pixels of the image."""

    seen: slice
    counts: slice


def side_of_tiles(field: Field) -> int:
    """Return the side, pixels, of a tile with what is around it."""
    return max(SIDE, REACHES * field.reach)


def pays(size: Sequence[int], field: Field) -> bool:
    """Return True if an image of ``size`` (H, W) is so large that tiles save memory."""
    return max(size) > LARGER * side_of_tiles(field)


def in_tiles(network: Network, images: Tensor, field: Field, *, side: int | None = None) -> list[Tensor]:
    """Return the layers (n, D, h, w) of images (n, 3, H, W), from tiles of about ``side`` pixels, as the network itself
    gives them out."""
    side = side_of_tiles(field) if side is None else side
    height, width = images.shape[2:]
    found: list[Tensor] = []
    for y in spans(height, field, side):
        for x in spans(width, field, side):
            layers = network(images[:, :, y.seen, x.seen])
            found = found or [_whole(layer, y, x, images.shape) for layer in layers]
            for whole, layer in zip(found, layers, strict=True):
                _place(whole, layer, y, x)
    return found


def spans(length: int, field: Field, side: int) -> Iterator[Span]:
    """Yield the tiles along a side of ``length`` pixels. They begin at multiples of the period, and end where the same
    number of pixels is left as of a period, since padding hangs on how a length divides."""
    around = -(-field.reach // field.period) * field.period
    step = max(field.period, (side - 2 * around) // field.period * field.period)
    for start in range(0, length, step):
        stop = min(start + step, length)
        left = max(0, length - stop - around) // field.period * field.period
        yield Span(slice(max(0, start - around), length - left), slice(start, stop))


def _whole(layer: Tensor, y: Span, x: Span, shape: Sequence[int]) -> Tensor:
    """Return what holds a layer of the whole image."""
    rows, columns = (-(-size // _stride(cells, span)) for size, cells, span in
                     zip(shape[2:], layer.shape[2:], (y, x), strict=True))  # fmt: skip
    return layer.new_empty(*layer.shape[:2], rows, columns)


def _place(whole: Tensor, layer: Tensor, y: Span, x: Span) -> None:
    """Copy what counts of a tile's layer to where it lies."""
    (rows, own_rows), (columns, own_columns) = (
        _cells(span, _stride(cells, span)) for span, cells in ((y, layer.shape[2]), (x, layer.shape[3]))
    )
    whole[:, :, rows, columns] = layer[:, :, own_rows, own_columns]


def _cells(span: Span, stride: int) -> tuple[slice, slice]:
    """Return the cells that count, of the whole and of the tile."""
    first, last = span.counts.start // stride, -(-span.counts.stop // stride)
    before = span.seen.start // stride
    return slice(first, last), slice(first - before, last - before)


def _stride(cells: int, span: Span) -> int:
    """Return the stride of a layer that has so many cells of a tile: a power of two, lengths round up."""
    stride, length = 1, span.seen.stop - span.seen.start
    while -(-length // stride) > cells:
        stride *= 2
    return stride
