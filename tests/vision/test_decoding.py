import io
import struct
import time
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from flawline.vision.decoding import (
    UnreadableImageError,
    decode,
    encode_png,
    is_image_like,
    read_mask,
    read_photograph,
)

ORIENTATION = 274  # EXIF tag
LIMIT = 10_000


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def png(width, height, depth, color_type, rows=b""):
    """Return a PNG file made by hand, whose header may lie."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def decoded(image, form="PNG", **options):
    return decode(encoded(image, form, **options), max_pixels=LIMIT)


# --- modes -----------------------------------------------------------------------------------------------------------
def test_one_bit_becomes_0_and_255():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(decoded(image), [[[0, 255]]])


def test_grey_stays_as_it_is():
    grey = np.array([[0, 1, 254], [255, 128, 7]], np.uint8)
    result = decoded(Image.fromarray(grey))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, grey[None])


def test_alpha_is_dropped_and_not_blended():
    np.testing.assert_array_equal(decoded(Image.new("LA", (1, 1), (40, 0))), [[[40]]])
    np.testing.assert_array_equal(decoded(Image.new("RGBA", (1, 1), (10, 20, 30, 0))), [[[10]], [[20]], [[30]]])


def test_palette_becomes_its_colours_without_a_warning(recwarn):
    image = Image.new("P", (2, 1))
    image.putpalette([5, 6, 7, 200, 100, 50])
    image.putpixel((1, 0), 1)
    wanted = [[[5, 200]], [[6, 100]], [[7, 50]]]
    np.testing.assert_array_equal(decoded(image), wanted)
    np.testing.assert_array_equal(decoded(image, transparency=b"\x00\xff"), wanted)
    assert not recwarn.list


def test_rgb_is_channels_first():
    rgb = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(decoded(Image.fromarray(rgb)), rgb.transpose(2, 0, 1))


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (1, 1), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    np.testing.assert_array_equal(decoded(image, "TIFF"), [[[255]], [[0]], [[0]]])


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_kept_to_the_bit(form):
    grey = np.array([[0, 1, 255], [256, 40_000, 65_535]], np.uint16)
    result = decoded(Image.fromarray(grey), form)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, grey[None])


@pytest.mark.parametrize(("color_type", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_or_alpha_is_refused_rather_than_cut_to_8(color_type, channels):
    content = png(1, 1, 16, color_type, b"\0" + np.full(channels, 1000, ">u2").tobytes())
    with pytest.raises(UnreadableImageError, match="16-bit channels with colour or alpha; wanted 8-bit colour or 16"):
        decode(content, max_pixels=LIMIT)


def test_floating_point_is_refused():
    with pytest.raises(UnreadableImageError, match="has floating-point pixels; wanted 8 or 16 bit"):
        decoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")


def test_32_bit_within_16_bit_is_read_and_beyond_refused():
    grey = np.array([[0, 65_535]], np.int32)
    np.testing.assert_array_equal(decoded(Image.fromarray(grey), "TIFF"), grey[None])
    with pytest.raises(UnreadableImageError, match="pixel values from 1 to 65536; wanted 8 or 16 bit"):
        decoded(Image.fromarray(grey + 1), "TIFF")
    with pytest.raises(UnreadableImageError, match="pixel values from -1 to 65534"):
        decoded(Image.fromarray(grey - 1), "TIFF")


def test_exif_orientation_6_turns_the_image_clockwise():
    grey = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    np.testing.assert_array_equal(decoded(Image.fromarray(grey), exif=exif), np.rot90(grey, -1)[None])


def test_format_is_told_by_content_and_not_by_name(tmp_path):
    path = tmp_path / "x.bmp"
    path.write_bytes(encoded(Image.new("L", (3, 2), 9)))
    photo = read_photograph(path, max_pixels=6)
    assert photo.pixels.shape == (1, 2, 3)
    assert photo.size == path.stat().st_size
    assert len(photo.sha256) == 64


# --- what cannot be read ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF"])
def test_truncated_file_is_damaged(form):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    content = encoded(Image.fromarray(noise), form)
    with pytest.raises(UnreadableImageError, match=r"is damaged|is not an image"):
        decode(content[: len(content) // 2], max_pixels=LIMIT)


@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_garbage_after_a_good_start_is_an_image_or_an_unreadable_one(garbage, kept):
    content = encoded(Image.new("L", (8, 8), 9))[:kept] + garbage
    with suppress(UnreadableImageError):
        assert decode(content, max_pixels=LIMIT).dtype in (np.uint8, np.uint16)


def test_zero_bytes(tmp_path):
    (tmp_path / "x.png").touch()
    with pytest.raises(UnreadableImageError, match=r"is empty \(0 bytes\)"):
        read_photograph(tmp_path / "x.png", max_pixels=LIMIT)


def test_text_called_png_names_the_formats(tmp_path):
    (tmp_path / "x.png").write_text("not a picture")
    with pytest.raises(UnreadableImageError, match="is not an image in one of the formats PNG, JPEG, BMP, TIFF, WEBP"):
        read_photograph(tmp_path / "x.png", max_pixels=LIMIT)


def test_missing_file_and_folder_called_png(tmp_path):
    with pytest.raises(UnreadableImageError, match="cannot be opened: No such file"):
        read_photograph(tmp_path / "x.png", max_pixels=LIMIT)
    with pytest.raises(UnreadableImageError, match="cannot be opened: Is a directory"):
        read_photograph(tmp_path, max_pixels=LIMIT)


def test_enormous_header_is_refused_before_decoding():
    start = time.perf_counter()
    with pytest.raises(UnreadableImageError, match="says 100000 x 90000 pixels, more than max_pixels = 200000000"):
        decode(png(90_000, 100_000, 8, 0), max_pixels=200_000_000)
    assert time.perf_counter() - start < 1


def test_max_pixels_itself_is_allowed():
    content = encoded(Image.new("L", (4, 5)))
    assert decode(content, max_pixels=20).shape == (1, 5, 4)
    with pytest.raises(UnreadableImageError, match="max_pixels = 19"):
        decode(content, max_pixels=19)


def test_zero_width_is_refused():
    with pytest.raises(UnreadableImageError):
        decode(png(0, 2, 8, 0), max_pixels=LIMIT)


def test_image_like_by_name_or_by_first_bytes(tmp_path):
    (tmp_path / "noname").write_bytes(encoded(Image.new("L", (2, 2))))
    (tmp_path / "README").write_text("hello")
    assert is_image_like(tmp_path / "missing.JPG")
    assert is_image_like(tmp_path / "noname")
    assert not is_image_like(tmp_path / "README")
    assert not is_image_like(tmp_path / "missing")


# --- masks -----------------------------------------------------------------------------------------------------------
def test_mask_is_every_pixel_above_0_in_any_channel(tmp_path):
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0, 1, 2] = 1
    Image.fromarray(rgb).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", max_pixels=4), [[False, True], [False, False]])


def test_palette_mask_marks_what_is_not_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", max_pixels=4), [[False, True]])


def test_jpeg_mask_is_not_swollen_by_its_own_noise(tmp_path):
    wanted = np.zeros((32, 32), bool)
    wanted[9:21, 11:23] = True
    Image.fromarray(wanted.astype(np.uint8) * 255).save(tmp_path / "mask.jpg", quality=50)
    assert (np.asarray(Image.open(tmp_path / "mask.jpg")) > 0).sum() > wanted.sum()
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.jpg", max_pixels=2000), wanted)


# --- encoding --------------------------------------------------------------------------------------------------------
SIDES = st.integers(1, 6)


@given(st.data(), st.sampled_from([(1, np.uint8), (3, np.uint8), (1, np.uint16)]), SIDES, SIDES)
def test_png_round_trip_is_exact(data, kind, height, width):
    channels, dtype = kind
    image = data.draw(npst.arrays(dtype, (channels, height, width)))
    image.flags.writeable = False
    result = decode(encode_png(image), max_pixels=LIMIT)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, image)


def test_several_pages_are_refused_since_only_one_would_be_judged():
    pages = [Image.fromarray(np.full((4, 5), value, np.uint8)) for value in (0, 255)]
    buffer = io.BytesIO()
    pages[0].save(buffer, format="TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(UnreadableImageError, match="holds 2 pages or frames; wanted one"):
        decode(buffer.getvalue(), max_pixels=100)
