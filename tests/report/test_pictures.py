import io
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flawline.figures.photographs import MARK
from flawline.report import SampleReconstructions
from flawline.report.pictures import (
    black_and_white,
    heat_top,
    listed_size,
    mark,
    page_size,
    sample_columns,
    shrink,
    shrink_pixels,
    strips,
)


def at_page_size(judged):
    return shrink(judged, page_size(judged.image.shape[1:]))


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((3672, 5496), (321, 480)), ((100, 200), (100, 200)), ((480, 480), (480, 480)), ((256, 4096), (100, 1600))],
)
def test_page_size_shrinks_the_longest_side_and_never_enlarges(size, wanted):
    assert page_size(size) == wanted


def test_shrink_scales_the_regions_with_the_image(example):
    large = replace(example, image=np.zeros((1, 960, 960), np.uint8), anomaly_map=np.zeros((960, 960)), mask=None)
    small = at_page_size(large)
    assert small.image.shape == (1, 480, 480)
    assert small.regions == [(5, 10, 2, 3)]


def test_shrink_keeps_a_single_hot_pixel_of_the_map_and_the_mask(example):
    anomaly_map = np.zeros((3672, 5496), np.float16)
    anomaly_map[1000, 2000] = 7
    anomaly_map[0, 0] = np.nan
    large = replace(example, image=np.zeros((1, 3672, 5496), np.uint8), anomaly_map=anomaly_map, mask=anomaly_map == 7)
    small = at_page_size(large)
    assert np.argwhere(small.anomaly_map == 7).tolist() == [[87, 174]]
    assert small.mask.sum() == 1
    assert np.isfinite(small.anomaly_map).all()


def test_shrink_enlarges_a_coarse_map_to_the_image(example):
    small = at_page_size(replace(example, anomaly_map=np.array([[0, 1], [2, 3]], np.float32)))
    assert small.anomaly_map.shape == (40, 60)
    assert small.anomaly_map[0, 0] == 0
    assert small.anomaly_map[-1, -1] == 3


def test_shrink_shows_image_and_reconstruction_at_the_same_brightness(example):
    dim = np.full((1, 40, 60), 2047, np.uint16)  # half of 12 bits
    small = at_page_size(replace(example, image=dim, reconstruction=dim.astype(np.float32) / 65535))
    np.testing.assert_allclose(small.image, 2047 / 2047)
    np.testing.assert_allclose(small.reconstruction, small.image, rtol=1e-6)


def test_heat_top_puts_the_threshold_in_the_middle_else_takes_the_highest(example):
    assert heat_top([example]) == 1.0
    assert heat_top([replace(example, map_threshold=None)]) == pytest.approx(0.9, abs=1e-3)
    assert heat_top([replace(example, map_threshold=None, anomaly_map=np.full((4, 4), np.nan))]) == 1.0
    assert heat_top([]) == 1.0


def test_pictures_are_what_the_address_holds(example):
    strip = strips([example], of=1)[0]
    for picture in strip.pictures:
        decoded = Image.open(io.BytesIO(b64decode(picture.uri.partition(",")[2])))
        assert decoded.size == (picture.width, picture.height) == (60, 40)
    assert strip.mistake == "escape"


def test_pictures_shrink_where_there_are_many(example):
    large = replace(example, image=np.zeros((1, 480, 480), np.uint8), anomaly_map=np.zeros((480, 480)), mask=None)
    assert strips([large], of=24)[0].pictures[0].width == 480
    assert strips([large], of=25)[0].pictures[0].width == 320


def decoded(picture):
    return np.asarray(Image.open(io.BytesIO(b64decode(picture.uri.partition(",")[2]))).convert("RGB"))


def sample_reconstructions(*epochs, patches=4, size=16):
    drawn = np.full((patches, 1, size, size), 0.5, np.float32)
    return SampleReconstructions(drawn, dict.fromkeys(epochs, drawn * 0.25))


def captions(columns):
    return [column[0].caption for column in columns]


def test_sample_reconstructions_are_a_column_a_stage_with_the_first_patches():
    columns = sample_columns(sample_reconstructions(0, 1, 20))
    assert captions(columns) == ["input", "untrained", "after 1 epoch", "after 20 epochs"]
    assert [len(column) for column in columns] == [3] * 4
    assert [len(column) for column in sample_columns(sample_reconstructions(0, patches=2))] == [2, 2]


def test_of_many_stages_seven_columns_are_shown_the_first_and_the_last_among_them():
    shown = captions(sample_columns(sample_reconstructions(*range(101))))
    assert shown == ["input", "untrained", *(f"after {n} epochs" for n in (20, 40, 60, 80, 100))]


