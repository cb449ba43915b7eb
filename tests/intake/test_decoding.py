import io
import struct
import time
import zlib
from contextlib import suppress
from itertools import product

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image, ImageOps

from flawline.intake.codecs.base import upright
from flawline.intake.decoding import (
    DoubtfulImageError,
    UnreadableImageError,
    count_pages,
    decode,
    encode_png,
    format_of,
    is_lossy,
    orientation_in,
    read_photograph,
    told_bits,
)

ORIENTATION = 274  # EXIF tag
LIMIT = 10_000
GREY = np.random.default_rng(1).integers(0, 256, (11, 14), np.uint8)  # (H, W)
RGB = np.random.default_rng(2).integers(0, 256, (11, 14, 3), np.uint8)  # (H, W, 3)
SMOOTH = np.add.outer(np.arange(40), np.arange(56)).astype(np.uint8)  # (H, W)
for array in (GREY, RGB, SMOOTH):
    array.flags.writeable = False


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def png(width, height, depth, color_type, rows=b"", *, before=(), after=(), interlaced=0):
    """Return a PNG file made by hand, whose header may lie."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlaced)
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def tiff(pixels, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def read(content, **options):
    return decode(content, **{"max_pixels": LIMIT, **options})


def decoded(image, form="PNG", **options):
    return read(encoded(image, form, **options))


def changed(content, at, value):
    data = bytearray(content)
    data[at : at + len(value)] = value
    return bytes(data)


# --- modes -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_0_and_255(form):
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(decoded(image, form), [[[0, 255]]])


@pytest.mark.parametrize(("depth", "wanted"), [(2, [0, 85, 170, 255]), (4, [17, 187])])
def test_two_and_four_bits_are_spread_over_the_whole_range(depth, wanted):
    content = png(len(wanted), 1, depth, 0, b"\0\x1b")  # 0b00_01_10_11, 0b0001_1011
    np.testing.assert_array_equal(read(content), [[wanted]])


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_grey_stays_as_it_is(form):
    grey = np.array([[0, 1, 254], [255, 128, 7]], np.uint8)
    result = decoded(Image.fromarray(grey), form)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, grey[None])


def test_grey_lossless_webp_is_rgb_since_webp_has_no_grey():
    np.testing.assert_array_equal(decoded(Image.fromarray(GREY), "WEBP", lossless=True), np.stack([GREY] * 3))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_alpha_is_dropped_and_not_blended(form):
    np.testing.assert_array_equal(decoded(Image.new("LA", (1, 1), (40, 0)), form), [[[40]]])
    np.testing.assert_array_equal(decoded(Image.new("RGBA", (1, 1), (10, 20, 30, 0)), form), [[[10]], [[20]], [[30]]])


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_palette_becomes_its_colours_without_a_warning(form, recwarn):
    image = Image.new("P", (2, 1))
    image.putpalette([5, 6, 7, 200, 100, 50])
    image.putpixel((1, 0), 1)
    wanted = [[[5, 200]], [[6, 100]], [[7, 50]]]
    np.testing.assert_array_equal(decoded(image, form), wanted)
    if form == "PNG":
        np.testing.assert_array_equal(decoded(image, transparency=b"\x00\xff"), wanted)
    assert not recwarn.list


@pytest.mark.parametrize(("mode", "colour"), [("L", 3), ("RGB", (3, 3, 3))])
def test_transparent_colour_of_a_png_changes_no_pixel(mode, colour):
    image = Image.new(mode, (2, 1), colour)
    np.testing.assert_array_equal(decoded(image, transparency=colour), np.full((len(mode), 1, 2), 3))


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_rgb_is_channels_first(form):
    np.testing.assert_array_equal(decoded(Image.fromarray(RGB), form), RGB.transpose(2, 0, 1))


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (1, 1), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    np.testing.assert_array_equal(decoded(image, "TIFF"), [[[255]], [[0]], [[0]]])
    np.testing.assert_array_equal(decoded(image, "TIFF", compression="tiff_lzw"), [[[255]], [[0]], [[0]]])


# --- 16 bits ---------------------------------------------------------------------------------------------------------
DEEP = np.arange(5 * 6 * 4, dtype=np.uint16).reshape(5, 6, 4) * 547 + 3  # (H, W, 4), both bytes in use
CHANNELS = {"grey": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def deep(name):
    """Return (pixels as a library writes them, the pixels wanted (C, H, W))."""
    count = CHANNELS[name]
    kept = 1 if count <= 2 else 3
    pixels = DEEP[..., 0] if count == 1 else DEEP[..., :count]
    return np.ascontiguousarray(pixels), DEEP[..., :kept].transpose(2, 0, 1)


@pytest.mark.parametrize("name", CHANNELS)
def test_16_bit_png_is_kept_to_the_bit(name):
    pixels, wanted = deep(name)
    result = read(imagecodecs.png_encode(pixels))
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, wanted)


def test_16_bit_interlaced_png_is_kept_to_the_bit():
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = [DEEP[y::dy, x::dx, :3].astype(">u2") for y, x, dy, dx in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    np.testing.assert_array_equal(read(png(6, 5, 16, 2, rows, interlaced=1)), deep("RGB")[1])


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", CHANNELS)
def test_16_bit_tiff_is_kept_to_the_bit(name, order, compression):
    pixels, wanted = deep(name)
    options = {"photometric": "rgb" if CHANNELS[name] > 2 else "minisblack", "byteorder": order}
    if CHANNELS[name] in (2, 4):
        options["extrasamples"] = ["unassalpha"]
    result = read(tiff(pixels, compression=compression, rowsperstrip=2, **options))
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("options", [
    {"planarconfig": "separate"},
    {"planarconfig": "separate", "compression": "zlib", "predictor": True},
    {"planarconfig": "separate", "tile": (16, 16)},
    {"bigtiff": True},
])  # fmt: skip
def test_16_bit_rgb_tiff_in_other_orders(options):
    pixels, wanted = deep("RGB")
    apart = options.get("planarconfig") == "separate"
    pixels = pixels.transpose(2, 0, 1) if apart else pixels
    np.testing.assert_array_equal(read(tiff(pixels, photometric="rgb", **options)), wanted)


def test_tiles_of_a_tiff():
    pixels = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)
    content = tiff(pixels, photometric="minisblack", tile=(16, 32), compression="zlib")
    np.testing.assert_array_equal(read(content), pixels[None])


def test_pillow_alone_would_cut_16_bit_colour_to_8():
    """The trap: no warning, mode RGB, the low byte gone."""
    pixels, wanted = deep("RGB")
    content = imagecodecs.png_encode(pixels)
    cut = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(cut, wanted >> 8)
    np.testing.assert_array_equal(read(content), wanted)


def test_white_is_zero_is_turned_round():
    np.testing.assert_array_equal(read(tiff(GREY, photometric="miniswhite")), 255 - GREY[None])
    np.testing.assert_array_equal(read(tiff(DEEP[..., 0], photometric="miniswhite")), 65_535 - DEEP[None, ..., 0])


def test_16_bit_cmyk_is_refused_rather_than_cut_to_8():
    content = tiff(DEEP, photometric="separated")
    with pytest.raises(
        UnreadableImageError, match="has uint16 pixels of the kind SEPARATED; wanted 8 or 16 bits a cha"
    ):
        read(content)


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_is_refused(dtype, shape):
    content = tiff(np.ones(shape, dtype), photometric="rgb" if len(shape) == 3 else "minisblack")
    with pytest.raises(UnreadableImageError, match="has floating-point pixels; wanted 8 or 16 bit"):
        read(content)


def test_32_bit_within_16_bit_is_read_and_beyond_refused():
    grey = np.array([[0, 65_535]], np.int32)
    np.testing.assert_array_equal(decoded(Image.fromarray(grey), "TIFF"), grey[None])
    np.testing.assert_array_equal(read(tiff(grey.astype(np.uint32))), grey[None])
    with pytest.raises(UnreadableImageError, match="pixel values from 1 to 65536; wanted 8 or 16 bit"):
        decoded(Image.fromarray(grey + 1), "TIFF")
    with pytest.raises(UnreadableImageError, match="pixel values from -1 to 65534"):
        decoded(Image.fromarray(grey - 1), "TIFF")


# --- against Pillow --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [
    {"quality": 90}, {"quality": 30, "subsampling": 2}, {"quality": 95, "subsampling": 0}, {"progressive": True},
    {"optimize": True}, {"restart_marker_rows": 1},
])  # fmt: skip
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_is_bit_identical_to_pillows(mode, options):
    content = encoded(Image.fromarray(SMOOTH).convert(mode), "JPEG", **options)
    with Image.open(io.BytesIO(content)) as image:
        wanted = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    np.testing.assert_array_equal(read(content), wanted)


def test_cmyk_jpeg_is_bit_identical_to_pillows():
    content = encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG")
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(read(content), np.asarray(image.convert("RGB")).transpose(2, 0, 1))


@pytest.mark.parametrize(("form", "options"), [
    ("PNG", {}), ("BMP", {}), ("WEBP", {"quality": 70}), ("WEBP", {"lossless": True}),
    *(("TIFF", {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
])  # fmt: skip
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_8_bit_is_bit_identical_to_pillows(mode, form, options):
    if form == "TIFF" and options["compression"] == "jpeg" and mode in ("P", "1"):
        pytest.skip("not a file that can be written")
    content = encoded(Image.fromarray(RGB).convert(mode), form, **options)
    with Image.open(io.BytesIO(content)) as image:
        kept = "L" if image.mode in ("1", "L") else "RGB"
        wanted = np.atleast_3d(np.asarray(image.convert(kept))).transpose(2, 0, 1)
    np.testing.assert_array_equal(read(content), wanted)


@given(npst.arrays(np.uint8, (4, 5, 3)))
def test_upright_is_what_pillow_makes_of_the_orientation(rgb):
    for orientation in range(1, 9):
        image = Image.fromarray(rgb)
        image.getexif()[ORIENTATION] = orientation
        wanted = np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1)
        np.testing.assert_array_equal(upright(rgb.transpose(2, 0, 1), orientation), wanted)


@pytest.mark.parametrize(("form", "deep_", "orientation"), [
    *product(["JPEG", "PNG", "TIFF", "WEBP"], [False], range(1, 9)),
    *product(["PNG", "TIFF"], [True], range(1, 9)),
])  # fmt: skip
def test_orientation_of_every_format(form, deep_, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    rgb = RGB.astype(np.uint16) * 257 if deep_ else RGB
    if deep_ and form == "TIFF":
        content = tiff(rgb, photometric="rgb", extratags=[(ORIENTATION, "H", 1, orientation, True)])
    elif deep_:
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
        content = png(14, 11, 16, 2, rows, before=[(b"eXIf", exif.tobytes()[6:])])
    else:
        content = encoded(Image.fromarray(rgb), form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    with Image.open(io.BytesIO(content)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(read(content) // (257 if deep_ else 1), wanted)


@pytest.mark.parametrize("place", ["before", "after"])
def test_orientation_of_a_png_may_stand_behind_the_pixels(place):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    content = png(2, 1, 8, 0, b"\0\1\2", **{place: [(b"eXIf", exif.tobytes()[6:])]})
    np.testing.assert_array_equal(read(content), [[[1], [2]]])


def test_png_is_decoded_once(monkeypatch):
    """Pillow's own look for the orientation of a PNG decodes all its pixels."""
    content = encoded(Image.fromarray(GREY))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded by Pillow too"))
    np.testing.assert_array_equal(read(content), GREY[None])


