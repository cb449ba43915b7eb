"""PNG: libpng decodes, since it alone keeps 16-bit colour; checksums and sizes are checked before."""

import zlib

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawline.intake.codecs.base import (
    DEFLATE_BEST,
    ORIENTATION,
    PNG_START,
    UnreadableImageError,
    by_pillow,
    channels_first,
    check_held,
    upright,
)

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel, by colour type
# Where the seven passes of an interlaced PNG start and how far they step: y, x, down, right.
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
# Chunks that may hold the orientation, by how they begin.
EXIF = (b"eXIf", b"tEXtRaw profile type exif", b"zTXtRaw profile type exif", b"iTXtXML:com.adobe.xmp")


def decode_png(image: Image.Image, content: bytes) -> NDArray:
    """Decode a PNG with libpng, which alone keeps 16-bit colour. It gets only the chunks that make the pixels, since it
    prints warnings about others. It also warns of interlaced files: Pillow decodes those where it loses nothing."""
    chunks = png_chunks(content)
    depth, interlaced = content[24], content[28]
    _check_size(image, chunks, depth, interlaced)
    if interlaced and depth <= 8:
        return by_pillow(image)
    pixels = imagecodecs.png_decode(PNG_START + b"".join(c for c in chunks if not c[4] & 32))  # capital: critical
    return upright(channels_first(pixels), _orientation(image, chunks))


def orientation_of_png(image: Image.Image, content: bytes) -> int:
    """Return the EXIF orientation of a PNG that can be decoded; 1, upright, where it says nothing."""
    return _orientation(image, png_chunks(content, checked=True))


def _orientation(image: Image.Image, chunks: list[memoryview]) -> int:
    started = next(k for k, chunk in enumerate(chunks) if chunk[4:8] == b"IDAT")
    late = any(bytes(chunk[4:32]).startswith(EXIF) for chunk in chunks[started:])
    # Pillow's own way with PNG decodes all pixels to look for late ones.
    exif = image.getexif() if late else Image.Image.getexif(image)
    return int(exif.get(ORIENTATION, 1))


def png_chunks(content: bytes, *, checked: bool = False) -> list[memoryview]:
    """Return a PNG's chunks up to its end; raise UnreadableImageError if a checksum is wrong or the end missing.
    Checksums that have been ``checked`` are not computed again."""
    chunks: list[memoryview] = []
    at, view = len(PNG_START), memoryview(content)
    while not chunks or chunks[-1][4:8] != b"IEND":
        length = int.from_bytes(view[at : at + 4], "big")
        chunk = view[at : at + 12 + length]
        if len(chunk) < 12 + length:
            raise UnreadableImageError("is damaged (its end is missing)")
        if not checked and zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise UnreadableImageError(f"is damaged (wrong checksum of the {bytes(chunk[4:8])!r} at byte {at})")
        chunks.append(chunk)
        at += len(chunk)
    return chunks


def _check_size(image: Image.Image, chunks: list[memoryview], depth: int, interlaced: int) -> None:
    """Raise UnreadableImageError unless the compressed data are as many bytes as the header promises.

    libpng would ask for the memory first, and only print a warning where there are too many."""
    bits = depth * SAMPLES[chunks[0][17]]
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sides = [(-(-(image.height - y) // down), -(-(image.width - x) // right)) for y, x, down, right in passes]
    wanted = sum(height * (1 + (width * bits + 7) // 8) for height, width in sides if height > 0 and width > 0)
    coded = b"".join(chunk[8:-4] for chunk in chunks if chunk[4:8] == b"IDAT")
    check_held(image, wanted, len(coded) * DEFLATE_BEST)
    got = len(imagecodecs.deflate_decode(coded, out=wanted + 1))
    if got != wanted:
        raise UnreadableImageError(f"is damaged (its header promises {wanted} bytes of pixels, it holds {got})")


def encode_png(image: NDArray) -> bytes:
    """Return ``image`` (C, H, W) uint8 or uint16, grey or RGB, as the content of a PNG file."""
    pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    return bytes(imagecodecs.png_encode(np.array(pixels, order="C")))  # a copy: it is particular about strides
