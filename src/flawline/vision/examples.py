"""Embedded examples: small data sets with exact masks, drawn instead of downloaded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawline.params import ChessParams, ExamplesParams
from flawline.vision.defects import Elastic, random_region

CHESS_GROUPS = (  # (split, defect, count in ChessParams); a row's number is part of its images' seeds: only append
    ("train", "good", "train"),
    ("validation", "good", "validation"),
    ("calibration", "good", "calibration"),
    ("test", "good", "normal_test"),
    ("test", "deformed", "anomalous_test"),
)


@dataclass(frozen=True)
class ExampleImage:
    """One image (1, H, W) uint8 and its defective pixels (H, W), None if good; ``name`` counts in split and defect."""

    split: str  # train, validation, calibration or test
    defect: str  # good or deformed
    name: str  # 000, 001, ...
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None


def draw_chess(params: ChessParams) -> Iterator[ExampleImage]:
    """Draw the chess data set: normal boards, and boards with one disk elastically deformed; the mask is the disk.

    An image depends on the seed, its split, defect and number, not on how many others there are.
    Source: Schneider 2022, section 3.1 and Fig. 2a, 2b. It prints no sizes and does not say how its normal images
    differ; ours are randomly phased: the board's origin is shifted by whole pixels, uniform in both axes."""
    for group, (split, defect, count) in enumerate(CHESS_GROUPS):
        for i in range(getattr(params, count)):
            generator = np.random.default_rng(np.random.SeedSequence([params.seed, group, i]))
            image, mask = _draw_board(params, generator, deformed=defect == "deformed")
            yield ExampleImage(split, defect, f"{i:03d}", np.rint(image * 255).astype(np.uint8), mask)


EXAMPLES: dict[str, Callable[[ExamplesParams], Iterator[ExampleImage]]] = {
    "chess": lambda params: draw_chess(params.chess),
}


def chessboard(
    size: tuple[int, int], square: int, *, origin: tuple[int, int], dark: float, bright: float
) -> NDArray[np.float32]:
    """Return a board (1, H, W) of ``size`` (h, w) with squares of side ``square``, in the values dark and bright.

    ``origin`` (x, y) is the upper left corner of a dark square; all in pixels. The board repeats every 2 squares."""
    ys, xs = np.ogrid[: size[0], : size[1]]
    is_bright = ((xs - origin[0]) // square + (ys - origin[1]) // square) % 2 == 1
    return np.where(is_bright, np.float32(bright), np.float32(dark))[None]  # (1, H, W)


def _draw_board(
    params: ChessParams, generator: np.random.Generator, *, deformed: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    x, y = (int(shift) for shift in generator.integers(0, 2 * params.square, size=2))
    board = chessboard(params.image_size, params.square, origin=(x, y), dark=params.dark, bright=params.bright)
    if not deformed:
        return board, None
    region = random_region(params.image_size, generator, radius=params.region_radius)
    return Elastic(params.deformation)(board, region, generator)
