import struct

import pytest

from flawline.intake.codecs.base import UnreadableImageError
from flawline.intake.codecs.boxes import box_in, boxes_in


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def test_boxes_are_found_with_their_content():
    content = (
        box(b"ftyp", b"abc") + struct.pack(">I4sQ", 1, b"long", 18) + b"de" + struct.pack(">I4s", 0, b"last") + b"f"
    )
    assert [(each.kind, content[each.start : each.end]) for each in boxes_in(content)] == [
        (b"ftyp", b"abc"), (b"long", b"de"), (b"last", b"f"),
    ]  # fmt: skip


@pytest.mark.parametrize("content", [box(b"ftyp", b"abc")[:-1], box(b"ftyp", b"") + b"x", b"\0\0\0\x03ftyp"])
def test_boxes_that_do_not_fill_the_file(content):
    with pytest.raises(UnreadableImageError, match=r"is damaged \(its parts do not fill it"):
        boxes_in(content)


def test_missing_box_is_named():
    with pytest.raises(UnreadableImageError, match="it has no part b'jp2c'"):
        box_in(boxes_in(box(b"ftyp", b"")), b"jp2c")
