import hashlib
import io

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from flawline.intake.decoding import FORMATS, encode_png
from flawline.intake.measuring import (
    COLUMNS,
    Measured,
    Measurements,
    decoder_key,
    fingerprint,
    measure,
    measure_file,
    shrink,
    used_bits,
)
from flawline.intake.near_duplicates import fine_structure
from flawline.vision.levels import grey_levels, to_full_scale

HAND = np.array([[[0, 100, 50], [200, 200, 50]]], np.uint8)  # (1, 2, 3)
MEAN = 100.0
CONTRAST = np.sqrt((100**2 + 0 + 50**2 + 100**2 + 100**2 + 50**2) / 6)
SHARPNESS = (100 + 50 + 0 + 150) / 4


def figures(pixels):
    measured = measure(pixels, "x")
    return [measured.mean, measured.contrast, measured.sharpness]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def digest(content):
    return hashlib.sha256(content).hexdigest()


# --- figures ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("pixels", "depth", "channels"),
    [(HAND, 8, 1), (HAND.astype(np.uint16) * 257, 16, 1), (HAND.repeat(3, 0), 8, 3),
     (HAND.repeat(3, 0).astype(np.uint16) * 257, 16, 3)],
)  # fmt: skip
def test_figures_by_hand_whatever_the_depth_and_the_channels(pixels, depth, channels):
    measured = measure(pixels, "digest", 2, "PNG")
    assert figures(pixels) == pytest.approx([MEAN, CONTRAST, SHARPNESS], rel=1e-6)
    assert (measured.sha256, measured.page, measured.format, measured.reason) == ("digest", 2, "PNG", "")
    assert (measured.channels, measured.height, measured.width, measured.depth) == (channels, 2, 3, depth)
    assert measured.marked == 0


def test_even_image_has_no_contrast_and_no_sharpness():
    assert figures(np.full((1, 5, 7), 77, np.uint8)) == [77, 0, 0]


def test_sharpness_is_across_columns_only():
    rows = np.arange(8, dtype=np.uint8)[None, :, None].repeat(5, 2) * 20  # (1, 8, 5)
    assert figures(rows)[2] == 0
    assert figures(rows.swapaxes(1, 2))[2] == pytest.approx(20)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 1), (3, 1, 4)])
def test_smallest_images(shape):
    pixels = np.full(shape, 200, np.uint8)
    assert figures(pixels) == pytest.approx([200, 0, 0], abs=1e-3)
    assert (measure(pixels, "x").thumbnail == 200).all()


# --- grey levels -----------------------------------------------------------------------------------------------------
@given(arrays(np.uint8, (3, 4, 5)))
@settings(max_examples=50, deadline=None)
def test_grey_is_pillows_but_for_rounding(pixels):
    pillows = np.asarray(Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, 2))).convert("L"))
    np.testing.assert_allclose(grey_levels(pixels), pillows, atol=0.51)


@given(arrays(np.uint8, st.sampled_from([(1, 3, 4), (3, 3, 4)])))
@settings(max_examples=50, deadline=None)
def test_grey_levels_are_the_same_whatever_the_depth(pixels):
    deep = pixels.astype(np.uint16) * 257  # 255 becomes 65535
    np.testing.assert_allclose(grey_levels(deep), grey_levels(pixels), atol=1e-4)
    assert grey_levels(deep).dtype == np.float32


def test_grey_is_kept_and_white_is_255():
    np.testing.assert_array_equal(grey_levels(HAND), HAND[0])
    assert grey_levels(np.full((3, 1, 1), 255, np.uint8)) == pytest.approx(255)
    assert grey_levels(np.full((1, 1, 1), 65535, np.uint16)) == pytest.approx(255)


# --- thumbnails ------------------------------------------------------------------------------------------------------
def test_thumbnail_is_the_mean_of_what_it_covers():
    grey = noise(256, 384).astype(np.float32)
    wanted = grey.reshape(128, 2, 128, 3).mean(axis=(1, 3))  # (128, 128)
    np.testing.assert_allclose(shrink(grey), wanted, atol=0.501)
    assert shrink(grey).dtype == np.uint8


def test_thumbnail_of_a_size_that_does_not_divide_keeps_the_mean():
    grey = noise(203, 311).astype(np.float32)
    assert shrink(grey).mean() == pytest.approx(grey.mean(), abs=0.2)


def test_small_images_are_repeated():
    grey = np.array([[10, 20], [30, 40]], np.float32)
    np.testing.assert_array_equal(shrink(grey), grey.repeat(64, 0).repeat(64, 1))


