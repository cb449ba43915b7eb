from collections import Counter

import numpy as np
import pytest
from base_params import BASE
from pydantic import ValidationError

from flawline.intake.examples.noise import draw_noise

NOISE = BASE.examples.noise

PARAMS = NOISE
LINES = NOISE.but(image_size=(120, 160), train=1, calibration=1, normal_test=0, anomalous_test=24)


@pytest.fixture(scope="module")
def noise():
    return list(draw_noise(PARAMS))


@pytest.fixture(scope="module")
def lines():
    return [e for e in draw_noise(LINES) if e.mask is not None]


def test_counts_per_split_follow_the_params(noise):
    assert Counter((e.split, e.defect) for e in noise) == {
        ("train", "good"): 4,
        ("validation", "good"): 1,
        ("calibration", "good"): 19,
        ("test", "good"): 2,
        ("test", "line"): 4,
    }


def test_normal_intensities_have_the_asked_mean_and_deviation(noise):
    for image in (e.image / 255 for e in noise if e.defect == "good"):
        error = 0.15 / np.sqrt(image.size)  # standard error of the mean
        assert image.mean() == pytest.approx(0.5, abs=5 * error)
        assert image.std() == pytest.approx(0.15, abs=0.002)  # clipping at 3.3 deviations takes 0.0004
        assert (np.abs(image - 0.5) < 0.15).mean() == pytest.approx(0.683, abs=0.015)  # of a Gaussian


def test_neighbouring_pixels_know_nothing_of_each_other(noise):
    image = noise[0].image[0] / 255
    for one, two in ((image[1:], image[:-1]), (image[:, 1:], image[:, :-1])):
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_outside_the_line_a_defective_image_is_noise_as_any_other(lines):
    outside = np.concatenate([e.image[:, ~e.mask].ravel() for e in lines]) / 255
    assert outside.mean() == pytest.approx(0.5, abs=0.002)
    assert outside.std() == pytest.approx(0.15, abs=0.002)


def test_line_is_brighter_by_the_asked_intensity_without_its_clipped_pixels():
    params = LINES.model_copy(update={"mean": 0.3, "deviation": 0.05})
    inside = np.concatenate([e.image[:, e.mask].ravel() for e in draw_noise(params) if e.mask is not None]) / 255
    assert inside.mean() == pytest.approx(0.3 + 0.25, abs=0.01)
    assert inside.std() == pytest.approx(np.hypot(0.05, 0.1), abs=0.01)


def test_line_is_seen_and_is_not_simply_the_brightest_pixels(noise):
    for example in (e for e in noise if e.mask is not None):
        values, mask = example.image[0], example.mask
        assert values[mask].mean() > values[~mask].mean() + 1.2 * values[~mask].std()
        brightest = np.zeros(mask.size, bool)
        brightest[np.argsort(values, axis=None)[-mask.sum() :]] = True
        assert 0.05 < mask.ravel()[brightest].mean() < 0.5


def test_line_is_straight_has_the_asked_width_and_goes_from_rim_to_rim(lines):
    for mask in (e.mask for e in lines):
        ys, xs = np.nonzero(mask)
        centred = np.stack([xs - xs.mean(), ys - ys.mean()])  # (2, n)
        along, across = np.linalg.svd(centred, full_matrices=False)[0].T @ centred  # principal axes
        assert across.std() == pytest.approx(np.hypot(1.0, 4 / np.sqrt(12)), abs=0.25)  # jitter, and a width of 4
        assert len(ys) == pytest.approx(4 * np.ptp(along), rel=0.12)
        rim = np.ones_like(mask)
        rim[4:-4, 4:-4] = False
        ends = np.sort(along[rim[ys, xs]])
        assert (ends[0], ends[-1]) == pytest.approx((along.min(), along.max()), abs=6)


def test_lines_differ_in_angle_and_place(lines):
    slopes = [np.polyfit(*np.nonzero(e.mask), 1) for e in lines]
    assert len({tuple(np.round(slope, 1)) for slope in slopes}) == len(lines)
    hits = np.mean([e.mask for e in lines], axis=0)
    assert hits.max() < 0.5  # no pixel that every line passes


@pytest.mark.parametrize("width", [80.0, 100.0])
def test_line_must_fit_the_image(width):
    with pytest.raises(ValidationError, match=r"line.width must be less than the image \(80, 96\), got"):
        NOISE.but(image_size=(80, 96), line=BASE.defect_injection.line.but(width=width))