# --- pages -----------------------------------------------------------------------------------------------------------
def pages(*arrays, **options):
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for k, each in enumerate(arrays):
            file.write(each, metadata=None, contiguous=False, **{name: value[k] for name, value in options.items()})
    return buffer.getvalue()


def test_pages_of_a_tiff_may_differ_in_size_and_depth():
    content = pages(GREY, DEEP[..., 0], RGB)
    assert count_pages(content) == 3
    np.testing.assert_array_equal(read(content, page=1), GREY[None])
    np.testing.assert_array_equal(read(content, page=2), DEEP[None, ..., 0])
    np.testing.assert_array_equal(read(content, page=3), RGB.transpose(2, 0, 1))


def test_several_pages_are_refused_where_one_is_wanted():
    content = pages(GREY, GREY)
    with pytest.raises(UnreadableImageError, match="holds 2 pages or frames; wanted one"):
        read(content)
    for page in (0, 3, -1):
        with pytest.raises(UnreadableImageError, match=f"has no page {page}; it holds 2"):
            read(content, page=page)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_smaller_copies_of_a_page_are_left_out(order, bigtiff):
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=order, bigtiff=bigtiff) as file:
        for each, kind in ((GREY, 0), (GREY[::2, ::2], 1), (DEEP[..., 0], 0)):
            file.write(each, metadata=None, contiguous=False, subfiletype=kind)
    content = buffer.getvalue()
    assert count_pages(content) == 2
    np.testing.assert_array_equal(read(content, page=2), DEEP[None, ..., 0])