# --- fingerprints ----------------------------------------------------------------------------------------------------
def test_fingerprint_forgets_gain_and_offset():
    thumbnail = noise(128, 128) // 4  # at most 63
    name = fingerprint(thumbnail)
    assert len(name) == 64
    for gain, offset in ((1, 50), (2, 0), (3, 20), (4, 3)):
        assert fingerprint(thumbnail * np.uint8(gain) + np.uint8(offset)) == name


def test_half_of_the_frequencies_lie_above_their_median():
    assert int(fingerprint(noise(128, 128)), 16).bit_count() == 128


def test_fingerprints_of_other_images_differ_in_about_half_of_the_bits():
    names = [int(fingerprint(noise(128, 128, seed=seed)), 16) for seed in range(20)]
    apart = [(a ^ b).bit_count() for i, a in enumerate(names) for b in names[:i]]
    assert min(apart) > 80
    assert max(apart) < 176


def test_fingerprint_sees_a_coarse_wave_and_no_fine_one():
    across = np.arange(128)
    thumbnail = noise(128, 128) // 4 + 90
    fine = (thumbnail + 20 * np.cos(np.pi * 64 * (across + 0.5) / 128)).round().astype(np.uint8)
    coarse = (thumbnail + 20 * np.cos(np.pi * 5 * (across + 0.5) / 128)).round().astype(np.uint8)
    name = int(fingerprint(thumbnail), 16)
    assert (int(fingerprint(fine), 16) ^ name).bit_count() <= 4  # rounding
    place = 255 - 5  # the first row, frequency 5
    assert int(fingerprint(coarse), 16) >> place & 1 == 1
    assert int(fingerprint((thumbnail * 2.0 - coarse).round().astype(np.uint8)), 16) >> place & 1 == 0


# --- files -----------------------------------------------------------------------------------------------------------
def test_file_by_hand():
    content = encode_png(HAND)
    (measured,) = measure_file(content, digest(content), max_pixels=6)
    assert measured == measure(HAND, digest(content), 0, "PNG")
    np.testing.assert_array_equal(measured.thumbnail, measure(HAND, "").thumbnail)


@pytest.mark.parametrize(("name", "told"), [("JPEG", "JPEG"), ("BMP", "BMP"), ("WEBP", "WEBP"), ("TIFF", "TIFF")])
def test_format_is_told_by_the_content(name, told):
    file = io.BytesIO()
    Image.fromarray(noise(8, 8)).save(file, name)
    assert measure_file(file.getvalue(), "x", max_pixels=64)[0].format == told


def test_every_page_has_a_row(tmp_path):
    pages = np.stack([np.full((4, 5), level, np.uint8) for level in (10, 20, 30)])
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    measured = measure_file((tmp_path / "stack.tif").read_bytes(), "x", max_pixels=20)
    assert [(page.page, page.mean, page.format) for page in measured] == [
        (1, 10, "TIFF"), (2, 20, "TIFF"), (3, 30, "TIFF"),
    ]  # fmt: skip


def test_page_that_cannot_be_read_has_its_reason(tmp_path):
    with tifffile.TiffWriter(tmp_path / "stack.tif") as file:
        file.write(np.full((4, 5), 10, np.uint8), photometric="minisblack")
        file.write(np.full((4, 5), 10, np.float32), photometric="minisblack")
    first, second = measure_file((tmp_path / "stack.tif").read_bytes(), "x", max_pixels=20)
    assert (first.page, first.reason, first.mean) == (1, "", 10)
    assert second == Measured("x", 2, reason="has floating-point pixels; wanted 8 or 16 bit")
    assert second.thumbnail.shape == (0, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", "is not an image in one of the formats " + ", ".join(FORMATS)),
        (encode_png(HAND)[:8], "is damaged (its header cannot be read)"),
        (encode_png(HAND)[:-12], "is damaged (its end is missing)"),
        (encode_png(noise(1, 3, 3)), "its header says 3 x 3 pixels, more than max_pixels = 6"),
    ],
)
def test_file_that_cannot_be_read_has_its_reason(content, reason):
    assert measure_file(content, "x", max_pixels=6) == [Measured("x", reason=reason)]


# --- what is known ---------------------------------------------------------------------------------------------------
MEASURED = [measure(noise(1, 6, 7), "a"), measure(noise(3, 6, 7), "b", 1, "TIFF"), Measured("b", 2, reason="is odd")]


