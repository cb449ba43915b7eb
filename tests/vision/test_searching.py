import numpy as np
import pytest

from flawline.vision.searching import Search, make_template, standardised


@pytest.fixture
def picture():
    return np.random.default_rng(0).normal(100, 20, (40, 50)).astype(np.float32)


@pytest.mark.parametrize("corner", [(0, 0), (9, 13), (25, 29)])
def test_a_piece_is_found_where_it_was_cut_out(picture, corner):
    y, x = corner
    piece = picture[y : y + 15, x : x + 21]
    seen = np.random.default_rng(1).random(piece.shape) > 0.3
    search = Search(picture, 25)
    point, correlation = search.best_position(make_template(piece, seen, search.size), np.array([20.0, 25.0]))
    assert point.tolist() == [y + 7, x + 10]  # where its middle pixel lies
    assert correlation == pytest.approx(1, abs=1e-3)


def test_correlation_is_that_of_the_pixels_that_count_by_hand(picture):
    template = 0.5 * picture[10:21, 20:33] + np.random.default_rng(2).normal(0, 10, (11, 13)).astype(np.float32)
    seen = np.ones(template.shape, bool)
    seen[:, :4] = False
    search = Search(picture, 10)
    point, correlation = search.best_position(make_template(template, seen, search.size), np.array([15.0, 26.0]))
    assert point.tolist() == [15, 26]
    wanted = np.corrcoef(template[seen], picture[10:21, 20:33][seen])[0, 1]
    assert correlation == pytest.approx(wanted, abs=1e-3)


def test_where_nothing_varies_nothing_is_found():
    search = Search(np.full((30, 30), 70, np.float32), 8)
    template = make_template(
        np.random.default_rng(0).random((7, 7)).astype(np.float32), np.ones((7, 7), bool), search.size
    )
    assert abs(search.best_position(template, np.array([15.0, 15.0]))[1]) < 0.01


def test_standardised_has_mean_0_and_length_1_and_says_its_length():
    values, length = standardised(np.array([1.0, 3.0], np.float32))
    np.testing.assert_allclose(values, [-np.sqrt(0.5), np.sqrt(0.5)], rtol=1e-6)
    assert length == pytest.approx(np.sqrt(2))
    assert standardised(np.full(4, 5.0, np.float32))[0].tolist() == [0, 0, 0, 0]
