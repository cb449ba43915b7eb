import base64
import io

import numpy as np
import pytest
from PIL import Image

from flawline import figures
from flawline.checks import FlawlineError


def test_jpeg_of_coloured_noise_larger_than_a_byte_a_pixel(capfd):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    encoded = figures.jpeg(noise, quality=85)
    assert len(encoded) > 300 * 300
    assert Image.open(io.BytesIO(encoded)).size == (300, 300)
    assert capfd.readouterr().err == ""


def test_mask_png_has_one_bit_a_pixel():
    mask = np.random.default_rng(0).random((80, 90)) > 0.5
    encoded = figures.mask_png(mask)
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encoded))), mask)
    assert len(encoded) < 80 * 90 / 8 + 300
    with pytest.raises(FlawlineError, match=r"mask must have shape \(H, W\), got \(1, 2, 2\)"):
        figures.mask_png(np.zeros((1, 2, 2), bool))


@pytest.mark.parametrize(("encode", "kind"), [(figures.png, "png"), (figures.jpeg, "jpeg"), (figures.webp, "webp")])
def test_data_uri_holds_the_picture(encode, kind):
    picture = np.full((4, 6, 3), 80, np.uint8)
    head, _, body = figures.data_uri(encode(picture)).partition(",")
    assert head == f"data:image/{kind};base64"
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(body)))), picture)


def test_webp_has_less_than_two_thirds_of_the_bytes_of_jpeg_and_looks_alike():
    y, x = np.mgrid[:128, :128]
    smooth = np.stack([2 * x, 2 * y, x + y], axis=2).astype(np.uint8)
    encoded = figures.webp(smooth)
    assert len(encoded) < 2 / 3 * len(figures.jpeg(smooth, quality=70))
    seen = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")).astype(int)
    assert np.abs(seen - smooth).mean() < 4
