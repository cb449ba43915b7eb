import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps

from flawline.intake.codecs.base import UnreadableImageError
from flawline.intake.decoding import count_pages, format_of


@pytest.mark.parametrize(("most", "channels"), [(255, 1), (255, 3), (1023, 1), (1023, 3), (4095, 3)])
def test_lossless_is_exact_and_keeps_the_units_of_the_file(read, waves, most, channels):
    pixels = waves(most, channels)
    content = imagecodecs.avif_encode(pixels, level=100, bitspersample=most.bit_length())
    np.testing.assert_array_equal(read(content), np.atleast_3d(pixels).transpose(2, 0, 1))
    assert read(content).dtype == pixels.dtype
    assert (format_of(content), count_pages(content)) == ("AVIF", 1)


def test_alpha_is_dropped(read, waves):
    content = imagecodecs.avif_encode(waves(channels=4), level=100)
    np.testing.assert_array_equal(read(content), waves(channels=4)[..., :3].transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_is_upright(read, saved, waves, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    content = saved(Image.fromarray(waves(channels=3)), "AVIF", quality=100, subsampling="4:4:4", exif=exif)
    image = Image.fromarray(waves(channels=3))
    image.getexif()[274] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1)
    assert read(content).shape == wanted.shape
    assert np.abs(read(content).astype(int) - wanted).max() <= 4


def test_crop_is_refused(read, waves):
    content = imagecodecs.avif_encode(waves(channels=3), level=80)
    with pytest.raises(UnreadableImageError, match="only a part of it is to be shown"):
        read(content.replace(b"pixi", b"clap"))


def test_animation_is_refused(read, saved, waves):
    frame = Image.fromarray(waves(channels=3))
    content = saved(frame, "AVIF", save_all=True, append_images=[ImageOps.flip(frame)])
    with pytest.raises(UnreadableImageError, match="holds 2 pages or frames; wanted one"):
        read(content)


def test_size_is_checked_before_decoding(read, waves):
    with pytest.raises(UnreadableImageError, match="its header says 37 x 52 pixels, more than max_pixels = 100"):
        read(imagecodecs.avif_encode(waves()), max_pixels=100)


def test_every_cut_and_a_start_alone_are_told(read, waves):
    content = imagecodecs.avif_encode(waves(), level=90)
    for cut in (*(content[:length] for length in range(20, len(content), 97)), content[:-1], content[:28] + bytes(64)):
        with pytest.raises(UnreadableImageError, match="is damaged"):
            read(cut)


def test_brand_may_be_one_of_several(read, waves):
    content = imagecodecs.avif_encode(waves(), level=100)
    other = content[:8] + b"mif1" + content[12:16] + b"avif" + content[20:]
    assert format_of(other) == "AVIF"
    np.testing.assert_array_equal(read(other)[0], waves())
