import hashlib
import itertools
import socket
from collections import Counter

import numpy as np
import pytest
import skimage.data
from base_params import BASE
from pydantic import ValidationError

from flawline.intake.examples.surface import (
    HELD_OUT_FIRST,
    crop_at,
    draw_surface,
    installed_photograph,
    source_crop,
    split_crops,
)

SURFACE = BASE.examples.surface

PARAMS = SURFACE
NAMES = ("brick", "gravel", "grass")


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def surface(name):
    return list(draw_surface(name, PARAMS))


@pytest.fixture(scope="module")
def photograph(name):
    return installed_photograph(name)


def corners_of(crop, photograph):
    """Return the corners (y, x) on the grid where ``crop`` (1, h, w) was cut out of ``photograph``."""
    side = crop.shape[1]
    grid = itertools.product(range(0, 512 - side + 1, side), repeat=2)
    return [(y, x) for y, x in grid if (photograph[y : y + side, x : x + side] == crop[0]).all()]


# --- the photographs -------------------------------------------------------------------------------------------------
def test_photographs_are_those_of_scikit_image(name, photograph):
    np.testing.assert_array_equal(photograph, getattr(skimage.data, name)())


def test_photographs_need_no_network_and_no_cache(name, monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise AssertionError("no network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert installed_photograph(name).shape == (512, 512)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("brick", "664a145c5253f0d6"),
        ("gravel", "3d51ad45f789cd8b"),
        ("grass", "b18dae4c68bf850a"),
    ],
    indirect=["name"],
)
def test_photographs_are_those_our_figures_were_made_with(name, digest):
    assert hashlib.sha256(installed_photograph(name).tobytes()).hexdigest().startswith(digest)


# --- crops -----------------------------------------------------------------------------------------------------------
def test_counts_per_split_follow_the_params(surface):
    assert Counter((e.split, e.defect) for e in surface) == {
        ("train", "good"): 6,
        ("validation", "good"): 1,
        ("calibration", "good"): 5,
        ("test", "good"): 4,
        **{("test", kind): 4 for kind in ("elastic", "line", "gaussian", "poisson")},
    }
    assert [e.name for e in surface if e.defect == "line"] == ["000", "001", "002", "003"]


def test_no_pixel_of_the_photograph_is_in_two_normal_images_and_all_are_used(surface, photograph):
    uses = np.zeros((512, 512), int)
    for example in (e for e in surface if e.defect == "good"):
        ((y, x),) = corners_of(example.image, photograph)
        uses[y : y + 128, x : x + 128] += 1
    assert (uses == 1).all()


def test_crops_that_do_not_fill_the_photograph_share_no_pixel_either():
    params = SURFACE.but(crop=100, train=10, calibration=8, normal_test=6)
    corners = list(itertools.chain(*split_crops(512, params).values()))
    assert len(set(corners)) == 25
    assert all(y % 100 == x % 100 == 0 and max(y, x) <= 400 for y, x in corners)


def test_more_training_images_leave_the_held_out_ones_as_they_are():
    few, many = (split_crops(512, SURFACE.but(crop=64, train=train)) for train in (6, 40))
    for count in HELD_OUT_FIRST[:-1]:
        assert few[count] == many[count]
    assert many["train"][:6] == few["train"]


def test_order_of_the_crops_is_drawn_from_the_seed():
    orders = [str(split_crops(512, SURFACE.but(seed=seed))) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_cut_by_hand():
    photograph = np.arange(12, dtype=np.uint8).reshape(3, 4)
    crop = crop_at(photograph, (1, 2), 2)
    np.testing.assert_array_equal(crop, [[[6, 7], [10, 11]]])
    crop[:] = 0
    assert photograph[1, 2] == 6


# --- defects ---------------------------------------------------------------------------------------------------------
def test_outside_the_mask_a_defective_image_is_its_test_crop_and_inside_it_is_not(surface):
    crops = [e.image for e in surface if (e.split, e.defect) == ("test", "good")]
    for i, example in enumerate(e for e in surface if e.mask is not None):
        crop = crops[source_crop(i, PARAMS)]
        np.testing.assert_array_equal(example.image[:, ~example.mask], crop[:, ~example.mask])
        assert (example.image != crop)[0, example.mask].mean() > 0.6


def test_disks_and_lines_are_as_large_as_asked(surface):
    for example in (e for e in surface if e.mask is not None):
        area = example.mask.sum()
        if example.defect == "line":
            assert 12 * 2 < area < 2 * 28 * 4.5
        else:
            assert np.pi * 11.5**2 < area < np.pi * 28.5**2


def test_every_crop_gets_every_kind_before_any_comes_twice():
    pairs = [(i % 4, source_crop(i, PARAMS)) for i in range(16)]
    assert len(set(pairs)) == 16
    assert [crop for _, crop in pairs[:4]] == [0, 1, 2, 3]
    five = SURFACE.but(crop=64, normal_test=5)
    assert len({(i % 4, source_crop(i, five)) for i in range(20)}) == 20


def test_a_defective_image_does_not_depend_on_how_many_others_there_are(surface, name):
    few = list(draw_surface(name, SURFACE.but(train=2, anomalous_test=5)))
    by_name = {(e.defect, e.name): e for e in surface if e.mask is not None}
    defective = [e for e in few if e.mask is not None]
    assert [(e.defect, e.name) for e in defective] == [
        ("elastic", "000"), ("line", "000"), ("gaussian", "000"), ("poisson", "000"), ("elastic", "001"),
    ]  # fmt: skip
    for example in defective:
        np.testing.assert_array_equal(example.image, by_name[example.defect, example.name].image)
        np.testing.assert_array_equal(example.mask, by_name[example.defect, example.name].mask)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"train": 7}, r"must not exceed the 16 crops of 128 pixels, got 17"),
        ({"crop": 257}, r"must not exceed the 1 crops of 257 pixels, got 16"),
        ({"crop": 513}, r"less than or equal to 512"),
        ({"region_radius": (20, 64)}, r"region_radius must be .* fit a crop of 128 pixels, got \(20.0, 64.0\)"),
        ({"region_radius": (28, 12)}, r"region_radius must be \(smallest, largest\)"),
        ({"region_radius": (0.5, 12)}, r"from 1 upwards"),
        ({"normal_test": 0}, r"greater than 0"),
        ({"kinds": ("dent",)}, r"elastic"),
    ],
)
def test_parameters_that_do_not_fit(params, message):
    with pytest.raises(ValidationError, match=message):
        SURFACE.but(**params)
