import numpy as np
import pytest

from flawline.vision.brightness import GAIN, brightened, gain_between, median_level


def test_level_is_the_median_which_a_flaw_does_not_move():
    image = np.full((1, 10, 10), 80, np.uint8)
    image[0, :3] = 255
    assert median_level(image) == 80


def test_level_of_16_bit_is_on_the_scale_of_8():
    assert median_level(np.full((1, 4, 4), 80 * 257, np.uint16)) == pytest.approx(80)


@pytest.mark.parametrize(
    ("wanted", "there", "gain"), [(90, 60, 1.5), (60, 90, 0.666667), (200, 10, GAIN), (0.5, 90, 1)]
)
def test_gain_between_levels(wanted, there, gain):
    assert gain_between(wanted, there) == gain


def test_brightened_keeps_the_type_and_cuts_off_what_leaves_it():
    pixels = np.array([0, 10, 200], np.uint8)
    assert brightened(pixels, pixels.dtype, gain=1.5, offset=1).tolist() == [1, 16, 255]
    wide = np.array([0, 2570, 65535], np.uint16)
    assert brightened(wide, wide.dtype, gain=0.5, offset=1).tolist() == [257, 1542, 33024]
