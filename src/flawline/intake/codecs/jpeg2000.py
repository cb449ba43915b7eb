"""JPEG 2000: OpenJPEG decodes 1 to 16 bits. It has no checksum; what its markers promise is checked before."""

import struct
from dataclasses import dataclass

import imagecodecs
from numpy.typing import NDArray
from PIL import Image

from flawline.intake.codecs.base import (
    ORIENTATION,
    UnreadableImageError,
    all_channels,
    check_size,
    stretched,
    upright,
)
from flawline.intake.codecs.boxes import Box, box_in, boxes_in

JP2_START, J2K_START = b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"
EXIF = b"JpgTiffExif->JP2"  # of a box 'uuid'
SOT, EOC, COD = 0xFF90, 0xFFD9, 0xFF52  # markers: start of a tile's part, end, how it is coded
COLORS = (16, 17)  # sRGB and grey


@dataclass(frozen=True)
class Codestream:
    """What the header of a codestream promises; ``start`` is its first byte in the file, ``tiles`` where they begin."""

    height: int
    width: int
    channels: int
    bits: int
    tile_count: int
    start: int
    tiles: int
    reversible: bool


def decode_jpeg2000(content: bytes, max_pixels: int | None) -> NDArray:
    """Decode a JPEG 2000 file, with boxes (.jp2) or without (.j2k), to (C, H, W), alpha the last channel."""
    boxes = boxes_in(content) if content.startswith(JP2_START) else []
    stream = read_codestream(content)
    check_size(stream.height, stream.width, max_pixels)
    _check_tiles(content, stream)
    header = _header(content, boxes)
    _check_header(content, header, stream)
    samples = imagecodecs.jpeg2k_decode(content, numthreads=1)  # files are already read side by side
    if samples.shape[:2] != (stream.height, stream.width) or samples.dtype.kind != "u" or samples.itemsize > 2:
        raise UnreadableImageError(f"has {samples.shape} pixels of the type {samples.dtype}; wanted 8 or 16 bit")
    pixels = all_channels(samples)
    palette = any(box.kind == b"pclr" for box in header)
    pixels = pixels if palette or stream.bits >= 8 else stretched(pixels, 2**stream.bits - 1)
    return upright(pixels, orientation_of_jpeg2000(content))


def is_lossy_jpeg2000(content: bytes) -> bool:
    """Return True if the wavelet is the one that loses."""
    return not read_codestream(content).reversible


def read_codestream(content: bytes) -> Codestream:
    """Read the header of the codestream; raise UnreadableImageError if it is damaged or not as wanted."""
    start = 0 if content.startswith(J2K_START) else box_in(boxes_in(content), b"jp2c").start
    if content[start : start + 4] != J2K_START:
        raise UnreadableImageError("is damaged (its header cannot be read)")
    x1, y1, x0, y0, tile_x, tile_y, left, top, channels = struct.unpack_from(">8IH", content, start + 8)
    parts = [struct.unpack_from(">3B", content, start + 42 + 3 * k) for k in range(channels)]
    if not 1 <= channels <= 4 or {part[1:] for part in parts} != {(1, 1)} or len({part[0] for part in parts}) > 1:
        raise UnreadableImageError(f"has {channels} channels of several sizes or depths; wanted grey or RGB of one")
    if parts[0][0] >= 16:  # the highest bit says that there is a sign
        raise UnreadableImageError("has signed pixels or more than 16 bits; wanted 8 or 16 bit")
    if not (tile_x and tile_y and x1 > x0 and y1 > y0):
        raise UnreadableImageError("is damaged (its header promises no pixel)")
    tiles = -(-(x1 - left) // tile_x) * -(-(y1 - top) // tile_y)
    at, reversible = start + 2, True
    while (marker := int.from_bytes(content[at : at + 2], "big")) != SOT:
        if not 0xFF30 <= marker < SOT and not SOT < marker < EOC:
            raise UnreadableImageError("is damaged (its header has no end)")
        reversible = content[at + 13] == 1 if marker == COD else reversible
        at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4], "big"))
    return Codestream(y1 - y0, x1 - x0, channels, parts[0][0] + 1, tiles, start, at, reversible)


def _check_tiles(content: bytes, stream: Codestream) -> None:
    """Raise UnreadableImageError unless the parts of the tiles follow each other to the end, and none is missing."""
    at, seen = stream.tiles, set()
    while (marker := content[at : at + 2]) == SOT.to_bytes(2, "big"):
        tile, length = struct.unpack_from(">HI", content, at + 4)
        seen.add(tile)
        if length == 0:  # the last: to the end
            at = max(at, len(content.rstrip(b"\0")) - 2)
            marker = content[at : at + 2]
            break
        at += max(12, length)
    if marker != EOC.to_bytes(2, "big"):
        raise UnreadableImageError("is damaged (its end is missing)")
    if seen != set(range(min(stream.tile_count, 65536))):
        raise UnreadableImageError(f"is damaged (it has {len(seen)} of {stream.tile_count} tiles)")


def _header(content: bytes, boxes: list[Box]) -> list[Box]:
    """Return the boxes of the header; none of a codestream without boxes."""
    if not boxes:
        return []
    box = box_in(boxes, b"jp2h")
    return boxes_in(content, box.start, box.end)


def _check_header(content: bytes, header: list[Box], stream: Codestream) -> None:
    """Raise UnreadableImageError if the boxes promise another size than the codestream, or colours beside grey and
    RGB."""
    for box in header:
        if box.kind == b"ihdr":
            size = struct.unpack_from(">II", content, box.start)
            if size != (stream.height, stream.width):
                raise UnreadableImageError(
                    f"is damaged (its header says {size[0]} x {size[1]} and {stream.height} x {stream.width} pixels)"
                )
        if box.kind == b"colr":
            method, _, _, color = struct.unpack_from(">BBBI", content, box.start)
            if method == 1 and color not in COLORS:
                raise UnreadableImageError(f"has colours of the kind {color} of JPEG 2000; wanted grey or RGB")


def orientation_of_jpeg2000(content: bytes) -> int:
    """Return the EXIF orientation, 1 where none is given."""
    for box in boxes_in(content) if content.startswith(JP2_START) else []:
        if box.kind == b"uuid" and content.startswith(EXIF, box.start):
            exif = Image.Exif()
            exif.load(content[box.start + len(EXIF) : box.end])
            return int(exif.get(ORIENTATION, 1))
    return 1
