"""GIF: Pillow decodes; before, the blocks of the file are followed to its end. Animations are refused."""

import struct

from flawline.intake.codecs.base import UnreadableImageError, check_page

IMAGE, EXTENSION, END = 0x2C, 0x21, 0x3B  # how a block begins


def check_gif(content: bytes) -> None:
    """Raise UnreadableImageError unless the file holds one picture, which fills it, and goes on to its end."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    at = 13 + _palette(flags)
    frames: list[tuple[int, ...]] = []
    while (kind := content[at : at + 1]) != bytes([END]):
        if kind == bytes([IMAGE]):
            *place, flags = struct.unpack_from("<4HB", content, at + 1)
            frames.append(tuple(place))
            at = _behind_blocks(content, at + 11 + _palette(flags))
        elif kind == bytes([EXTENSION]):
            at = _behind_blocks(content, at + 2)
        else:
            raise UnreadableImageError("is damaged (its end is missing)")
    check_page(None, len(frames))
    if frames != [(0, 0, width, height)]:
        raise UnreadableImageError(f"has a picture that does not fill its {height} x {width} pixels")


def _palette(flags: int) -> int:
    """Return the bytes of the palette that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_blocks(content: bytes, at: int) -> int:
    """Return where a row of blocks of up to 255 bytes ends: with an empty one."""
    while (length := content[at]) != 0:
        at += 1 + length
    return at + 1