def test_table_has_a_row_each_and_no_thumbnails():
    measurements = Measurements.of(MEASURED, "key")
    assert measurements.table.columns.tolist() == COLUMNS
    assert measurements.table["sha256"].tolist() == ["a", "b", "b"]
    assert "thumbnail" not in COLUMNS
    assert [each.shape for each in measurements.thumbnails] == [(128, 128), (128, 128), (0, 0)]


def test_known_by_content():
    known = Measurements.of(MEASURED, "key").by_content("key")
    assert known == {"a": MEASURED[:1], "b": MEASURED[1:]}
    for got, wanted in zip([*known["a"], *known["b"]], MEASURED, strict=True):
        np.testing.assert_array_equal(got.thumbnail, wanted.thumbnail)
    assert type(known["a"][0].height) is int


def test_nothing_is_known_by_another_key():
    assert Measurements.of(MEASURED, "key").by_content("another key") == {}


def test_nothing_measured_is_an_empty_table():
    measurements = Measurements.of([], "key")
    assert measurements.table.columns.tolist() == COLUMNS
    assert measurements.by_content("key") == measurements.places() == {}


def test_places_by_content_and_page_and_each_once():
    measurements = Measurements.of([*MEASURED, MEASURED[0]], "key")
    assert measurements.places() == {("a", 0): 0, ("b", 1): 1, ("b", 2): 2}
    np.testing.assert_array_equal(measurements.thumbnails[1], MEASURED[1].thumbnail)


def test_key_names_the_limit_and_the_decoders():
    assert decoder_key(5, strict=True) != decoder_key(6, strict=True)
    assert decoder_key(5, strict=True) != decoder_key(5, strict=False)
    assert decoder_key(5, strict=True) == decoder_key(5, strict=True)
    for name in ("max_pixels 5", "pillow ", "simplejpeg ", "imagecodecs ", "tifffile ", "flawline "):
        assert name in decoder_key(5, strict=True)


# --- fewer bits than 16 ----------------------------------------------------------------------------------------------
DEEP = np.rint(2000 + 100 * np.random.default_rng(4).standard_normal((1, 128, 160))).astype(np.uint16)  # of 12 bits
DEEP[0, 5, 5] = 4000
DEEP.flags.writeable = False


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_largest_value_is_that_of_any_channel_in_its_own_units(kind):
    pixels = np.zeros((3, 4, 5), kind)
    pixels[2, 1, 3] = 201
    assert (measure(pixels, "x").largest, measure(pixels, "x").bits) == (201, 0)


@pytest.mark.parametrize(
    ("largest", "bits"), [(0, 8), (255, 8), (256, 10), (1024, 12), (4095, 12), (4096, 14), (65535, 16)]
)
def test_used_bits_are_the_fewest_that_a_camera_has(largest, bits):
    assert used_bits(largest) == bits


def test_a_packed_file_and_each_of_its_pages_say_their_bits():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for bits in (10, 12):
            file.write(np.full((4, 5), 1000, np.uint16), bitspersample=bits, metadata=None)
    found = measure_file(buffer.getvalue(), "x", max_pixels=100)
    assert [(each.depth, each.largest, each.bits) for each in found] == [(16, 1000, 10), (16, 1000, 12)]


def test_an_image_of_twelve_bits_keeps_its_fine_structure_in_the_thumbnail():
    dim, full = measure(DEEP, "dim"), measure(to_full_scale(DEEP, 12), "full")
    assert full.thumbnail.max() > 200
    assert np.abs(dim.thumbnail.astype(int) - full.thumbnail.astype(int)).max() <= 1
    assert fine_structure(dim.thumbnail) @ fine_structure(full.thumbnail) > 0.99
    assert (int(dim.fingerprint, 16) ^ int(full.fingerprint, 16)).bit_count() <= 4
    unscaled = shrink(grey_levels(DEEP))  # on the scale of 16 bits: three grey levels
    assert fine_structure(unscaled) @ fine_structure(full.thumbnail) < 0.9


def test_figures_stay_comparable_whatever_bits_an_image_uses():
    """All are on the scale of 16 bits: an image that happens to stay below 1024 is darker than its brother."""
    bright, dark = measure(DEEP, "bright"), measure(DEEP // 5, "dark")
    assert (used_bits(bright.largest), used_bits(dark.largest)) == (12, 10)
    for name in ("mean", "contrast", "sharpness"):
        assert getattr(dark, name) == pytest.approx(getattr(bright, name) / 5, rel=0.02)