def test_one_page_and_its_smaller_copy_are_one_image():
    content = pages(GREY, GREY[::2, ::2], subfiletype=[0, 1])
    assert count_pages(content) == 1
    np.testing.assert_array_equal(read(content), GREY[None])


def test_pages_that_lead_in_a_circle_are_refused():
    content = bytearray(tiff(GREY))
    start = struct.unpack_from("<I", content, 4)[0]
    end = start + 2 + 12 * struct.unpack_from("<H", content, start)[0]
    for target, reason in ((start, "lead in a circle"), (len(content) + 99, "is damaged")):
        struct.pack_into("<I", content, end, target)
        with pytest.raises(UnreadableImageError, match=reason):
            count_pages(bytes(content))
        with pytest.raises(UnreadableImageError, match=reason):
            read(bytes(content))


def test_grey_with_alpha_in_16_bit_which_pillow_does_not_open_has_pages_too():
    content = tiff(DEEP[..., :2], photometric="minisblack", extrasamples=["unassalpha"])
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(content))
    assert count_pages(content) == 1
    assert format_of(content) == "TIFF"


def test_stack_of_pages_is_read_in_proportion():
    content = pages(*[GREY] * 200)
    start = time.perf_counter()
    assert [read(content, page=k).shape for k in range(1, 201)] == [(1, 11, 14)] * 200
    assert time.perf_counter() - start < 3


