import numpy as np
import pytest

from flawline.checks import FlawlineError
from flawline.methods.maps import smooth
from flawline.methods.one_class import Inputs
from flawline.methods.pixel_scorers import check_like_learned, learned_shape, residual_map, squared_map


def test_a_residual_is_squared_and_averaged_over_the_channels():
    residual = np.array([[[0.5, 0.0]], [[1.0, 0.25]]], np.float32)  # (2, 1, 2)
    np.testing.assert_array_equal(residual_map(residual, 0), np.array([[0.625, 0.03125]], np.float16))


def test_a_squared_map_is_the_mean_over_channels_of_squares():
    found = squared_map(np.array([[[0.5, 0.0]], [[0.25, 1.0]]], np.float16))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[(0.25 + 0.0625) / 2, 0.5]])


def test_smoothing_keeps_a_constant_and_spreads_a_point():
    np.testing.assert_allclose(smooth(np.full((9, 7), 0.25), 2.0), 0.25)
    point = np.zeros((21, 21))
    point[10, 10] = 1
    smoothed = smooth(point, 1.5)
    assert smoothed[10, 10] == smoothed.max() == pytest.approx(1 / (2 * np.pi * 1.5**2), rel=0.02)
    assert smoothed.sum(dtype=np.float64) == pytest.approx(1, rel=0.01)


def test_values_beyond_float16_stay_finite():
    np.testing.assert_array_equal(smooth(np.array([[1e9, -1e9]]), 0), np.array([[65504, -65504]], np.float16))


def test_the_learned_shape_is_that_of_all_images():
    inputs = [Inputs((np.zeros((1, 4, height), np.float32),)) for height in (5, 5, 6)]
    assert learned_shape(inputs[:2], "variation_model") == (1, 4, 5)
    with pytest.raises(FlawlineError, match="there are 2: 4 x 5, 4 x 6"):
        learned_shape(inputs, "variation_model")
    with pytest.raises(FlawlineError, match="needs at least 1 normal image"):
        learned_shape([], "variation_model")


def test_an_image_of_another_size_is_told():
    check_like_learned((1, 4, 5), (1, 4, 5), "nearest_neighbour")
    with pytest.raises(FlawlineError, match=r"learned images of 1 x 4 x 5 .* this one is 1 x 4 x 6"):
        check_like_learned((1, 4, 6), (1, 4, 5), "nearest_neighbour")
