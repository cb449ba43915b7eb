import numpy as np
import pytest
from defect_images import PARAMS, flat, frozen, rng

from flawline.vision.defects import Disk, GaussianNoise, PoissonNoise


@pytest.fixture
def disk():
    return frozen(Disk(x=50, y=48, radius=30).mask((100, 100)))


def test_gaussian_noise_has_the_asked_mean_and_deviation(disk):
    made = GaussianNoise(PARAMS.gaussian.but(sigma=0.05))(flat(0.5, (3, 100, 100)), disk, rng())
    values = made.image[:, disk]
    assert values.mean() == pytest.approx(0.5, abs=0.002)
    assert values.std() == pytest.approx(0.05, rel=0.03)
    assert abs(np.corrcoef(values)[0, 1]) < 0.06  # channels are independent
    np.testing.assert_array_equal(made.mask, disk)


@pytest.mark.parametrize("value", [0.2, 0.6])
def test_poisson_noise_keeps_the_mean_and_has_variance_value_over_photons(disk, value):
    made = PoissonNoise(PARAMS.poisson.but(photons=500))(flat(value), disk, rng())
    assert made.image[0, disk].mean() == pytest.approx(value, abs=0.004)
    assert made.image[0, disk].var() == pytest.approx(value / 500, rel=0.1)
    np.testing.assert_array_equal(made.mask, disk)


def test_poisson_counts_are_whole_and_black_stays_black(disk):
    injector = PoissonNoise(PARAMS.poisson.but(photons=20))
    counts = injector(flat(0.5), disk, rng()).image[0, disk] * 20
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-5)
    np.testing.assert_array_equal(injector(flat(0), disk, rng()).image, flat(0))