def test_of_a_telephones_jpeg_the_first_picture_counts():
    first, preview = Image.fromarray(SMOOTH).convert("RGB"), Image.new("RGB", (3, 2))
    content = encoded(first, "MPO", save_all=True, append_images=[preview])
    assert (format_of(content), count_pages(content)) == ("JPEG", 1)
    np.testing.assert_array_equal(read(content), read(encoded(first, "JPEG")))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_moving_pictures_are_refused(form):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    with pytest.raises(UnreadableImageError, match="holds 2 pages or frames; wanted one"):
        decoded(frames[0], form, save_all=True, append_images=frames[1:])


# --- what is no image ------------------------------------------------------------------------------------------------
def test_format_is_told_by_content_and_not_by_name(tmp_path):
    path = tmp_path / "x.bmp"
    path.write_bytes(encoded(Image.new("L", (3, 2), 9)))
    photo = read_photograph(path, max_pixels=6)
    assert photo.pixels.shape == (1, 2, 3)
    assert photo.size == path.stat().st_size
    assert len(photo.sha256) == 64
    assert format_of(path.read_bytes()) == "PNG"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"])
def test_format_is_named_as_pillow_names_it(form):
    content = encoded(Image.fromarray(GREY), form)
    assert format_of(content) == form
    assert count_pages(content) == 1


