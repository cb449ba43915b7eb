"""Pictures (H, W, 3) uint8 as PNG, JPEG and addresses that hold the picture itself."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawline.checks import check_shape


def png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture (H, W, 3) uint8 as PNG."""
    return _encoded(picture, format="PNG", optimize=True)


def quick_png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture (H, W, 3) uint8 as PNG in a fifth of the time, a tenth larger: for files, not for pages."""
    return _encoded(picture, format="PNG", compress_level=1)


def mask_png(mask: NDArray) -> bytes:
    """Encode a mask (H, W) as PNG of one bit a pixel, white where it is true; sharp, as JPEG is not."""
    check_shape("mask", mask, ("H", "W"))
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(bool)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def jpeg(picture: NDArray[np.uint8], *, quality: int = 85) -> bytes:
    """Encode a picture (H, W, 3) uint8 as JPEG with its colours at full resolution, so that thin red lines stay red."""
    options: dict[str, Any] = {"format": "JPEG", "quality": quality, "subsampling": 0}
    encoded = _encoded(picture, **options)
    # Pillow's buffer for what it optimizes has a byte a pixel, or 64 KiB: too small for coloured noise.
    fits = len(encoded) < max(2**16, picture.shape[0] * picture.shape[1])
    return _encoded(picture, optimize=True, **options) if fits else encoded


def webp(picture: NDArray[np.uint8], *, quality: int = 70) -> bytes:
    """Encode a picture (H, W, 3) uint8 as WebP: half of JPEG's bytes in ten times its time, for pages of very many."""
    return _encoded(picture, format="WEBP", quality=quality, method=2)


def data_uri(encoded: bytes) -> str:
    """Return PNG, WebP or JPEG bytes as a ``data:`` address, the picture itself in the page."""
    kind = next((kind for head, kind in ((b"\x89PNG", "png"), (b"RIFF", "webp")) if encoded.startswith(head)), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"


def _encoded(picture: NDArray[np.uint8], **options: Any) -> bytes:
    """Encode a picture (H, W, 3) with Pillow's options."""
    check_shape("picture", picture, ("H", "W", 3))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, **options)
    return buffer.getvalue()
