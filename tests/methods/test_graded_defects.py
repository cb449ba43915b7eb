"""Pseudo-defects by which methods are chosen: in turn, on the part, fainter by a known share."""

import numpy as np
import pytest
from base_params import BASE
from moved_parts import part_of

from flawline.methods.graded_defects import disks, disturbed, find_part, graded_defects, with_defects
from flawline.vision.defects import inject

INJECTION = BASE.defect_injection.but(kinds=("line", "stain"), graded={"strengths": (1.0, 0.5), "radius": (0.05, 0.1)})


def test_images_kinds_and_strengths_take_turns():
    made = graded_defects([part_of(seed=k) for k in range(3)], INJECTION, count=8, seed=0)
    assert sorted(each.source for each in made[:3]) == sorted(each.source for each in made[3:6]) == [0, 1, 2]
    assert [each.kind for each in made] == ["line", "stain"] * 4
    assert [each.strength for each in made] == [1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5]
    images = [part_of(seed=k) for k in range(3)]
    again = graded_defects(images, INJECTION, count=8, seed=0)
    for one, other in zip(with_defects(images, made), with_defects(images, again), strict=True):
        assert (one == other).all()
    assert all((one != images[each.source]).any() for one, each in zip(with_defects(images, made), made, strict=True))
    assert max(each.pixels.size for each in made) < images[0].size / 4


def test_they_lie_on_the_part_and_anywhere_where_there_is_none():
    image = part_of()
    part = find_part(image)
    assert 0.05 < part.mean() < 0.2
    grey = np.random.default_rng(0).integers(90, 110, image.shape).astype(np.uint8)  # a texture
    assert find_part(grey) is None
    small = INJECTION.but(kinds=("gaussian",), graded={"strengths": (1.0,), "radius": (0.03, 0.05)})
    far = INJECTION.radius[0] * min(image.shape[1:])

    def share_near(part, made, original):
        changed = np.stack([(one != original).any(axis=0) for one in with_defects([original], made)])
        centres = [np.argwhere(one).mean(axis=0).round().astype(int) for one in changed]
        return np.mean([part[max(0, y - int(far)) : y + int(far), max(0, x - int(far)) : x + int(far)].any()
                        for y, x in centres])  # fmt: skip

    assert share_near(part, graded_defects([image], small, count=40, seed=0), image) == 1
    assert share_near(part, graded_defects([grey], small, count=40, seed=0), grey) < 0.7


def test_the_smallest_have_the_area_of_the_smallest_wanted_defect():
    assert disks((0.03, 0.15), 0, 200) == disks((0.03, 0.15), 0, 200, small=True) == (0.03, 0.15)
    low, high = disks((0.03, 0.15), 50.0, 200)
    assert np.pi * (200 * low) ** 2 == pytest.approx(50)
    assert high == 0.15
    assert disks((0.03, 0.15), 50.0, 200, small=True) == (low, 2 * low)
    assert disks((0.03, 0.15), 1e4, 200) == disks((0.03, 0.15), 1e4, 200, small=True) == (0.15, 0.15)


@pytest.mark.parametrize("area", [0.5, 1.0, 20.0, 1e5])
def test_of_small_wanted_defects_every_kind_can_be_drawn(area):
    image = np.random.default_rng(0).integers(90, 110, (1, 200, 240)).astype(np.uint8)
    kinds = BASE.defect_injection.kinds
    made = graded_defects([image], BASE.defect_injection, count=4 * len(kinds), seed=0, least_area=area)
    sizes = np.array([each.pixels[0].size for each in made]).reshape(4, -1)
    assert {each.kind for each in made} == set(kinds)
    if area < 100:  # every other round is of small ones
        assert np.median(sizes[1::2]) < np.median(sizes[::2]) / 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_weaker_one_changes_every_pixel_by_its_share_alone(dtype):
    image = part_of(dtype=dtype)
    full, half = (
        inject(image, "stain", BASE.defect_injection, np.random.default_rng(3), strength=strength)
        for strength in (1.0, 0.5)
    )
    assert (full.mask == half.mask).all()
    before = image.astype(float)
    np.testing.assert_allclose(half.image - before, (full.image - before) / 2, atol=1)
    assert (half.image[:, ~half.mask] == image[:, ~half.mask]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_good_image_is_moved_and_lit_within_bounds(dtype):
    image = part_of(dtype=dtype)
    full = np.iinfo(dtype).max
    for seed in range(5):
        made = disturbed(image, np.random.default_rng(seed))
        assert (made.shape, made.dtype) == (image.shape, dtype)
        assert 0.96 < made.mean() / image.mean() < 1.04
        assert abs(made / full - image / full).mean() < 0.05
    assert (disturbed(np.zeros_like(image), np.random.default_rng(0)) == 0).all()