def test_zero_bytes(tmp_path):
    (tmp_path / "x.png").touch()
    with pytest.raises(UnreadableImageError, match=r"is empty \(0 bytes\)"):
        read_photograph(tmp_path / "x.png", max_pixels=LIMIT)


def test_text_called_png_names_the_formats(tmp_path):
    (tmp_path / "x.png").write_text("not a picture")
    with pytest.raises(UnreadableImageError, match="is not an image in one of the formats PNG, JPEG, BMP, TIFF, WEBP"):
        read_photograph(tmp_path / "x.png", max_pixels=LIMIT)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_file_that_ends_in_its_header_is_damaged_and_not_called_something_else(form):
    with pytest.raises(UnreadableImageError, match="is damaged"):
        read(encoded(Image.fromarray(GREY), form)[:12])


def test_missing_file_and_folder_called_png(tmp_path):
    with pytest.raises(UnreadableImageError, match="cannot be opened: No such file"):
        read_photograph(tmp_path / "x.png", max_pixels=LIMIT)
    with pytest.raises(UnreadableImageError, match="cannot be opened: Is a directory"):
        read_photograph(tmp_path, max_pixels=LIMIT)


# --- damage ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_truncated_file_is_damaged(form):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    content = encoded(Image.fromarray(noise), form)
    for share in (0.5, 0.9, 0.99):
        with pytest.raises(UnreadableImageError, match="is damaged"):
            read(content[: int(len(content) * share)])


