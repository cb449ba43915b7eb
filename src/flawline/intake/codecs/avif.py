"""AVIF: libavif decodes 8, 10 and 12 bits; Pillow, which would cut them to 8, reads the header. It has no checksum."""

import io

import imagecodecs
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from flawline.intake.codecs.base import (
    UnreadableImageError,
    all_channels,
    check_page,
    check_size,
    orientation_of,
    upright,
)
from flawline.intake.codecs.boxes import Box, box_in, boxes_in

BRANDS = (b"avif", b"avis")


def is_avif(content: bytes) -> bool:
    """Return True if the file calls itself AVIF, as its main brand or among those that it is compatible with."""
    if content[4:8] != b"ftyp":
        return False
    length = int.from_bytes(content[:4], "big")
    brands = [content[8:12], *(content[at : at + 4] for at in range(16, min(length, 256), 4))]
    return any(brand in BRANDS for brand in brands)


def decode_avif(content: bytes, max_pixels: int | None) -> NDArray:
    """Decode an AVIF file to (C, H, W), alpha the last channel, turned and mirrored as it says."""
    _check_whole(content, boxes_in(content))
    image = _open(content)
    check_page(None, getattr(image, "n_frames", 1))
    check_size(image.height, image.width, max_pixels)
    samples = imagecodecs.avif_decode(content, numthreads=1)  # files are already read side by side
    if samples.shape[:2] != (image.height, image.width):
        raise UnreadableImageError(f"is damaged (it holds {samples.shape} pixels)")
    return upright(all_channels(samples), orientation_of(image))


def orientation_of_avif(content: bytes) -> int:
    """Return the orientation as EXIF counts, made from how the file says that it is turned and mirrored."""
    return orientation_of(_open(content))


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=("AVIF",))
    except UnidentifiedImageError:
        raise UnreadableImageError("is damaged (its header cannot be read)") from None


def _check_whole(content: bytes, boxes: list[Box]) -> None:
    """Raise UnreadableImageError if only a part of the picture is to be shown, which libavif does not cut out."""
    meta = box_in(boxes, b"meta")
    properties = box_in(boxes_in(content, meta.start + 4, meta.end), b"iprp")
    shared = box_in(boxes_in(content, properties.start, properties.end), b"ipco")
    if any(box.kind == b"clap" for box in boxes_in(content, shared.start, shared.end)):
        raise UnreadableImageError("says that only a part of it is to be shown; wanted a picture without a crop")
