"""chess: checkerboards with an elastically deformed disk."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from flawline.intake.examples.base import Drawn, ExampleImage, draw_images, to_8_bit
from flawline.params import ChessParams
from flawline.vision.defects import Elastic, random_region


def draw_chess(params: ChessParams) -> Iterator[ExampleImage]:
    """Draw the chess data set: normal boards, and boards with one disk elastically deformed; the mask is the disk.

    Source: Schneider 2022, section 3.1 and Fig. 2a, 2b. It prints no sizes and does not say how its normal images
    differ; ours are randomly phased: the board's origin is shifted by whole pixels, uniform in both axes."""
    return draw_images(params, params.seed, partial(_draw_board, params), defect="deformed")


def chessboard(
    size: tuple[int, int], square: int, *, origin: tuple[int, int], dark: float, bright: float
) -> NDArray[np.float32]:
    """Return a board (1, H, W) of ``size`` (h, w) with squares of side ``square``, in the values dark and bright.

    ``origin`` (x, y) is the upper left corner of a dark square; all in pixels. The board repeats every 2 squares."""
    ys, xs = np.ogrid[: size[0], : size[1]]
    is_bright = ((xs - origin[0]) // square + (ys - origin[1]) // square) % 2 == 1
    return np.where(is_bright, np.float32(bright), np.float32(dark))[None]  # (1, H, W)


def _draw_board(params: ChessParams, generator: np.random.Generator, defective: bool) -> Drawn:
    x, y = (int(shift) for shift in generator.integers(0, 2 * params.square, size=2))
    board = chessboard(params.image_size, params.square, origin=(x, y), dark=params.dark, bright=params.bright)
    if not defective:
        return to_8_bit(board), None
    region = random_region(params.image_size, generator, radius=params.region_radius)
    made = Elastic(params.deformation)(board, region, generator)
    return to_8_bit(made.image), made.mask
