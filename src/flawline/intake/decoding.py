"""One image file read without losing depth, or the reason in one line why it cannot be read."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tifffile import COMPRESSION, TiffFile

from flawline.intake.codecs.avif import decode_avif, is_avif, orientation_of_avif
from flawline.intake.codecs.base import (
    FORMATS,
    JPEG_START,
    PNG_START,
    TIFF_START,
    DoubtfulImageError,
    UnreadableImageError,
    by_pillow,
    channels_first,
    check_held,
    check_page,
    check_size,
    damage_named,
    open_image,
    orientation_of,
    upright,
    without_alpha,
)
from flawline.intake.codecs.gif import check_gif
from flawline.intake.codecs.jpeg2000 import (
    J2K_START,
    JP2_START,
    decode_jpeg2000,
    is_lossy_jpeg2000,
    orientation_of_jpeg2000,
)
from flawline.intake.codecs.jpegxl import JXL_BOXES, JXL_START, decode_jpegxl, read_header
from flawline.intake.codecs.png import decode_png, encode_png, orientation_of_png
from flawline.intake.codecs.pnm import decode_pnm, is_pnm
from flawline.intake.codecs.tiff import alpha_of_tiff, decode_tiff, orientation_of_tiff, own_pages, tiff_bits
from flawline.storage.digests import content_digest
from flawline.vision.levels import full_value

__all__ = [
    "FORMATS",
    "DoubtfulImageError",
    "Photograph",
    "UnreadableImageError",
    "alpha_of",
    "count_pages",
    "decode",
    "encode_png",
    "format_of",
    "is_lossy",
    "orientation_in",
    "read_bytes",
    "read_photograph",
    "told_bits",
]

# What a PNG, JPEG or WebP holds somewhere if it says that it is to be turned.
MAY_TURN = (b"Exif", b"EXIF", b"eXIf", b"type exif", b"rientation", b"adobe.com/xap", b"com.adobe.xmp")
JPEG_COLORS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # Pillow's mode -> simplejpeg's colour space
# Pixels that a byte of a JPEG can stand for at best: a bit for each block of 8 x 8, unless coded arithmetically.
JPEG_BEST, ARITHMETIC = 512, (b"\xff\xc9", b"\xff\xca")


@dataclass(frozen=True)
class Photograph:
    """One decoded image: ``pixels`` (C, H, W) uint8 or uint16 with C = 1 or 3, its file's digest and size in bytes."""

    pixels: NDArray
    sha256: str
    size: int


@dataclass(frozen=True)
class Codec:
    """A format of single images that is told by its first bytes and decoded without Pillow, by a module of its own."""

    name: str  # one of FORMATS
    is_in: Callable[[bytes], bool]
    decode: Callable[[bytes, int | None], NDArray]  # (content, max_pixels) -> (C, H, W), alpha with it
    is_lossy: Callable[[bytes], bool]
    orientation: Callable[[bytes], int]  # as EXIF counts, 1 to 8


CODECS = (
    Codec("PNM", is_pnm, decode_pnm, is_lossy=lambda content: False, orientation=lambda content: 1),
    Codec("JPEG 2000", lambda content: content.startswith((JP2_START, J2K_START)), decode_jpeg2000,
          is_lossy=is_lossy_jpeg2000, orientation=orientation_of_jpeg2000),
    # Whether these two lose nothing stands deep in their data; they seldom do.
    Codec("JPEG XL", lambda content: content.startswith((JXL_START, JXL_BOXES)), decode_jpegxl,
          is_lossy=lambda content: True, orientation=lambda content: read_header(content).orientation),
    Codec("AVIF", is_avif, decode_avif, is_lossy=lambda content: True, orientation=orientation_of_avif),
)  # fmt: skip


def read_photograph(path: Path, *, max_pixels: int, page: int | None = None, strict: bool = True) -> Photograph:
    """Read and decode ``path``. Raise UnreadableImageError, with the reason, if that is not possible."""
    content = read_bytes(path)
    pixels = decode(content, max_pixels=max_pixels, page=page, strict=strict)
    return Photograph(pixels, content_digest(content), len(content))


