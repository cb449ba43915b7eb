from fractions import Fraction

import numpy as np
import pytest

from flawline.checks import FlawlineError
from flawline.vision.levels import to_full_scale


@pytest.mark.parametrize("bits", range(8, 17))
def test_every_value_goes_to_the_nearest_place_on_the_full_scale(bits):
    full = 2**bits - 1
    values = np.arange(full + 1, dtype=np.uint16).reshape(1, 2, -1)
    values.flags.writeable = False
    result = to_full_scale(values, bits)
    assert (result.dtype, result.shape) == (np.uint16, values.shape)
    assert (result.flat[0], result.flat[-1]) == (0, 65535)
    assert (np.diff(result.ravel().astype(int)) > 0).all()
    assert all(abs(int(got) - Fraction(k * 65535, full)) <= Fraction(1, 2) for k, got in enumerate(result.flat))


def test_twelve_bits_by_hand():
    pixels = np.array([[[0, 1, 2048, 4094, 4095]]], np.uint16)
    assert to_full_scale(pixels, 12).tolist() == [[[0, 16, 32776, 65519, 65535]]]  # 16.004, 32775.5, 65519.0


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 16)])
def test_where_all_bits_are_used_nothing_is_copied(dtype, bits):
    pixels = np.array([[[3, 200]]], dtype)
    assert to_full_scale(pixels, bits) is pixels


def test_a_value_beyond_the_scale_is_refused():
    with pytest.raises(FlawlineError, match=r"pixels must be at most 4095 \(12 bits a channel\), got 4096"):
        to_full_scale(np.array([[[4096]]], np.uint16), 12)
