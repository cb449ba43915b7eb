"""Pseudo-defects of known size and contrast: measured in the images, spread over sizes, on the part."""

import numpy as np
import pytest
from base_params import BASE
from moved_parts import part_of

from flawline.methods.graded_defects import find_part
from flawline.methods.sized_defects import put_back, size_share, sized_defects, with_contrast
from flawline.vision.defects import INJECTORS

ASKED = BASE.detectability.but(defects=36, kinds=("stain", "line"), contrasts=(0.05, 0.2), sizes=(0.04, 0.16))


def made_of(images, params=ASKED, seed=0):
    return list(sized_defects(images, BASE.defect_injection, params, seed=seed))


def surface(seed=0, size=(200, 220), dtype=np.uint8, channels=1):
    grey = np.random.default_rng(seed).integers(90, 110, (channels, *size)) / 255
    return np.rint(grey * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_size_and_contrast_are_those_of_the_image_that_is_made(dtype):
    images = [surface(k, dtype=dtype, channels=3) for k in range(3)]
    made = made_of(images)
    assert len(made) == 36
    assert [each.kind for each in made[:4]] == ["stain", "line", "stain", "line"]
    assert [each.aimed for each in made[:5]] == [0.05, 0.05, 0.2, 0.2, 0.05]
    assert sorted({each.source for each in made[:3]}) == [0, 1, 2]
    full = np.iinfo(dtype).max
    for each in made:
        damaged = put_back(images[each.source], each.pixels, each.note())
        assert damaged.dtype == dtype
        change = np.abs(damaged.astype(float) - images[each.source]) / full
        area = np.pi / 4 * each.size**2
        assert change.sum() / 3 == pytest.approx(each.contrast * area, rel=1e-4)
        assert each.contrast == pytest.approx(each.aimed, rel=0.1)
    again = made_of(images)
    assert all((one.pixels == other.pixels).all() for one, other in zip(made, again, strict=True))


@pytest.mark.parametrize("kind", INJECTORS)
def test_of_every_kind_sizes_are_spread_over_what_was_asked_for(kind):
    made = made_of([surface(k) for k in range(2)], ASKED.but(kinds=(kind,), contrasts=(0.1,), defects=12))
    sizes = np.array([each.size for each in made]) / 200
    assert len(made) == 12
    wanted = np.geomspace(0.04, 0.16, 25)[1::2]  # the middles of twelve steps
    assert np.median(np.abs(np.log(sizes / wanted))) < 0.1
    assert np.abs(np.log(sizes / wanted)).max() < 0.7


def test_steps_of_the_size_are_even_on_a_logarithmic_scale():
    assert [size_share((0.01, 0.16), k, 2) for k in range(2)] == pytest.approx([0.02, 0.08])


def test_they_lie_on_the_part():
    image = part_of()
    part = find_part(image)
    made = made_of([image], ASKED.but(sizes=(0.04, 0.06)))
    for each in made:
        (top, bottom), (left, right) = ((max(0, s.start - 9), s.stop + 9) for s in each.box)
        assert part[top:bottom, left:right].any()


def test_what_no_brighter_defect_reaches_a_darker_one_does():
    white = np.full((1, 5), 0.98, np.float32)
    brighter = np.full((1, 5), 0.1, np.float32)
    assert with_contrast(white, brighter, 0.3) == pytest.approx(np.full((1, 5), 0.68))
    assert with_contrast(np.zeros((1, 5), np.float32), brighter, 0.3) == pytest.approx(np.full((1, 5), 0.3))


def test_clipping_is_made_up_for_and_what_cannot_be_is_left_as_near_as_it_comes():
    before = np.array([[0.5, 0.95]], np.float32)
    half_clipped = with_contrast(before, np.ones((1, 2), np.float32), 0.2)
    assert np.abs(half_clipped - before).mean() == pytest.approx(0.2, rel=0.05)
    assert half_clipped.max() <= 1
    middle = np.full((1, 4), 0.5, np.float32)
    assert np.abs(with_contrast(middle, np.ones((1, 4), np.float32), 0.8) - middle).mean() == pytest.approx(0.5)
    assert (with_contrast(middle, np.zeros((1, 4), np.float32), 0.2) == middle).all()


def test_too_small_images_have_none_and_what_cannot_be_seen_is_left_out():
    assert made_of([surface(size=(11, 40))]) == []
    assert made_of([]) == []
    assert len(made_of([surface(size=(12, 40))])) == 36
    black = np.zeros((1, 64, 64), np.uint8)
    assert made_of([black], ASKED.but(kinds=("elastic", "poisson"), defects=4)) == []
    assert made_of([surface()], ASKED.but(defects=0)) == []