def read_bytes(path: Path) -> bytes:
    """Return the file's content; raise UnreadableImageError if it is missing, forbidden or empty."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened: {error.strerror or error}") from error
    if not content:
        raise UnreadableImageError("is empty (0 bytes)")
    return content


def decode(content: bytes, *, max_pixels: int | None, page: int | None = None, strict: bool = True) -> NDArray:
    """Decode a file's content to (C, H, W) uint8 or uint16: grey as C = 1, all colour as RGB, alpha dropped.

    ``page`` (from 1) is the page of a TIFF, None the only one. EXIF orientation is applied. The header's size is
    checked against ``max_pixels`` before any pixel is decoded. Raise UnreadableImageError for what is damaged, as
    far as the format's checksums and the decoder's warnings tell, or would lose depth (floating point, 16-bit CMYK).
    A JPEG of which the decoder only warns is a DoubtfulImageError, and decoded all the same if not ``strict``."""
    with damage_named():
        if content.startswith(TIFF_START):
            return np.ascontiguousarray(decode_tiff(content, page, max_pixels))  # (C, H, W)
        if codec := codec_of(content):
            check_page(page, 1)
            return np.ascontiguousarray(without_alpha(codec.decode(content, max_pixels)))  # (C, H, W)
        image = open_image(content)
        if image.format == "GIF":
            check_gif(content)
        check_page(page, 1 if image.format == "MPO" else getattr(image, "n_frames", 1))
        check_size(image.height, image.width, max_pixels)
        return np.ascontiguousarray(_pixels(image, content, strict=strict))  # (C, H, W)


def alpha_of(content: bytes, *, page: int | None = None) -> NDArray | None:
    """Return how opaque each pixel (H, W) of an image that can be decoded is; None if it has no transparency."""
    with damage_named():
        if content.startswith(TIFF_START):
            return alpha_of_tiff(content, page)
        if codec := codec_of(content):
            pixels = codec.decode(content, None)  # (C, H, W)
            return pixels[-1] if len(pixels) in (2, 4) else None
        image = open_image(content)
        if not image.has_transparency_data:
            return None
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16-bit grey, in which one level is transparent
            return np.asarray(image) != image.info["transparency"]
        return np.asarray(image.convert("RGBA").getchannel("A"))  # (H, W)


def orientation_in(content: bytes, *, page: int | None = None) -> int:
    """Return the EXIF orientation (1 to 8; 1 is upright) that ``decode`` applies to an image that it can decode."""
    with damage_named():
        if content.startswith(TIFF_START):
            return orientation_of_tiff(content, page)
        if codec := codec_of(content):
            return codec.orientation(content)
        if not any(mark in content for mark in MAY_TURN):
            return 1
        image = open_image(content)
        return orientation_of_png(image, content) if image.format == "PNG" else orientation_of(image)


def told_bits(content: bytes, pixels: NDArray, page: int | None = None) -> int:
    """Return how many bits a channel the file says that the 16-bit ``pixels`` decoded from it use; 0 where it does not
    say, or they hold more: packed samples of 9 to 15 bits in a TIFF, or its tag MaxSampleValue."""
    if pixels.itemsize == 1 or not content.startswith(TIFF_START):
        return 0
    with damage_named():
        bits = tiff_bits(content, page)
    return bits if pixels.max(initial=0) <= full_value(bits) else 0


def count_pages(content: bytes) -> int:
    """Return how many images the file holds: the pages of a TIFF, smaller copies of another page left out, else 1."""
    if not content.startswith(TIFF_START):
        if not is_common(content) and codec_of(content) is None:
            open_image(content)
        return 1
    with damage_named(), TiffFile(io.BytesIO(content)) as file:
        return len(own_pages(file))


def format_of(content: bytes) -> str:
    """Return the format's name: one of FORMATS."""
    if codec := codec_of(content):
        return codec.name
    if is_common(content):
        return "PNG" if content.startswith(PNG_START) else "JPEG"
    return "TIFF" if content.startswith(TIFF_START) else (open_image(content).format or "").replace("MPO", "JPEG")


def is_common(content: bytes) -> bool:
    """Return True if the first bytes are those of a PNG or a JPEG; JPEG-LS begins like a JPEG."""
    return content.startswith((PNG_START, JPEG_START)) and content[3:4] != b"\xf7"


def codec_of(content: bytes) -> Codec | None:
    """Return the format that reads the content without Pillow, or None."""
    return None if is_common(content) else next((codec for codec in CODECS if codec.is_in(content)), None)


def is_lossy(content: bytes) -> bool:
    """Return True if the file is compressed as photographs are, so that no pixel is exact."""
    if codec := codec_of(content):
        with damage_named():
            return codec.is_lossy(content)
    if content.startswith(TIFF_START):
        with damage_named(), TiffFile(io.BytesIO(content)) as file:
            return bool(file.pages.first.compression == COMPRESSION.JPEG)
    return content.startswith(JPEG_START) or (content[8:12] == b"WEBP" and b"VP8 " in content)


def _pixels(image: Image.Image, content: bytes, *, strict: bool) -> NDArray:
    """Return the pixels (C, H, W), decoded with the codec that loses nothing and finds most damage: libjpeg-turbo with
    its warnings as errors, libpng behind checks of our own, Pillow for the rest. Of a telephone's JPEG (MPO) the first
    picture is taken; the others are previews or depth."""
    if image.format in ("JPEG", "MPO"):
        if not any(marker in content for marker in ARITHMETIC):
            check_held(image, image.height * image.width, JPEG_BEST * len(content))
        coded = _decode_jpeg(content, JPEG_COLORS[image.mode], strict=strict)
        return by_pillow(image) if image.mode == "CMYK" else upright(channels_first(coded), orientation_of(image))
    if image.format == "PNG":
        return decode_png(image, content)
    if image.format == "BMP":
        _check_bmp(content)
    return by_pillow(image)


def _decode_jpeg(content: bytes, colors: str, *, strict: bool) -> NDArray:
    """Return the pixels (H, W, S) of a JPEG. Raise DoubtfulImageError for the decoder's warnings, such as of stray
    bytes, if ``strict``; that of a missing end, and with it a part of the picture, is an error in any case."""
    try:
        return simplejpeg.decode_jpeg(content, colors, strict=True)
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise
        pixels = simplejpeg.decode_jpeg(content, colors, strict=False)
        if strict:
            raise DoubtfulImageError(f"is damaged ({error})") from None
        return pixels


def _check_bmp(content: bytes) -> None:
    """Raise UnreadableImageError if a BMP that is not compressed goes on for a row or more after its last."""
    offset, header, width, height, _, bits, coded = struct.unpack_from("<IIiiHHI", content, 10)
    profile = int.from_bytes(content[130:134], "little") if header == 124 else 0
    row = (width * bits + 31) // 32 * 4
    left = len(content) - offset - row * abs(height) - profile
    if header >= 40 and coded in (0, 3) and left >= row:
        raise UnreadableImageError(f"is damaged (it holds {left} bytes of pixels more than its header promises)")
