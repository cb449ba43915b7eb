from collections import Counter

import numpy as np
import pytest
from base_params import BASE

from flawline.intake.examples.chess import chessboard, draw_chess

SMALL = BASE.examples.chess.but(image_size=(80, 96), square=8, region_radius=(10.0, 20.0))


@pytest.fixture(scope="module")
def chess():
    return list(draw_chess(SMALL))


def test_chessboard_by_hand():
    board = chessboard((4, 6), 2, origin=(0, 0), dark=0.0, bright=1.0)
    two_rows = [[0, 0, 1, 1, 0, 0]] * 2 + [[1, 1, 0, 0, 1, 1]] * 2
    assert board.dtype == np.float32
    np.testing.assert_array_equal(board, [two_rows])


def test_origin_is_the_corner_of_a_dark_square_and_the_board_repeats_every_two():
    board = chessboard((40, 40), 5, origin=(3, 7), dark=0.2, bright=0.8)[0]
    np.testing.assert_array_equal(board[7:12, 3:8], np.float32(0.2))
    assert (board[7:12, 2] == board[7:12, 8]).all()
    assert (board[6, 3:8] == np.float32(0.8)).all()
    np.testing.assert_array_equal(chessboard((40, 40), 5, origin=(13, -3), dark=0.2, bright=0.8)[0], board)


def test_chess_counts_per_split_follow_the_params(chess):
    counts = Counter((example.split, example.defect) for example in chess)
    assert counts == {
        ("train", "good"): 4,
        ("validation", "good"): 1,
        ("calibration", "good"): 19,
        ("test", "good"): 2,
        ("test", "deformed"): 4,
    }
    assert [e.name for e in chess if e.split == "train"] == ["000", "001", "002", "003"]
    assert len({(e.split, e.defect, e.name) for e in chess}) == len(chess)


def test_chess_images_are_grey_8_bit_with_a_mask_exactly_where_deformed(chess):
    for example in chess:
        assert example.image.shape == (1, 80, 96)
        assert example.image.dtype == np.uint8
        assert (example.mask is None) == (example.defect == "good")


def test_normal_boards_are_two_grey_values_in_whole_squares(chess):
    for example in (e for e in chess if e.defect == "good"):
        row = example.image[0, 0].astype(int)
        edges = np.flatnonzero(np.diff(row))
        assert set(np.unique(example.image)) == {26, 230}  # 0.1 * 255 and 0.9 * 255 (25.5 and 229.5), to the even
        assert (np.diff(edges) == 8).all()
        assert edges[0] < 8


def test_normal_boards_are_randomly_phased(chess):
    boards = [e.image.tobytes() for e in chess if e.defect == "good"]
    assert len(boards) == 26
    assert len(set(boards)) > 20  # of 128 phases, one may come twice


def test_deformed_boards_are_boards_outside_the_mask_and_none_inside(chess):
    for example in (e for e in chess if e.defect == "deformed"):
        boards = (
            chessboard((80, 96), 8, origin=(x, y), dark=0.1, bright=0.9) for x in range(16) for y in range(8)
        )  # 8 rows are enough: half a period in both axes is the same board
        rounded = (np.rint(board * 255).astype(np.uint8) for board in boards)
        same = [b for b in rounded if (b == example.image)[:, ~example.mask].all()]
        assert len(same) == 1
        assert (same[0] != example.image)[0, example.mask].mean() > 0.25


def test_deformed_region_is_a_disk_of_the_asked_radius(chess):
    for mask in (e.mask for e in chess if e.mask is not None):
        radius = np.sqrt(mask.sum() / np.pi)
        assert radius == pytest.approx(15, abs=5.2)
        ys, xs = np.nonzero(mask)
        assert np.ptp(ys) == pytest.approx(2 * radius - 1, abs=1.2)  # from the first row's centre to the last's
        assert np.hypot(ys - ys.mean(), xs - xs.mean()).max() == pytest.approx(radius, abs=1)


def test_images_depend_on_the_seed_and_not_on_how_many_others_there_are(chess):
    more = {
        (e.split, e.defect, e.name): e
        for e in draw_chess(SMALL.model_copy(update={"train": 6, "validation": 2, "normal_test": 3}))
    }
    for example in chess:
        same = more[example.split, example.defect, example.name]
        np.testing.assert_array_equal(same.image, example.image)
    other = list(draw_chess(SMALL.model_copy(update={"seed": 1})))
    assert any((a.image != b.image).any() for a, b in zip(chess, other, strict=True))
