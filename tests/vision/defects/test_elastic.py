import numpy as np
import pytest
from defect_images import PARAMS, frozen, rng, textured
from skimage.transform import warp

from flawline.vision.defects import Disk, Elastic
from flawline.vision.defects.elastic import displacement_field


@pytest.fixture
def disk():
    return frozen(Disk(x=50, y=48, radius=30).mask((100, 100)))


@pytest.mark.parametrize(("amplitude", "smoothness"), [(12.0, 6.0), (0.5, 2.0), (40.0, 15.0)])
def test_longest_displacement_in_the_region_is_the_amplitude(disk, amplitude, smoothness):
    field = displacement_field(disk, rng(), PARAMS.elastic.but(amplitude=amplitude, smoothness=smoothness))
    assert field.shape == (2, 100, 100)
    assert np.hypot(*field)[disk].max() == pytest.approx(amplitude)


def test_smoothed_white_noise_correlates_as_theory_says():
    """White noise under a Gaussian of s: the correlation at distance d is exp(-d^2 / (4 s^2))."""
    field = displacement_field(np.ones((400, 400), bool), rng(), PARAMS.elastic.but(amplitude=1, smoothness=3))
    for axis, shift in [(1, 3), (2, 3), (1, 6)]:
        moved = np.roll(field, shift, axis=axis)
        assert (field * moved).mean() / (field**2).mean() == pytest.approx(np.exp(-(shift**2) / 36), abs=0.05)


def test_field_is_no_stronger_at_the_rim_than_inside():
    whole, params = np.ones((60, 60), bool), PARAMS.elastic.but(amplitude=1, smoothness=4)
    energy = np.mean([(displacement_field(whole, rng(seed), params) ** 2).sum(axis=0) for seed in range(200)], axis=0)
    rim = np.concatenate([energy[0], energy[-1], energy[:, 0], energy[:, -1]])
    assert rim.mean() == pytest.approx(energy[10:-10, 10:-10].mean(), rel=0.15)


def test_elastic_moves_a_ramp_by_the_field(disk):
    """A pixel of a linear ramp shows its own position: the difference is the displacement, y and x told apart."""
    ys, xs = np.mgrid[:100, :100] / np.float32(200)
    image, params = (
        frozen(np.stack([ys, xs]).astype(np.float32)),
        PARAMS.elastic.but(amplitude=5, smoothness=6),
    )
    made = Elastic(params)(image, disk, rng(3))
    box = disk[18:79, 20:81]
    expected = displacement_field(box, rng(3), params)[:, box] / 200
    np.testing.assert_allclose((made.image - image)[:, disk], expected, atol=1e-6)
    np.testing.assert_array_equal(made.mask, disk)
    assert made.drawn == {"amplitude": 5.0, "smoothness": 6.0}


def test_elastic_equals_scikit_image_warp_with_mirrored_borders():
    image, params, whole = (
        textured(np.float32, (1, 40, 50)),
        PARAMS.elastic.but(amplitude=8, smoothness=4),
        (40, 50),
    )
    result = Elastic(params)(image, np.ones(whole, bool), rng(1)).image
    points = np.indices(whole) + displacement_field(np.ones(whole, bool), rng(1), params)
    expected = warp(image[0], points, order=1, mode="symmetric")
    np.testing.assert_allclose(result[0], expected, atol=1e-5)
