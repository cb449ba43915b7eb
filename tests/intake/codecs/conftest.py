import io

import numpy as np
import pytest

from flawline.intake.decoding import decode


@pytest.fixture
def read():
    return lambda content, **options: decode(content, **{"max_pixels": 10_000, **options})


@pytest.fixture
def saved():
    def save(image, form, **options):
        buffer = io.BytesIO()
        image.save(buffer, format=form, **options)
        return buffer.getvalue()

    return save


@pytest.fixture
def waves():
    """Return a function of a smooth texture (H, W) or (H, W, C) from 0 to ``most``."""

    def draw(most=255, channels=1, size=(37, 52)):
        y, x = np.mgrid[: size[0], : size[1]]
        levels = 0.5 + 0.5 * np.sin(x / 5)[..., None] * np.cos((y[..., None] + 3 * np.arange(channels)) / 6)
        pixels = np.rint(levels * most).astype(np.uint8 if most < 256 else np.uint16)
        pixels = pixels[..., 0] if channels == 1 else pixels
        pixels.flags.writeable = False
        return pixels

    return draw
