"""Read one image file without losing depth, or say in one line why it cannot be read."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from flawline.checks import FlawlineError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")  # by content, never by name
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp"})
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
JPEG_START = b"\xff\xd8\xff"

# Our own limit is checked before decoding and is a parameter; Pillow's would only warn, or stop the whole run.
Image.MAX_IMAGE_PIXELS = None


class UnreadableImageError(FlawlineError):
    """The file cannot be used as an image; the message is the reason, fit for a quarantine list."""


@dataclass(frozen=True)
class Photograph:
    """One decoded file: ``pixels`` (C, H, W) uint8 or uint16 with C = 1 or 3, and its digest and size in bytes."""

    pixels: NDArray
    sha256: str
    size: int


def read_photograph(path: Path, *, max_pixels: int) -> Photograph:
    """Read and decode ``path``. Raise UnreadableImageError, with the reason, if that is not possible."""
    content = read_bytes(path)
    return Photograph(decode(content, max_pixels=max_pixels), hashlib.sha256(content).hexdigest(), len(content))


def read_mask(path: Path, *, max_pixels: int) -> NDArray[np.bool_]:
    """Read the defective pixels (H, W) of a mask file: every pixel above 0 in any channel.

    In a JPEG, whose black is never clean, every pixel above half of the range."""
    content = read_bytes(path)
    black = 127 if content.startswith(JPEG_START) else 0
    return np.any(decode(content, max_pixels=max_pixels) > black, axis=0)  # (H, W)


def read_bytes(path: Path) -> bytes:
    """Return the file's content; raise UnreadableImageError if it is missing, forbidden or empty."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened: {error.strerror or error}") from error
    if not content:
        raise UnreadableImageError("is empty (0 bytes)")
    return content


def decode(content: bytes, *, max_pixels: int) -> NDArray:
    """Decode a file's content to (C, H, W) uint8 or uint16: grey as C = 1, all colour as RGB, alpha dropped.

    EXIF orientation is applied. The header's size is checked against ``max_pixels`` before any pixel is decoded.
    Raise UnreadableImageError for what would lose depth: floating point, 16-bit colour, 16-bit grey with alpha."""
    image = _open(content)
    if image.width * image.height > max_pixels:
        raise UnreadableImageError(
            f"its header says {image.height} x {image.width} pixels, more than max_pixels = {max_pixels}"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise UnreadableImageError(f"holds {frames} pages or frames; wanted one")
    if _loses_depth(image):
        raise UnreadableImageError("has 16-bit channels with colour or alpha; wanted 8-bit colour or 16-bit grey")
    try:
        return _to_array(ImageOps.exif_transpose(image))
    except UnreadableImageError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything: OSError, SyntaxError, struct.error
        raise UnreadableImageError(f"is damaged ({type(error).__name__}: {error})") from error


def is_image_like(path: Path) -> bool:
    """Return True if the file's name or first bytes claim that it is an image."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:
        return False


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnreadableImageError(f"is not an image in one of the formats {', '.join(FORMATS)}") from None
    except Exception as error:
        raise UnreadableImageError(f"is damaged ({type(error).__name__}: {error})") from error


def _loses_depth(image: Image.Image) -> bool:
    """Return True where Pillow would silently cut 16 bits a channel to 8, as it does for all but plain grey."""
    sixteen = image.format in ("PNG", "TIFF") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    return sixteen and image.mode not in (*SIXTEEN_BIT, "I", "F")


def _to_array(image: Image.Image) -> NDArray:
    image.info.pop("transparency", None)  # alpha is dropped; Pillow would warn of it
    if image.mode in SIXTEEN_BIT or image.mode == "I":
        return _sixteen_bit(np.asarray(image))[None]  # (1, H, W)
    if image.mode == "F":
        raise UnreadableImageError("has floating-point pixels; wanted 8 or 16 bit")
    if image.mode in ("1", "L", "LA", "La"):
        return np.array(image.convert("L"))[None]  # (1, H, W)
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))  # (3, H, W)


def _sixteen_bit(pixels: NDArray) -> NDArray[np.uint16]:
    if pixels.size and (pixels.min() < 0 or pixels.max() > 65535):
        raise UnreadableImageError(f"has pixel values from {pixels.min()} to {pixels.max()}; wanted 8 or 16 bit")
    return pixels.astype(np.uint16)


def encode_png(image: NDArray) -> bytes:
    """Return ``image`` (C, H, W) uint8 grey or RGB, or uint16 grey, as the content of a PNG file."""
    pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()
