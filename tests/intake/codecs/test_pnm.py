import numpy as np
import pytest
from PIL import Image

from flawline.intake.codecs.base import UnreadableImageError
from flawline.intake.decoding import count_pages, format_of, is_lossy


@pytest.mark.parametrize(("content", "wanted"), [
    (b"P1\n# two rows\n3 2\n0 1 0\n101\n", [[[255, 0, 255], [0, 255, 0]]]),
    (b"P4 3 2\n\x40\xa0", [[[255, 0, 255], [0, 255, 0]]]),
    (b"P2 2 1 255 7 # a comment\n 255\n", [[[7, 255]]]),
    (b"P2 2 1 15 1 15", [[[17, 255]]]),
    (b"P5 2 1 255\n\x07\xff", [[[7, 255]]]),
    (b"P5 2 1 255\n\x07\xff\n", [[[7, 255]]]),
    (b"P5 2 1 1\n\0\x01", [[[0, 255]]]),
    (b"P3 1 2 255 1 2 3 4 5 6", [[[1], [4]], [[2], [5]], [[3], [6]]]),
    (b"P6\r\n1 2\r255\n\1\2\3\4\5\6", [[[1], [4]], [[2], [5]], [[3], [6]]]),
])  # fmt: skip
def test_eight_bits(read, content, wanted):
    image = read(content)
    np.testing.assert_array_equal(image, wanted)
    assert image.dtype == np.uint8
    assert (format_of(content), count_pages(content), is_lossy(content)) == ("PNM", 1, False)


@pytest.mark.parametrize(("content", "wanted"), [
    (b"P5 2 1 65535\n\x01\x00\xff\xff", [[[256, 65535]]]), (b"P5 2 1 4095\n\0\1\x0f\xff", [[[1, 4095]]]),
    (b"P2 2 1 1023 9 1023", [[[9, 1023]]]), (b"P6 1 1 4095\n\0\1\0\2\0\3", [[[1]], [[2]], [[3]]]),
])  # fmt: skip
def test_sixteen_bits_keep_the_units_of_the_file(read, content, wanted):
    image = read(content)
    np.testing.assert_array_equal(image, wanted)
    assert image.dtype == np.uint16


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_what_pillow_writes_is_read_as_pillow_reads_it(read, saved, waves, mode):
    image = Image.fromarray(waves(channels=3)).convert(mode)
    wanted = np.atleast_3d(np.asarray(image).astype(np.uint8) * (255 if mode == "1" else 1)).transpose(2, 0, 1)
    np.testing.assert_array_equal(read(saved(image, "PPM")), wanted)


@pytest.mark.parametrize(("content", "reason"), [
    (b"P5 2 1 255\n\x07", "promises 2 values or bytes, it holds 1"),
    (b"P5 2 1 255\n\x07\xff\x00", "promises 2 values or bytes, it holds 3"),
    (b"P5 1 2 255\n\x07\xffP5 1 2 255\n\x07\xff", "promises 2 values or bytes, it holds"),
    (b"P5 2 1 15\n\x07\xff", "it holds 255, its header promises 15 at most"),
    (b"P2 2 1 255 7", "promises 2 values or bytes, it holds 1"), (b"P2 2 1 255 7 -1", "other characters than numbers"),
    (b"P1 2 1 1 2", "other digits than 0 and 1"), (b"P4 9 1\n\xff", "promises 2 values or bytes, it holds 1"),
    (b"P5 0 1 255\n", "its header says 1 x 0 pixels"), (b"P5 2 1 65536\nxxxx", "does not say the largest value"),
    (b"P5 2 1 0\nxx", "does not say the largest value"),
])  # fmt: skip
def test_damage_is_told(read, content, reason):
    with pytest.raises(UnreadableImageError, match=f"is damaged .*{reason}"):
        read(content)


def test_size_is_checked_before_decoding(read):
    with pytest.raises(UnreadableImageError, match="its header says 70000 x 70000 pixels, more than max_pixels"):
        read(b"P5 70000 70000 255\n\0")


def test_text_that_begins_like_one_is_none(read):
    with pytest.raises(UnreadableImageError, match="is not an image in one of the formats"):
        read(b"P2 is the second part")
