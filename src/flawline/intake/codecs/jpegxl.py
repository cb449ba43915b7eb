"""JPEG XL: libjxl decodes and turns upright, 1 to 16 bits; a wrong state at the end of its coder tells most damage."""

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
from numpy.typing import NDArray

from flawline.intake.codecs.base import (
    UnreadableImageError,
    all_channels,
    check_page,
    check_size,
    stretched,
)
from flawline.intake.codecs.boxes import box_in, boxes_in

JXL_START, JXL_BOXES = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
Take = Callable[[int], int]  # the next bits, lowest first


@dataclass(frozen=True)
class Header:
    """What the header promises; the size is that before the image is turned upright."""

    height: int
    width: int
    bits: int = 8
    floating: bool = False
    animated: bool = False
    orientation: int = 1  # as EXIF counts; libjxl applies it


def decode_jpegxl(content: bytes, max_pixels: int | None) -> NDArray:
    """Decode a JPEG XL file, with boxes or without, to (C, H, W), alpha the last channel, upright."""
    header = read_header(content)
    check_page(None, 2 if header.animated else 1)
    check_size(header.height, header.width, max_pixels)
    if header.floating or header.bits > 16:
        raise UnreadableImageError("has floating-point pixels or more than 16 bits; wanted 8 or 16 bit")
    samples = imagecodecs.jpegxl_decode(content, numthreads=1)  # files are already read side by side
    if {header.height, header.width} != set(samples.shape[:2]):
        raise UnreadableImageError(f"is damaged (it holds {samples.shape} pixels)")
    pixels = all_channels(samples)
    return pixels if header.bits >= 8 else stretched(pixels, 2**header.bits - 1)


def read_header(content: bytes) -> Header:
    """Read size and depth of the first bits. Source: ISO/IEC 18181-1, annex D (image header)."""
    start = _codestream(content)
    if content[start : start + 2] != JXL_START:
        raise UnreadableImageError("is damaged (its header cannot be read)")
    take = _bits_of(content[start + 2 : start + 66])
    height, width = _size(take)
    if take(1):  # all as usual
        return Header(height, width)
    orientation = 1
    if take(1):
        orientation = 1 + take(3)
        if take(1):
            _size(take)  # at which it is to be shown
        if take(1):
            raise UnreadableImageError("holds a preview beside its image; wanted one")
        if take(1):
            return Header(height, width, animated=True)
    if take(1):
        return Header(height, width, floating=True)
    bits = _number(take, (8, 0), (10, 0), (12, 0), (1, 6))
    return Header(height, width, bits=bits, orientation=orientation)


def _codestream(content: bytes) -> int:
    """Return where the codestream starts."""
    if content.startswith(JXL_START):
        return 0
    boxes = boxes_in(content)
    if any(box.kind == b"jxlp" for box in boxes):
        return box_in(boxes, b"jxlp").start + 4  # behind the number of the part
    return box_in(boxes, b"jxlc").start


def _bits_of(content: bytes) -> Take:
    whole, at = int.from_bytes(content, "little"), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return (whole >> (at - count)) & ((1 << count) - 1)

    return take


def _size(take: Take) -> tuple[int, int]:
    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else _number(take, (1, 9), (1, 13), (1, 18), (1, 30))

    height, ratio = side(), take(3)
    if ratio == 0:
        return height, side()
    across, down = RATIOS[ratio - 1]
    return height, height * across // down


def _number(take: Take, *choices: tuple[int, int]) -> int:
    """Return a number of one of four codings: what is added, and how many bits it has."""
    add, bits = choices[take(2)]
    return add + take(bits)