@given(st.binary(max_size=200), st.integers(0, 60), st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP"]))
def test_any_garbage_after_a_good_start_is_an_image_or_an_unreadable_one(garbage, kept, form):
    content = encoded(Image.new("L", (8, 8), 9), form)[:kept] + garbage
    with suppress(UnreadableImageError):
        assert read(content).dtype in (np.uint8, np.uint16)


@given(st.binary(min_size=1, max_size=40), st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP"]))
def test_bytes_behind_the_end_change_nothing(garbage, form):
    content = encoded(Image.fromarray(RGB), form)
    np.testing.assert_array_equal(read(content + garbage), read(content))


@given(st.integers(8, 300), st.integers(1, 255))
def test_no_changed_byte_of_a_png_is_accepted(at, change):
    content = encoded(Image.fromarray(GREY))
    at %= len(content)
    with pytest.raises(UnreadableImageError):
        read(changed(content, at, bytes([content[at] ^ change])))


@pytest.mark.parametrize("kind", [b"tEXt", b"PLTE", b"IDAT", b"IEND"])
def test_png_with_a_wrong_checksum_is_refused(kind):
    image = Image.fromarray(RGB).quantize(8)
    content = encoded(image) if kind == b"PLTE" else png(1, 1, 8, 0, b"\0\7", after=[(b"tEXt", b"a\0b")])
    at = content.index(kind)
    length = struct.unpack_from(">I", content, at - 4)[0]
    wrong = changed(content, at + 4 + length, bytes([content[at + 4 + length] ^ 1]))
    with pytest.raises(UnreadableImageError, match=rf"wrong checksum of the b'{kind.decode()}'|header cannot be read"):
        read(wrong)


def test_png_that_holds_more_or_less_than_its_header_promises_is_refused():
    rows = b"\0\1\2" * 3
    assert read(png(2, 3, 8, 0, rows)).shape == (1, 3, 2)
    with pytest.raises(UnreadableImageError, match="is damaged"):
        read(png(2, 2, 8, 0, rows))
    with pytest.raises(UnreadableImageError, match="its header promises 12 bytes of pixels, it holds 9"):
        read(png(2, 4, 8, 0, rows))
    with pytest.raises(UnreadableImageError, match="is damaged"):
        read(png(2, 3, 8, 0, rows, interlaced=1))


def test_png_without_its_end_is_refused():
    with pytest.raises(UnreadableImageError, match="its end is missing"):
        read(encoded(Image.fromarray(GREY))[:-12])


def test_png_with_a_colour_profile_of_no_use_is_read_and_libpng_says_nothing(capfd):
    content = png(1, 1, 8, 0, b"\0\7", before=[(b"iCCP", b"x\0\0" + zlib.compress(b"no profile"))])
    np.testing.assert_array_equal(read(content), [[[7]]])
    assert capfd.readouterr().err == ""


def test_jpeg_of_which_libjpeg_warns_is_refused():
    content = encoded(Image.fromarray(SMOOTH), "JPEG")
    wrong = changed(content, content.index(b"\xff\xda") + 40, b"\xff\xd9")  # the end too early
    with pytest.raises(ValueError, match="Corrupt JPEG data"):
        simplejpeg.decode_jpeg(wrong, "GRAY", strict=True)
    assert np.asarray(Image.open(io.BytesIO(wrong))).shape == SMOOTH.shape  # Pillow says nothing
    with pytest.raises(UnreadableImageError, match=r"is damaged \(ValueError: Corrupt JPEG data"):
        read(wrong)


def with_stray_bytes(image):
    """Return a JPEG with bytes before its end that belong to nothing, as some cameras write them."""
    content = encoded(image, "JPEG")
    return content[:-2] + bytes(40) + content[-2:]  # the decoder has read on by a few


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_with_stray_bytes_is_refused_or_read_as_it_would_be_without(mode):
    image = Image.fromarray(RGB).convert(mode)
    with pytest.raises(DoubtfulImageError, match=r"is damaged \(Corrupt JPEG data: \d+ extraneous bytes before"):
        read(with_stray_bytes(image))
    np.testing.assert_array_equal(read(with_stray_bytes(image), strict=False), decoded(image, "JPEG"))


def test_jpeg_whose_end_is_missing_is_refused_in_any_case():
    content = encoded(Image.fromarray(SMOOTH), "JPEG")
    with pytest.raises(UnreadableImageError, match=r"(?i)premature end"):
        read(content[: content.index(b"\xff\xda") + 40], strict=False)


def test_jpeg_whose_header_promises_more_than_its_bytes_can_hold_is_refused_undecoded():
    content = encoded(Image.fromarray(SMOOTH), "JPEG")
    size = content.index(b"\xff\xc0") + 5
    start = time.perf_counter()
    with pytest.raises(
        UnreadableImageError, match="its header says 14000 x 14000 pixels, more than its bytes can hold"
    ):
        read(changed(content, size, struct.pack(">HH", 14_000, 14_000)), max_pixels=200_000_000)
    assert time.perf_counter() - start < 0.1


def test_smallest_jpeg_of_an_even_surface_is_read():
    content = encoded(Image.new("L", (2048, 2048), 128), "JPEG", optimize=True, progressive=True)
    assert read(content, max_pixels=2048**2).shape == (1, 2048, 2048)


def test_bmp_that_goes_on_behind_its_last_row_is_refused():
    content = encoded(Image.fromarray(GREY), "BMP")
    with pytest.raises(UnreadableImageError, match="holds 16 bytes of pixels more than its header promises"):
        read(changed(content, 22, struct.pack("<i", 10)))


def test_tiff_whose_size_contradicts_its_strips_is_refused():
    def lie(content, tag, value):
        start = struct.unpack_from("<I", content, 4)[0]
        count = struct.unpack_from("<H", content, start)[0]
        at = next(
            a for a in range(start + 2, start + 2 + 12 * count, 12) if content[a : a + 2] == struct.pack("<H", tag)
        )
        return changed(content, at + 8, struct.pack("<I", value))

    for content in (
        tiff(GREY),
        tiff(GREY, compression="zlib"),
        encoded(Image.fromarray(GREY), "TIFF", compression="jpeg"),
    ):
        for tag in (256, 257):  # width, height
            with pytest.raises(UnreadableImageError, match="is damaged"):
                read(lie(content, tag, 9))
    with pytest.raises(UnreadableImageError, match="strips or tiles are empty or lie beyond its end"):
        read(lie(tiff(GREY), 279, 10_000))
    with pytest.raises(UnreadableImageError, match="channels lie neither together nor apart"):
        read(lie(encoded(Image.fromarray(RGB).quantize(9), "TIFF"), 284, 7))


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK"])
def test_deflated_tiff_with_a_wrong_checksum_is_refused(mode, capfd):
    content = encoded(Image.fromarray(RGB).convert(mode), "TIFF", compression="tiff_adobe_deflate")
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        end = file.pages.first.dataoffsets[0] + file.pages.first.databytecounts[0]
    with pytest.raises(UnreadableImageError, match="is damaged"):
        read(changed(content, end - 1, bytes([content[end - 1] ^ 1])))
    assert capfd.readouterr().err == ""


def test_jpeg_in_a_tiff_of_which_libjpeg_warns_is_refused(capfd):
    content = encoded(Image.fromarray(SMOOTH), "TIFF", compression="jpeg")
    middle = content.rindex(b"\xff\xda") + 60
    with pytest.raises(UnreadableImageError, match="Corrupt JPEG data"):
        read(changed(content, middle, b"\xff\xd9"))  # the end too early
    assert capfd.readouterr().err == ""


# --- size ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("max_pixels", [200_000_000, 10**10])
def test_enormous_header_is_refused_before_decoding(max_pixels):
    start = time.perf_counter()
    reason = "more than max_pixels = 200000000" if max_pixels < 10**9 else "more than its bytes can hold"
    with pytest.raises(UnreadableImageError, match=f"says 100000 x 90000 pixels, {reason}"):
        read(png(90_000, 100_000, 8, 0), max_pixels=max_pixels)
    assert time.perf_counter() - start < 0.1


def test_max_pixels_itself_is_allowed():
    for content in (encoded(Image.new("L", (4, 5))), tiff(np.zeros((5, 4), np.uint8))):
        assert read(content, max_pixels=20).shape == (1, 5, 4)
        with pytest.raises(UnreadableImageError, match="max_pixels = 19"):
            read(content, max_pixels=19)


def test_zero_width_is_refused():
    with pytest.raises(UnreadableImageError):
        read(png(0, 2, 8, 0))


# --- orientation -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["PNG", "JPEG", "MPO", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_orientation_that_is_applied_is_told(form, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert orientation_in(encoded(Image.fromarray(RGB), form, exif=exif)) == orientation


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP", "PPM", "JPEG2000", "GIF"])
def test_image_that_says_nothing_is_upright(form):
    assert orientation_in(encoded(Image.fromarray(RGB), form)) == 1


# --- other -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("form", "options", "lossy"), [
    ("JPEG", {}, True), ("MPO", {}, True), ("WEBP", {}, True), ("TIFF", {"compression": "jpeg"}, True),
    ("WEBP", {"lossless": True}, False), ("TIFF", {}, False), ("PNG", {}, False), ("BMP", {}, False),
])  # fmt: skip
def test_lossy_files_are_told_apart(form, options, lossy):
    assert is_lossy(encoded(Image.fromarray(RGB), form, **options)) is lossy


