import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flawline.vision.downsizing import downsize, downsized_shape, upsize


def drawn(*shape, dtype=np.uint8, seed=0):
    image = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    image.setflags(write=False)
    return image


@pytest.mark.parametrize(
    ("shape", "side", "size"),
    [
        ((3, 900, 900), 128, (128, 128)),
        ((1, 600, 900), 200, (200, 300)),
        ((900, 600), 200, (300, 200)),
        ((3, 900, 1025), 128, (128, 146)),  # 145.8
        ((1, 100, 400), 128, (100, 400)),  # never enlarged
        ((1, 128, 400), 128, (128, 400)),
    ],
)
def test_the_shorter_side_is_brought_to_side_and_the_aspect_kept(shape, side, size):
    assert downsized_shape(shape, side) == size


def test_a_whole_factor_averages_blocks():
    image = np.array([[[0, 4, 100, 100], [8, 12, 100, 104]]], np.uint8)
    image.setflags(write=False)
    np.testing.assert_array_equal(downsize(image, 1), [[[6, 101]]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_every_whole_factor_is_the_mean_of_blocks(dtype, factor):
    image = drawn(3, 4 * factor, 5 * factor, dtype=dtype)
    blocks = image.reshape(3, 4, factor, 5, factor).mean(axis=(2, 4))
    small = downsize(image, 4)
    assert small.dtype == dtype
    np.testing.assert_allclose(small, blocks, atol=0.5 + 1e-6)


def test_parts_of_pixels_count_by_their_area():
    """Three pixels become two, each of one and a half."""
    row = np.array([30, 60, 240], np.uint8)
    image = np.broadcast_to(row[:, None] // 3 + row // 3, (1, 3, 3)).astype(np.uint8)  # a sum: axes do not mix
    ends = np.array([(10 + 20 / 2) / 1.5, (20 / 2 + 80) / 1.5])
    np.testing.assert_array_equal(downsize(image, 2)[0], np.rint(ends[:, None] + ends))


@given(before=st.integers(2, 90), after=st.integers(1, 90))
def test_the_mean_is_kept_whatever_the_factor(before, after):
    image = drawn(1, before, before, dtype=np.uint16, seed=before)
    assert downsize(image, after).mean() == pytest.approx(image.mean(), abs=0.51)  # each pixel is rounded


def test_a_fine_pattern_turns_grey_instead_of_a_false_coarse_one():
    board = (np.indices((90, 90)).sum(axis=0) % 2 * 255).astype(np.uint8)[None]
    assert np.abs(downsize(board, 20).astype(int) - 128).max() <= 8  # every pixel covers 4.5 x 4.5


def test_small_images_come_back_as_they_are():
    image = drawn(3, 20, 30)
    assert downsize(image, 20) is image
    array = image.astype(np.float32)
    assert upsize(array, (20, 30)) is array


def test_upsizing_by_two_by_hand():
    array = np.array([[[0, 4]]], np.float32)
    np.testing.assert_array_equal(upsize(array, (1, 4)), [[[0, 1, 3, 4]]])  # a quarter and three between the centres


@pytest.mark.parametrize("size", [(7, 9), (21, 18), (20, 31)])
def test_upsizing_is_bilinear_interpolation_with_corners_met(size):
    array = drawn(3, 7, 9).astype(np.float32)
    wanted = torch.nn.functional.interpolate(torch.tensor(array)[None], size=size, mode="bilinear", align_corners=False)
    result = upsize(array, size)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, wanted[0].numpy(), rtol=1e-4, atol=1e-3)


def test_a_slope_comes_back_from_down_and_upsizing():
    slope = np.broadcast_to(np.arange(240, dtype=np.uint8), (1, 240, 240))
    back = upsize(downsize(slope, 40).astype(np.float32), (240, 240))
    np.testing.assert_allclose(back[:, :, 3:-3], slope[:, :, 3:-3], atol=0.51)  # borders repeat, so they are flat
