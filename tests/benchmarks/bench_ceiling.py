"""How well a reconstructor that makes no mistake overlaps with the masks of the example chess: the board without its
deformation in the place of a network's reconstruction, by several smoothings of the map.

What a training can reach is below this, however long it is. The threshold is the oracle of Schneider 2022, section 3.1.

    python tests/benchmarks/bench_ceiling.py [--smoothing 0 1 2 4 8]"""

import argparse

import numpy as np
from measure import BASE

from flawline.intake.examples.chess import chessboard, draw_chess
from flawline.methods.maps import smooth
from flawline.metrics.maps import MapCounts


def undeformed(image, params):
    """Return the board (1, H, W) in [0, 1] that an image was made of: of all origins the one that explains most."""
    period = range(2 * params.square)
    boards = (chessboard(params.image_size, params.square, origin=(x, y), dark=params.dark, bright=params.bright)
              for x in period for y in period)  # fmt: skip
    return min(boards, key=lambda board: float(np.abs(board - image).sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoothing", type=float, nargs="+", default=[0, 1, 2, 4, 8])
    params = BASE.examples.chess
    tests = [each for each in draw_chess(params) if each.split == "test"]
    pairs = [(each.image / 255, undeformed(each.image / 255, params), each.mask) for each in tests]
    for sigma in parser.parse_args().smoothing:
        counts = MapCounts()
        for image, board, mask in pairs:
            counts.add(smooth(((image - board) ** 2).mean(axis=0), sigma), mask)
        threshold, recall, iou = counts.oracle_iou()
        print(f"smoothing {sigma:g}: IoU {iou:.4f}, A {recall:.4f}, threshold {threshold:.4f}")


if __name__ == "__main__":
    main()
