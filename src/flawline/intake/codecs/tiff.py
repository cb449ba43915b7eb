"""TIFF: tifffile finds the pages and decodes what is grey or RGB without cutting the depth; Pillow decodes the rest."""

import io
import math
import struct

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffPage
from tifffile.tifffile import TiffFormat

from flawline.intake.codecs.base import (
    DEFLATE_BEST,
    ORIENTATION,
    UnreadableImageError,
    all_channels,
    by_pillow,
    channels_first,
    check_page,
    check_size,
    open_image,
    upright,
)
from flawline.intake.codecs.unread import not_read
from flawline.vision.levels import full_value

GREY_OR_RGB = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)
ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
DEFLATE = (COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
LOSSLESS = (COMPRESSION.NONE, COMPRESSION.LZW, *DEFLATE, COMPRESSION.PACKBITS)
STRIP_OFFSETS, TILE_OFFSETS, PLANES = 0x0111, 0x0144, 0x011C  # tags
LARGEST = 0x0119  # tag MaxSampleValue
SUB_PAGES, DNG_VERSION, MAKE = 0x014A, 0xC612, 0x010F
RAW = (PHOTOMETRIC.CFA, PHOTOMETRIC.LINEAR_RAW)  # colour filters before, or after, each pixel has all its colours
CR2 = b"CR\x02"  # at byte 8
REDUCED = 0xFE  # tag whose lowest bit marks a smaller copy of another page
WANTED = "wanted 8 or 16 bits a channel, grey or RGB"


def decode_tiff(content: bytes, number: int | None, max_pixels: int | None) -> NDArray:
    """Decode a TIFF's page: with tifffile, which cuts no depth, or with Pillow where colours are not RGB."""
    with TiffFile(io.BytesIO(content)) as file:
        own = own_pages(file)
        check_page(number, len(own))
        page = file.pages[own[(number or 1) - 1]].aspage()
        check_size(page.imagelength, page.imagewidth, max_pixels)
        _check_strips(page, content)
        if page.dtype is None or page.dtype.kind not in "iub":
            raise UnreadableImageError("has floating-point pixels; wanted 8 or 16 bit")
        plain = page.photometric in GREY_OR_RGB and page.axes in ("YX", "YXS", "SYX") and page.samplesperpixel <= 5
        if plain and page.compression != COMPRESSION.JPEG:
            return _by_tifffile(page)
        if page.bitspersample > 8:
            kind = getattr(page.photometric, "name", page.photometric)
            raise UnreadableImageError(f"has {page.dtype} pixels of the kind {kind}; {WANTED}")
        if page.compression in LOSSLESS:
            page.asarray(maxworkers=1)  # finds damage that libtiff only prints a warning of
    image = open_image(content)
    image.seek(page.index)
    return by_pillow(image)


def alpha_of_tiff(content: bytes, number: int | None) -> NDArray | None:
    """Return how opaque each pixel (H, W) of a page that can be decoded is; None if it has no such channel."""
    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages[own_pages(file)[(number or 1) - 1]].aspage()
        if not any(kind in ALPHA for kind in page.extrasamples):
            return None
        samples = page.asarray(maxworkers=1)
        pixels = samples if page.axes == "SYX" else all_channels(samples)  # (S, H, W)
        return upright(pixels, page.tags.valueof(ORIENTATION, 1))[-1]


def orientation_of_tiff(content: bytes, number: int | None) -> int:
    """Return the orientation of a page that can be decoded, as EXIF counts."""
    with TiffFile(io.BytesIO(content)) as file:
        page = file.pages[own_pages(file)[(number or 1) - 1]].aspage()
        return int(page.tags.valueof(ORIENTATION, 1))


def _by_tifffile(page: TiffPage) -> NDArray:
    """Return the pixels (C, H, W) of a grey or RGB page, upright; fewer than 8 bits are stretched to 8."""
    samples = page.asarray(maxworkers=1)  # files are already read side by side
    if page.bitspersample < 8:
        samples = samples.astype(np.uint8) * np.uint8(255 // (2**page.bitspersample - 1))
    elif samples.dtype not in (np.uint8, np.uint16):
        samples = _sixteen_bit(samples)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        samples = _full_value(page, samples) - samples
    pixels = channels_first(np.moveaxis(samples, 0, -1) if page.axes == "SYX" else samples)
    return upright(pixels, page.tags.valueof(ORIENTATION, 1))


def _full_value(page: TiffPage, samples: NDArray) -> NDArray:
    """Return the largest value of the scale that a page's ``samples`` are on, of their type."""
    depth = 8 * samples.itemsize
    told = full_value((_bits_of(page) if depth > 8 else 0) or depth)
    return samples.dtype.type(told if samples.max(initial=0) <= told else full_value(depth))


def tiff_bits(content: bytes, number: int | None) -> int:
    """Return how many bits a channel a TIFF's page says that its 16-bit values use, 8 to 15; 0 where it does not."""
    with TiffFile(io.BytesIO(content)) as file:
        own = own_pages(file)
        check_page(number, len(own))
        return _bits_of(file.pages[own[(number or 1) - 1]].aspage())


def _bits_of(page: TiffPage) -> int:
    """Return the bits, 8 to 15, that samples are packed with, or that hold the largest value there may be, as a tag has
    it; 0 of samples of 8 bits, and where no tag says so."""
    if page.bitspersample < 16:
        return int(page.bitspersample) if page.bitspersample > 8 else 0
    told = page.tags.valueof(LARGEST, 0)
    largest = max(told) if isinstance(told, tuple) else told
    # The scale's end, 65535, is what the tag means where it is missing: it says nothing of what a camera uses.
    return next((bits for bits in range(8, 16) if largest == full_value(bits)), 0)


def _sixteen_bit(pixels: NDArray) -> NDArray[np.uint16]:
    """Return whole numbers of another type as 16 bit; raise UnreadableImageError if they do not fit."""
    if pixels.size and (pixels.min() < 0 or pixels.max() > 65535):
        raise UnreadableImageError(f"has pixel values from {pixels.min()} to {pixels.max()}; wanted 8 or 16 bit")
    return pixels.astype(np.uint16)


def own_pages(file: TiffFile) -> list[int]:
    """Return which pages of a TIFF are images of their own, not smaller copies of another.

    Reads no more than that, since a stack has hundreds of pages and each is decoded alone. Raise UnreadableImageError
    if one leads to a next that is none: tifffile would end there without an error; and for camera raw."""
    _refuse_raw(file)
    tags: dict[int, bytes] = {}  # of each page, by where it lies
    try:
        at = file.pages.first.offset
        while at and at not in tags:
            tags[at], at = _directory(file, at)
    except (IndexError, struct.error):
        raise UnreadableImageError(f"is damaged (after {len(tags)} pages, the next cannot be found)") from None
    if at:
        raise UnreadableImageError("is damaged (its pages lead in a circle)")
    return [k for k, each in enumerate(tags.values()) if not _marks_reduced(each, file.tiff)] or [0]


def _refuse_raw(file: TiffFile) -> None:
    """Raise UnreadableImageError for DNG, CR2, NEF, ARW and the like: TIFFs whose pages are a thumbnail, or colour
    filters that are no picture yet."""
    first = file.pages.first.aspage()
    if DNG_VERSION in first.tags:
        raise UnreadableImageError(not_read("DNG, camera raw"))
    file.filehandle.seek(8)
    if file.filehandle.read(len(CR2)) == CR2:
        raise UnreadableImageError(not_read("CR2, camera raw"))
    below = [page.aspage() for page in first.pages or ()] if SUB_PAGES in first.tags else []
    if any(page.photometric in RAW for page in (first, *below)):
        make = str(first.tags.valueof(MAKE) or "").strip()
        raise UnreadableImageError(not_read(f"camera raw of {make}" if make else "DNG or other camera raw"))


def _directory(file: TiffFile, at: int) -> tuple[bytes, int]:
    """Return a page's tags and where the next page lies, 0 for nowhere."""
    form, read = file.tiff, file.filehandle.read
    file.filehandle.seek(at)
    count = struct.unpack(form.tagnoformat, read(form.tagnosize))[0]
    tags = read(count * form.tagsize)
    return tags, struct.unpack(form.offsetformat, read(form.offsetsize))[0]


def _marks_reduced(tags: bytes, form: TiffFormat) -> bool:
    starts = range(0, len(tags), form.tagsize)
    codes = {struct.unpack_from(form.byteorder + "H", tags, at)[0]: at for at in starts}
    if REDUCED not in codes:
        return False
    value = codes[REDUCED] + form.tagsize - form.offsetsize
    kind = struct.unpack_from(form.byteorder + "H", tags, codes[REDUCED] + 2)[0]
    return bool(struct.unpack_from(form.byteorder + ("H" if kind == 3 else "I"), tags, value)[0] & 1)  # SHORT or LONG


def _check_strips(page: TiffPage, content: bytes) -> None:
    """Raise UnreadableImageError unless a TIFF's strips or tiles are as many and as long as its header promises."""
    told = page.tags.get(TILE_OFFSETS if page.is_tiled else STRIP_OFFSETS)
    wanted = math.prod(page.chunked)
    if told is None or not told.count == len(page.dataoffsets) == len(page.databytecounts) == wanted:
        raise UnreadableImageError(f"is damaged (its header promises {wanted} strips or tiles, it holds others)")
    if page.tags.valueof(PLANES, 1) not in (1, 2):
        raise UnreadableImageError("is damaged (its channels lie neither together nor apart)")
    strips = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if any(length <= 0 or start + length > len(content) for start, length in strips):
        raise UnreadableImageError("is damaged (strips or tiles are empty or lie beyond its end)")
    if page.compression == COMPRESSION.JPEG:
        heights = [_check_jpeg_strip(page, content[start : start + length]) for start, length in strips]
        if not page.is_tiled and page.planarconfig == 1 and sum(heights) != page.imagelength:
            raise UnreadableImageError(
                f"is damaged (its header promises {page.imagelength} rows, it holds {sum(heights)})"
            )
    elif page.compression in (COMPRESSION.NONE, *DEFLATE) and not page.is_tiled:
        _check_strip_bytes(page, strips, content)


def _check_strip_bytes(page: TiffPage, strips: list[tuple[int, int]], content: bytes) -> None:
    """Raise UnreadableImageError unless the strips hold as many bytes of pixels as the header promises."""
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    row = (page.imagewidth * page.bitspersample * (page.samplesperpixel // planes) + 7) // 8
    wanted = row * page.imagelength * planes
    held = sum(page.databytecounts)
    if page.compression in DEFLATE and wanted <= held * DEFLATE_BEST:
        coded = (content[start : start + length] for start, length in strips)
        held = sum(len(imagecodecs.deflate_decode(strip, out=wanted + 1)) for strip in coded)
    if held != wanted:
        raise UnreadableImageError(f"is damaged (its header promises {wanted} bytes of pixels, it holds {held})")


def _check_jpeg_strip(page: TiffPage, strip: bytes) -> int:
    """Return the rows of a strip or tile; raise ValueError if libjpeg-turbo warns: libtiff, which decodes, goes on."""
    tables = page.jpegtables or b""
    whole = tables[:-2] + strip[2:] if tables else strip  # without the end of the one and the start of the other
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    pixels = simplejpeg.decode_jpeg(whole, {1: "GRAY", 4: "CMYK"}.get(samples, "RGB"), strict=True)  # (h, w, S)
    if pixels.shape[1] != (page.tilewidth if page.is_tiled else page.imagewidth):
        raise UnreadableImageError(f"is damaged (its header promises another width than {pixels.shape[1]})")
    return len(pixels)
