import numpy as np
import pytest
from defect_images import PARAMS, flat, frozen, rng

from flawline.vision.defects import Disk, Line
from flawline.vision.defects.line import noisy_line


@pytest.fixture
def disk():
    return frozen(Disk(x=50, y=48, radius=30).mask((100, 100)))


def test_quiet_line_is_straight_as_wide_as_asked_and_spans_the_region(disk):
    params = PARAMS.line.but(width=3, jitter=0, noise=0, intensity=0.5)
    for seed in range(10):
        mask = noisy_line(disk, 180 * rng(seed).random(), rng(seed), params)
        points = np.argwhere(mask) - np.array([48, 50])
        direction = np.linalg.svd(points)[2]  # rows: along, across
        assert np.abs(points @ direction[1]).max() <= 1.55
        assert np.ptp(points @ direction[0]) == pytest.approx(60, abs=2)
        assert mask.sum() == pytest.approx(3 * 60, rel=0.1)


def test_quiet_line_raises_its_pixels_by_the_intensity(disk):
    made = Line(PARAMS.line.but(jitter=0, noise=0, intensity=0.5))(flat(0.25), disk, rng())
    np.testing.assert_array_equal(made.image[0], np.where(made.mask, np.float32(0.75), np.float32(0.25)))


def test_line_mask_is_exactly_the_changed_pixels_where_nothing_saturates(disk):
    image = flat(0.3, (3, 100, 100))
    made = Line(PARAMS.line.but(noise=0.02, intensity=0.4))(image, disk, rng())
    result, mask = made.image, made.mask
    np.testing.assert_array_equal((result != image).any(axis=0), mask)
    assert (result[0] == result[2]).all()
    assert result[0, mask].mean() == pytest.approx(0.7, abs=0.01)
    assert result[0, mask].std() == pytest.approx(0.02, rel=0.2)


def test_jitter_spreads_the_line_by_its_standard_deviation():
    """Across the line, pixels lie uniform in a band of the width (variance w^2 / 12) whose middle jitters."""
    points = np.argwhere(noisy_line(np.ones((401, 401), bool), 77.0, rng(4), PARAMS.line.but(width=5, jitter=2)))
    across = (points - points.mean(axis=0)) @ np.linalg.eigh(np.cov(points.T)).eigenvectors[:, 0]
    assert across.var() == pytest.approx(2**2 + 5**2 / 12, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_line_is_never_empty_however_thin_and_noisy(seed):
    region = np.zeros((9, 9), bool)
    region[4, 4:6] = True
    assert noisy_line(region, 36.0 * seed, rng(seed), PARAMS.line.but(width=0.01, jitter=50)).any()


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 150.0])
def test_line_lies_at_its_angle_counter_clockwise(disk, angle):
    ys, xs = np.nonzero(noisy_line(disk, angle, rng(), PARAMS.line.but(width=1, jitter=0)))
    far = np.hypot(ys - 48, xs - 50).argmax()
    found = np.degrees(np.arctan2(48 - ys[far], xs[far] - 50))  # y points down
    assert min(abs(found - angle), 180 - abs(found - angle)) % 180 == pytest.approx(0, abs=2)


def test_line_tells_the_angle_it_drew(disk):
    made = Line(PARAMS.line)(flat(0.3), disk, rng(5))
    assert made.drawn == {"angle": 180 * rng(5).random()} | PARAMS.line.model_dump()
    assert (noisy_line(disk, made.drawn["angle"], after_one(rng(5)), PARAMS.line) == made.mask).all()


def after_one(generator):
    generator.random()
    return generator
