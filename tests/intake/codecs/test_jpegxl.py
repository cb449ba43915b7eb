import imagecodecs
import numpy as np
import pytest

from flawline.intake.codecs.base import UnreadableImageError
from flawline.intake.codecs.jpegxl import Header, read_header
from flawline.intake.decoding import count_pages, format_of

# 3 x 5 pixels, 255 upper left and 100 lower right; byte 4 holds the orientation, counted from 0, behind one bit.
TURNED = "ff0a1050{:02x}04c52d010804010044004b188b15c24943e29dfceb9f45db004702"


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize(("most", "channels"), [(255, 1), (255, 3), (255, 4), (65535, 1), (65535, 3)])
def test_lossless_is_exact(read, waves, most, channels, boxes):
    pixels = waves(most, channels)
    content = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=boxes)
    np.testing.assert_array_equal(read(content), np.atleast_3d(pixels)[..., :3].transpose(2, 0, 1))
    assert read(content).dtype == pixels.dtype
    assert (format_of(content), count_pages(content)) == ("JPEG XL", 1)


def test_ten_bits_keep_the_units_of_the_file_and_four_are_stretched(read, waves):
    ten = read(imagecodecs.jpegxl_encode(waves(1023), lossless=True, bitspersample=10))
    assert (ten.dtype, ten.max()) == (np.uint16, waves(1023).max())
    four = imagecodecs.jpegxl_encode(np.array([[0, 1, 7, 15]], np.uint8), lossless=True, bitspersample=4)
    np.testing.assert_array_equal(read(four)[0, 0], [0, 17, 119, 255])


@pytest.mark.parametrize("size", [(8, 8), (256, 8), (37, 52), (36, 48), (1, 600), (9000, 1), (90, 160), (300, 200)])
def test_header_holds_the_size(size):
    content = imagecodecs.jpegxl_encode(np.zeros(size, np.uint8), lossless=True, usecontainer=False)
    assert read_header(content) == Header(*size, bits=8)


@pytest.mark.parametrize(("orientation", "bright", "dark"), [
    (1, (0, 0), (2, 4)), (2, (0, 4), (2, 0)), (3, (2, 4), (0, 0)), (4, (2, 0), (0, 4)),
    (5, (0, 0), (4, 2)), (6, (0, 2), (4, 0)), (7, (4, 2), (0, 0)), (8, (4, 0), (0, 2)),
])  # fmt: skip
def test_image_is_upright(read, orientation, bright, dark):
    image = read(bytes.fromhex(TURNED.format(2 * orientation - 1)))[0]
    assert image.shape == ((3, 5) if orientation < 5 else (5, 3))
    assert (image[bright], image[dark], image.sum()) == (255, 100, 355)


def test_animation_and_floating_point_are_refused(read, waves):
    with pytest.raises(UnreadableImageError, match="holds 2 pages or frames; wanted one"):
        read(imagecodecs.jpegxl_encode(np.stack([waves(channels=3)] * 2), photometric="rgb"))
    with pytest.raises(UnreadableImageError, match="has floating-point pixels"):
        read(imagecodecs.jpegxl_encode(waves().astype(np.float32) / 255, lossless=True))


def test_size_is_checked_before_decoding(read, waves):
    with pytest.raises(UnreadableImageError, match="its header says 37 x 52 pixels, more than max_pixels = 100"):
        read(imagecodecs.jpegxl_encode(waves()), max_pixels=100)


@pytest.mark.parametrize("boxes", [True, False])
def test_every_cut_is_told(read, waves, boxes):
    content = imagecodecs.jpegxl_encode(waves(), lossless=True, usecontainer=boxes)
    for length in (*range(12, 100, 7), len(content) // 2, len(content) - 1):
        with pytest.raises(UnreadableImageError, match="is damaged"):
            read(content[:length])
