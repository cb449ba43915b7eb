import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from flawline.intake.codecs.base import UnreadableImageError
from flawline.intake.decoding import count_pages, format_of, is_lossy


@pytest.mark.parametrize(("most", "channels", "form"), [(255, 1, "j2k"), (255, 3, "jp2"), (65535, 3, "jp2")])
def test_lossless_is_exact(read, waves, most, channels, form):
    pixels = waves(most, channels)
    content = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat=form)
    np.testing.assert_array_equal(read(content), np.atleast_3d(pixels).transpose(2, 0, 1))
    assert read(content).dtype == pixels.dtype
    assert (format_of(content), count_pages(content), is_lossy(content)) == ("JPEG 2000", 1, False)


def test_twelve_bits_keep_the_units_of_the_file(read, waves):
    content = imagecodecs.jpeg2k_encode(waves(4095), level=0, bitspersample=12)
    assert (read(content).dtype, read(content).max()) == (np.uint16, waves(4095).max())


def test_four_bits_are_stretched_to_eight(read):
    content = imagecodecs.jpeg2k_encode(np.array([[0, 1, 7, 15]] * 4, np.uint8), level=0, bitspersample=4)
    np.testing.assert_array_equal(read(content)[0, 0], [0, 17, 119, 255])


def test_alpha_is_dropped_and_tiles_are_read(read, saved, waves):
    content = saved(Image.fromarray(waves(channels=4)), "JPEG2000", tile_size=(32, 32))
    np.testing.assert_array_equal(read(content), waves(channels=4)[..., :3].transpose(2, 0, 1))


def test_lossy_wavelet_is_told(waves):
    assert is_lossy(imagecodecs.jpeg2k_encode(waves(), level=40, reversible=False))


def test_orientation_of_an_exif_box_is_applied(read, saved, waves):
    exif = Image.Exif()
    exif[274] = 6
    body = b"JpgTiffExif->JP2" + exif.tobytes().removeprefix(b"Exif\0\0")
    content = saved(Image.fromarray(waves()), "JPEG2000")
    turned = content + struct.pack(">I4s", 8 + len(body), b"uuid") + body
    np.testing.assert_array_equal(read(turned)[0], np.rot90(waves(), -1))


def test_size_is_checked_before_decoding(read, waves):
    with pytest.raises(UnreadableImageError, match="its header says 37 x 52 pixels, more than max_pixels = 1923"):
        read(imagecodecs.jpeg2k_encode(waves(), level=0), max_pixels=1923)


@pytest.mark.parametrize("form", ["jp2", "j2k"])
def test_every_cut_is_told(read, waves, form):
    content = imagecodecs.jpeg2k_encode(waves(), level=0, codecformat=form)
    for length in (*range(12, 130, 7), len(content) // 2, len(content) - 1):
        with pytest.raises(UnreadableImageError, match="is damaged"):
            read(content[:length])


def test_sizes_that_contradict_each_other(read, waves):
    content = bytearray(imagecodecs.jpeg2k_encode(waves(), level=0, codecformat="jp2"))
    struct.pack_into(">I", content, content.index(b"ihdr") + 4, 36)
    with pytest.raises(UnreadableImageError, match="its header says 36 x 52 and 37 x 52 pixels"):
        read(bytes(content))


def test_missing_tile_is_told(read, saved, waves):
    content = saved(Image.fromarray(waves()), "JPEG2000", tile_size=(32, 32), no_jp2=True)
    at = content.index(b"\xff\x90")
    length = struct.unpack_from(">I", content, at + 6)[0]
    with pytest.raises(UnreadableImageError, match="it has 3 of 4 tiles"):
        read(content[:at] + content[at + length :])


def test_signed_pixels_and_other_colours_are_refused(read, waves):
    with pytest.raises(UnreadableImageError, match="has signed pixels"):
        read(imagecodecs.jpeg2k_encode(waves().astype(np.int16) - 128, level=0))
    content = bytearray(imagecodecs.jpeg2k_encode(waves(channels=4), level=0, codecformat="jp2"))
    struct.pack_into(">I", content, content.index(b"colr") + 7, 12)
    with pytest.raises(UnreadableImageError, match="has colours of the kind 12 of JPEG 2000; wanted grey or RGB"):
        read(bytes(content))