def test_sample_reconstructions_without_a_patch_or_a_stage():
    assert sample_columns(sample_reconstructions(0, patches=0)) == []
    assert captions(sample_columns(sample_reconstructions())) == ["input"]


def test_sample_reconstructions_are_on_one_scale_and_values_beyond_it_are_cut():
    drawn = np.full((1, 1, 8, 8), 1.5, np.float32)
    columns = sample_columns(SampleReconstructions(drawn / 3, {0: drawn, 1: -drawn, 2: drawn / 6}))
    values = [decoded(column[0]).mean() for column in columns]
    np.testing.assert_allclose(values, [128, 255, 0, 64], atol=1)


def test_sample_reconstructions_keep_their_colours():
    drawn = np.zeros((1, 3, 8, 8), np.float32)
    drawn[:, 2] = 1
    red, _, blue = decoded(sample_columns(SampleReconstructions(drawn, {}))[0][0]).mean(axis=(0, 1))
    assert blue > 245
    assert red < 10


def test_a_large_patch_is_averaged_down_and_a_small_one_left_to_the_page():
    assert decoded(sample_columns(sample_reconstructions(0, size=256))[0][0]).shape[:2] == (128, 128)
    assert decoded(sample_columns(sample_reconstructions(0, size=256), longest=64)[0][0]).shape[:2] == (64, 64)
    assert decoded(sample_columns(sample_reconstructions(0, size=8))[0][0]).shape[:2] == (8, 8)


def test_black_and_white_is_the_mask_to_the_pixel():
    mask = np.random.default_rng(0).random((7, 9)) > 0.5
    picture = black_and_white("mask", mask)
    np.testing.assert_array_equal(decoded(picture), np.repeat(np.where(mask, 255, 0)[..., None], 3, axis=2))
    assert (picture.height, picture.width) == (7, 9)


def test_an_example_without_a_map_is_a_photograph_and_its_mask(example):
    whole = replace(
        example, anomaly_map=np.zeros((0, 0), np.float16), reconstruction=None, map_threshold=None, regions=[]
    )
    (strip,) = strips([whole], of=1)
    assert [one.caption for one in strip.pictures] == ["photograph", "marked by hand"]
    assert {(one.height, one.width) for one in strip.pictures} == {(40, 60)}
    (unmarked,) = strips([replace(whole, mask=None)], of=1)
    assert [one.caption for one in unmarked.pictures] == ["photograph"]
    long = replace(whole, image=np.zeros((1, 20, 200), np.uint8), mask=None)
    assert strips([long], of=1)[0].wide


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((3672, 5496), (160, 240)), ((100, 200), (100, 200)), ((256, 4096), (50, 800)), ((900, 900), (240, 240))],
)
def test_listed_pictures_are_small_and_strips_longer(size, wanted):
    assert listed_size(size) == wanted
    assert shrink_pixels(np.zeros((*size, 3), np.uint8)).shape == (*wanted, 3)


def test_shrunk_pixels_are_means_of_what_they_cover():
    pixels = np.zeros((480, 480, 3), np.uint8)
    pixels[:2, :2, 0] = [[100, 0], [0, 100]]
    small = shrink_pixels(pixels)
    assert small[0, 0].tolist() == [50, 0, 0]
    assert small[1:].max() == 0


def test_a_marked_picture_is_the_photograph_in_colour_with_a_sharp_box(example):
    photograph = np.stack([np.full((480, 720), level, np.uint8) for level in (10, 200, 30)])
    anomaly_map = np.zeros((480, 720), np.float16)
    anomaly_map[90:120, 300:360] = 0.9
    region = replace(example, image=photograph, anomaly_map=anomaly_map, mask=None).regions[0]
    region.y, region.x, region.height, region.width = 90, 300, 30, 60
    marked = mark(replace(example, image=photograph, anomaly_map=anomaly_map, mask=None, regions=[region]))
    assert marked.shape == (160, 240, 3)
    assert marked[0, 0].tolist() == [10, 200, 30]
    assert marked[29, 110].tolist() == list(MARK)  # the box lies one pixel outside
    assert marked[35, 110, 0] > 100  # the tint within
    assert (marked != (10, 200, 30)).any(axis=2).sum() == 12 * 22


def test_a_marked_picture_without_a_map_is_the_photograph(example):
    whole = replace(example, anomaly_map=np.zeros((0, 0), np.float16), map_threshold=None, regions=[])
    assert (mark(whole) == 120).all()