SIDES = st.integers(1, 6)
KINDS = [(1, np.uint8), (3, np.uint8), (1, np.uint16), (3, np.uint16)]


@given(st.data(), st.sampled_from(KINDS), SIDES, SIDES)
def test_png_round_trip_is_exact(data, kind, height, width):
    channels, dtype = kind
    image = data.draw(npst.arrays(dtype, (channels, height, width)))
    image.flags.writeable = False
    result = read(encode_png(image))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, image)


# --- fewer bits than 16 ----------------------------------------------------------------------------------------------
def packed(bits, *, photometric="minisblack", **options):
    """Return (a TIFF with samples of so many bits side by side, their values)."""
    pixels = np.random.default_rng(bits).integers(0, 2**bits, (5, 7)).astype(np.uint16)
    pixels[0, :2] = 0, 2**bits - 1
    return tiff(pixels, bitspersample=bits, photometric=photometric, **options), pixels[None]


@pytest.mark.parametrize("bits", range(9, 16))
def test_a_packed_tiff_is_read_to_the_bit_and_says_its_bits(bits):
    content, pixels = packed(bits)
    assert len(content) < 5 * 7 * 2 + 300  # packed indeed
    result = read(content)
    np.testing.assert_array_equal(result, pixels)
    assert result.dtype == np.uint16
    assert told_bits(content, result) == bits


