import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from flawline.vision.reading import Lines, Splines, spline_coefficients


@pytest.fixture
def planes():
    return np.random.default_rng(0).normal(100, 30, (2, 13, 17)).astype(np.float32)


def points(count=200, seed=1, *, beyond=0.0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.uniform(-beyond, side - 1 + beyond, count) for side in (13, 17)]).astype(np.float32)


@pytest.mark.parametrize("beyond", [0.0, 4.0])
def test_lines_read_as_scipy_does_and_the_border_goes_on(planes, beyond):
    at = points(beyond=beyond)
    wanted = [map_coordinates(plane, at, order=1, mode="nearest") for plane in planes]
    np.testing.assert_allclose(Lines(planes).at(at), wanted, atol=2e-3)


@pytest.mark.parametrize("beyond", [0.0, 4.0])
def test_splines_read_as_scipy_does_and_the_border_goes_on(planes, beyond):
    at = points(beyond=beyond)
    inside = np.clip(at, 0, np.array([[12], [16]]))
    wanted = [map_coordinates(plane.astype(float), inside, order=3, mode="reflect") for plane in planes]
    np.testing.assert_allclose(Splines(planes).at(at), wanted, atol=2e-2)


def test_splines_go_through_the_pixels_and_coefficients_weigh_back_to_them(planes):
    at = np.indices(planes.shape[1:]).reshape(2, -1).astype(np.float32)
    np.testing.assert_allclose(Splines(planes).at(at).reshape(planes.shape), planes, atol=2e-3)
    padded = np.pad(spline_coefficients(planes), [(0, 0), (1, 1), (1, 1)], mode="symmetric").astype(float)
    rows = padded[:, :-2] / 6 + padded[:, 1:-1] * 4 / 6 + padded[:, 2:] / 6
    np.testing.assert_allclose(rows[..., :-2] / 6 + rows[..., 1:-1] * 4 / 6 + rows[..., 2:] / 6, planes, atol=1e-3)


def test_a_window_is_read_as_its_points_are(planes):
    splines, first, size = Splines(planes), (2.25, -1.5), (6, 9)
    rows, columns = np.indices(size)
    at = np.stack([rows + first[0], columns + first[1]]).reshape(2, -1).astype(np.float32)
    np.testing.assert_allclose(splines.window(first, size), splines.at(at).reshape(2, *size), atol=2e-2)
