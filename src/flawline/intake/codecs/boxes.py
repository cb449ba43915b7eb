"""The boxes of the ISO base media file format, of which JPEG 2000, JPEG XL and AVIF files consist."""

from dataclasses import dataclass

from flawline.intake.codecs.base import UnreadableImageError


@dataclass(frozen=True)
class Box:
    """A box: its four letters, and where its content starts and ends in the file."""

    kind: bytes
    start: int
    end: int


def boxes_in(content: bytes, start: int = 0, end: int | None = None) -> list[Box]:
    """Return the boxes between ``start`` and ``end``; raise UnreadableImageError if they do not end there."""
    found: list[Box] = []
    end = len(content) if end is None else end
    while start < end:
        length, head = int.from_bytes(content[start : start + 4], "big"), 8
        if length == 1:  # a length of 64 bits follows
            length, head = int.from_bytes(content[start + 8 : start + 16], "big"), 16
        length = length or end - start  # 0: to the end
        if length < head or start + length > end:
            raise UnreadableImageError("is damaged (its parts do not fill it; its end may be missing)")
        found.append(Box(content[start + 4 : start + 8], start + head, start + length))
        start += length
    return found


def box_in(boxes: list[Box], kind: bytes) -> Box:
    """Return the first box of a ``kind``; raise UnreadableImageError if there is none."""
    for box in boxes:
        if box.kind == kind:
            return box
    raise UnreadableImageError(f"is damaged (it has no part {kind!r})")