def test_twelve_bits_are_packed_highest_bit_first_in_either_byte_order():
    rows = bytes.fromhex("ABC123 7F0800")  # two values a row: 0xABC, 0x123 and 0x7F0, 0x800
    for order in "<>":
        content = tiff(np.zeros((2, 2), np.uint16), bitspersample=12, photometric="minisblack", byteorder=order)
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            at = file.pages.first.dataoffsets[0]
        np.testing.assert_array_equal(read(changed(content, at, rows)), [[[0xABC, 0x123], [0x7F0, 0x800]]])


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_colour(bits):
    pixels = np.random.default_rng(0).integers(0, 2**bits, (6, 5, 3)).astype(np.uint16)
    content = tiff(pixels, bitspersample=bits, photometric="rgb")
    np.testing.assert_array_equal(read(content), pixels.transpose(2, 0, 1))
    assert told_bits(content, read(content)) == bits


@pytest.mark.parametrize("bits", [10, 12, 14, 15])
def test_packed_with_white_at_0_is_inverted_on_its_own_scale(bits):
    content, pixels = packed(bits, photometric="miniswhite")
    np.testing.assert_array_equal(read(content), 2**bits - 1 - pixels)


def largest_tag(value):
    return [(281, "H", 1, value, True)]  # MaxSampleValue


@pytest.mark.parametrize(
    ("value", "bits"), [(255, 8), (1023, 10), (4095, 12), (16383, 14), (4094, 0), (65535, 0), (127, 0)]
)
def test_the_largest_sample_value_tells_the_bits_if_it_ends_a_scale(value, bits):
    content = tiff(np.array([[0, 90]], np.uint16), photometric="minisblack", extratags=largest_tag(value))
    assert told_bits(content, read(content)) == bits


def test_a_tag_that_the_values_contradict_tells_nothing():
    content = tiff(np.array([[0, 4096]], np.uint16), photometric="minisblack", extratags=largest_tag(4095))
    assert told_bits(content, read(content)) == 0
    content = tiff(np.array([[0, 4096]], np.uint16), photometric="miniswhite", extratags=largest_tag(4095))
    np.testing.assert_array_equal(read(content), [[[65535, 61439]]])


def test_white_at_0_is_inverted_on_the_scale_that_a_tag_tells():
    content = tiff(np.array([[0, 4095, 1000]], np.uint16), photometric="miniswhite", extratags=largest_tag(4095))
    np.testing.assert_array_equal(read(content), [[[4095, 0, 3095]]])


def test_an_image_of_zeros_with_white_at_0_is_white():
    assert (read(tiff(np.zeros((2, 3), np.uint8), photometric="miniswhite")) == 255).all()
    assert (read(tiff(np.zeros((2, 3), np.uint16), photometric="miniswhite")) == 65535).all()
    assert (read(packed(12, photometric="miniswhite")[0])[0, 0, :2] == [4095, 0]).all()


def test_other_files_tell_no_bits():
    for content in (encode_png(np.zeros((1, 2, 3), np.uint16)), tiff(GREY, photometric="minisblack")):
        assert told_bits(content, read(content)) == 0


def test_every_page_tells_its_own_bits():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for bits in (10, 12):
            file.write(np.full((4, 5), 2**bits - 1, np.uint16), bitspersample=bits, metadata=None)
    content = buffer.getvalue()
    assert [told_bits(content, read(content, page=page), page) for page in (1, 2)] == [10, 12]
