import numpy as np
import pytest
from defect_images import PARAMS, rng

from flawline.checks import FlawlineError
from flawline.vision.defects import Disk, random_disk, random_region
from flawline.vision.defects.regions import draw_region


def test_disk_of_radius_one_is_a_plus():
    np.testing.assert_array_equal(Disk(x=2, y=1, radius=1).mask((3, 4)), [[0, 0, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0]])


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (20, 20)])
def test_random_disks_lie_fully_inside_the_image(size):
    generator = rng()
    for _ in range(100):
        disk = random_disk(size, generator, radius=(3, 10))
        assert 3 <= disk.radius <= 10
        wide = Disk(disk.x + 50, disk.y + 50, disk.radius).mask((size[0] + 100, size[1] + 100))
        assert wide.sum() == disk.mask(size).sum() == pytest.approx(np.pi * disk.radius**2, rel=0.2)


def test_random_region_is_the_mask_of_the_random_disk():
    region = random_region((50, 60), rng(5), radius=(5, 9))
    assert region.dtype == np.bool_
    np.testing.assert_array_equal(region, random_disk((50, 60), rng(5), radius=(5, 9)).mask((50, 60)))


def test_random_region_refuses_what_does_not_fit():
    with pytest.raises(FlawlineError, match="radius must fit an image of 30 x 80 pixels, got 16 pixels"):
        random_region((30, 80), rng(), radius=(5, 16))
    with pytest.raises(FlawlineError, match=r"radius must be \(smallest, largest\), .* got \(9, 5\)"):
        random_region((30, 80), rng(), radius=(9, 5))
    with pytest.raises(FlawlineError, match=r"from 1 upwards, got \(0.5, 5\)"):
        random_region((30, 80), rng(), radius=(0.5, 5))


def test_drawn_region_is_the_disk_it_tells_of():
    region, where = draw_region((80, 100), PARAMS, rng(1))
    np.testing.assert_array_equal(region, Disk(*where["centre"], where["radius"]).mask((80, 100)))
    assert 0.05 * 80 <= where["radius"] <= 0.2 * 80


def test_region_image_is_the_whole_image_whatever_its_size():
    region, where = draw_region((3, 5), PARAMS.but(region="image"), rng())
    assert region.shape == (3, 5)
    assert region.all()
    assert where == {}


def test_image_too_small_for_the_smallest_disk_is_told_what_to_do():
    with pytest.raises(FlawlineError, match=r"image of 8 x 30 pixels is too small .* got 0\.4\. .*region to image"):
        draw_region((8, 30), PARAMS.but(region="disk"), rng())


def test_small_images_are_taken_whole_unless_a_disk_is_asked_for():
    region, where = draw_region((32, 64), PARAMS, rng())
    assert region.all()
    assert where == {}
    disk, where = draw_region((32, 64), PARAMS, rng(), kind="elastic")
    assert 0.01 < disk.mean() < 0.4
    assert 3.2 <= where["radius"] <= 12.8
    assert not draw_region((65, 80), PARAMS, rng())[0].all()
    assert draw_region((65, 80), PARAMS.but(region="image"), rng())[0].all()
