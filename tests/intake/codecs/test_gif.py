import numpy as np
import pytest
from PIL import Image

from flawline.intake.codecs.base import UnreadableImageError
from flawline.intake.decoding import count_pages, format_of, is_lossy


@pytest.mark.parametrize("options", [{"interlace": 0}, {"interlace": 1}, {"transparency": 3}])
def test_palette_becomes_rgb(read, saved, waves, options):
    image = Image.fromarray(waves(channels=3)).quantize(40)
    content = saved(image, "GIF", **options)
    np.testing.assert_array_equal(read(content), np.asarray(image.convert("RGB")).transpose(2, 0, 1))
    assert (format_of(content), count_pages(content), is_lossy(content)) == ("GIF", 1, False)


def test_animation_is_refused(read, saved, waves):
    frame = Image.fromarray(waves())
    content = saved(frame, "GIF", save_all=True, append_images=[frame.rotate(180), frame.rotate(90)])
    with pytest.raises(UnreadableImageError, match="holds 3 pages or frames; wanted one"):
        read(content)


def test_picture_that_fills_a_part_only_is_refused(read, saved, waves):
    content = bytearray(saved(Image.fromarray(waves()), "GIF"))
    content[6] += 1
    with pytest.raises(UnreadableImageError, match="has a picture that does not fill its 37 x 53 pixels"):
        read(bytes(content))


def test_every_cut_is_told(read, saved, waves):
    content = saved(Image.fromarray(waves()), "GIF")
    for length in range(6, len(content), 41):
        with pytest.raises(UnreadableImageError, match="is damaged"):
            read(content[:length])


def test_size_is_checked_before_decoding(read, saved, waves):
    with pytest.raises(UnreadableImageError, match="its header says 37 x 52 pixels, more than max_pixels = 100"):
        read(saved(Image.fromarray(waves()), "GIF"), max_pixels=100)
