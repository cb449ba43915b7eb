import numpy as np
import pytest
from defect_images import PARAMS, frozen, rng, textured

from flawline.vision.defects import Disk, Patch, Scar
from flawline.vision.defects.base import turned
from flawline.vision.defects.transplants import in_rectangle, jittered, other_place

SIZE = (80, 100)
WHOLE = frozen(np.ones(SIZE, bool))
PLAIN = {"jitter": 0, "visible": 0}


def spans(mask):
    ys, xs = np.nonzero(mask)
    return np.ptp(ys) + 1, np.ptp(xs) + 1


# --- rectangles ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (4, 3)])
def test_rectangle_holds_as_many_pixels_as_it_is_long(size):
    offsets = np.indices((21, 21)).reshape(2, -1) - 10
    inside = in_rectangle(offsets, size).reshape(21, 21)
    assert inside.sum() == size[0] * size[1]
    assert spans(inside) == size
    assert inside[10, 10]


def test_other_place_lies_in_the_image_and_reaches_every_border():
    found = np.array([other_place((10, 20), (4.0, 7.0), rng(seed)) for seed in range(300)])
    assert (found.min(axis=0).tolist(), found.max(axis=0).tolist()) == ([2, 3], [8, 16])  # rows 0 to 9, columns 0 to 19
    assert other_place((3, 3), (9.0, 9.0), rng()) == (1, 1)


# --- patch -----------------------------------------------------------------------------------------------------------
def test_patch_without_jitter_is_a_copy_of_the_place_it_tells():
    image = textured(np.float32)
    made = Patch(PARAMS.patch.but(**PLAIN))(image, WHOLE, rng(2))
    ys, xs = np.nonzero(made.mask)
    dy, dx = made.drawn["source_y"] - made.drawn["y"], made.drawn["source_x"] - made.drawn["x"]
    np.testing.assert_allclose(made.image[:, ys, xs], image[:, ys + dy, xs + dx], atol=1e-6)
    assert spans(made.mask) == (made.drawn["height"], made.drawn["width"])
    assert made.mask.sum() == made.drawn["height"] * made.drawn["width"]


def test_patches_have_the_asked_area_and_aspect():
    params = PARAMS.patch.but(share=(0.1, 0.1), aspect=(4, 4), **PLAIN)
    for seed in range(5):
        made = Patch(params)(textured(np.float32), WHOLE, rng(seed))
        assert made.mask.mean() == pytest.approx(0.1, rel=0.05)
        assert made.drawn["height"] / made.drawn["width"] == pytest.approx(4, rel=0.1)


def test_aspects_are_as_often_high_as_wide():
    image = textured(np.float32)
    made = [Patch(PARAMS.patch.but(aspect=(0.25, 4), **PLAIN))(image, WHOLE, rng(seed)).drawn for seed in range(200)]
    assert sum(each["height"] > each["width"] for each in made) == pytest.approx(100, abs=25)


def test_patch_is_rarely_cut_by_a_disk_and_never_leaves_it():
    disk, image = Disk(x=50, y=40, radius=25).mask(SIZE), textured(np.float32)
    params, whole = PARAMS.patch.but(share=(0.1, 0.2), aspect=(0.8, 1.25), **PLAIN), 0
    for seed in range(20):
        made = Patch(params)(image, disk, rng(seed))
        assert not (made.mask & ~disk).any()
        whole += made.mask.sum() == made.drawn["height"] * made.drawn["width"]
    assert whole >= 18


# --- scar ------------------------------------------------------------------------------------------------------------
def test_scar_is_long_and_thin_and_lies_at_its_angle():
    params = PARAMS.scar.but(length=(0.5, 0.5), width=(0.05, 0.05), angle=(30, 30), **PLAIN)
    made = Scar(params)(textured(np.float32), WHOLE, rng(1))
    assert (made.drawn["width"], made.drawn["height"], made.drawn["angle"]) == (50, 4, 30)
    points = np.argwhere(made.mask)
    along = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]  # (y, x)
    assert np.degrees(np.arctan2(-along[0], along[1])) % 180 == pytest.approx(30, abs=2)  # y points down
    assert made.mask.sum() == pytest.approx(200, rel=0.06)


def test_scar_shows_the_other_place_turned_with_it():
    """A pixel shows what lies at its offset, turned back, from the other place: of a ramp, that place itself."""
    ys, xs = np.mgrid[:80, :100] / np.float32(200)
    image = frozen(np.stack([ys, xs]).astype(np.float32))
    params = PARAMS.scar.but(length=(0.3, 0.3), width=(0.1, 0.1), angle=(40, 40), **PLAIN)
    made = Scar(params)(image, WHOLE, rng(7))
    offsets = np.stack(np.nonzero(made.mask)) - [[made.drawn["y"]], [made.drawn["x"]]]
    source = turned(offsets, -40) + np.array([[made.drawn["source_y"]], [made.drawn["source_x"]]])
    inside = ((source >= 0) & (source <= [[79], [99]])).all(axis=0)
    assert inside.mean() > 0.8
    np.testing.assert_allclose(made.image[:, made.mask][:, inside] * 200, source[:, inside], atol=1e-3)


# --- colours ---------------------------------------------------------------------------------------------------------
def test_jitter_by_hand():
    """Factors 1 +- 0.1; brightness first, then contrast about the mean, then saturation about the grey."""
    values = np.array([[0.2, 0.4], [0.2, 0.4], [0.5, 0.7]], np.float32)
    changed, told = jittered(values, 0.1, rng(3))
    b, c, s = rng(3).uniform(0.9, 1.1, 3)
    assert told == {"brightness": b, "contrast": c, "saturation": s}
    mean = np.array([0.3, 0.3, 0.6])[:, None] * b
    spread = mean + c * (values * b - mean)
    grey = 0.299 * spread[0] + 0.587 * spread[1] + 0.114 * spread[2]
    np.testing.assert_allclose(changed, grey + s * (spread - grey), atol=1e-6)


def test_grey_has_no_saturation_and_no_strength_changes_nothing():
    values = rng().random((1, 7), dtype=np.float32)
    changed, told = jittered(values, 0, rng())
    np.testing.assert_allclose(changed, values, atol=1e-6)
    assert told == {"brightness": 1, "contrast": 1}
