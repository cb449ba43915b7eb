import numpy as np
import pytest

from flawline.figures import thumbnail, thumbnail_size


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((3672, 5496), (86, 128)), ((100, 50), (100, 50)), ((256, 4096), (28, 448)), ((1, 9000), (1, 448))],
)
def test_a_thumbnail_fits_and_none_is_enlarged(size, wanted):
    assert thumbnail_size(size) == wanted


def test_a_thumbnail_is_the_mean_of_its_pixels():
    board = np.indices((512, 512)).sum(0) % 2 * np.uint8(200)  # pixels of 0 and 200 in turn
    small = thumbnail(board[None].astype(np.uint8))
    assert small.shape == (128, 128, 3)
    np.testing.assert_allclose(small, 100, atol=2)


def test_a_thumbnail_of_a_12_bit_image_in_16_bits_is_not_black():
    assert (thumbnail(np.full((1, 8, 8), 4095, np.uint16)) == 255).all()
