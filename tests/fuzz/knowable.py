"""What could be known of a damaged file without knowing the undamaged one; on purpose not the code that decodes.

PNG: checksums, the end, the number of bytes of pixels. JPEG: libjpeg-turbo's warnings. TIFF and BMP: lengths that
contradict the size, and zlib's checksum. WebP: its length; it has no checksum."""

import io
import struct
import zlib
from collections.abc import Callable

import simplejpeg
import tifffile

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's pixel, by colour type


def known_damage(kind: str, content: bytes) -> str:
    """Return what proves that ``content`` is damaged, empty if nothing does."""
    try:
        return PROOFS[kind](content) if kind in PROOFS else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _png(content: bytes) -> str:
    at, kind, coded = 8, b"", b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + 8 + length]
        if struct.unpack_from(">I", content, at + 8 + length)[0] != zlib.crc32(kind + body):
            return f"checksum of {kind!r}"
        coded += body if kind == b"IDAT" else b""
        at += 12 + length
    width, height, depth, color, _, _, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    rows = height * (1 + (width * depth * SAMPLES[color] + 7) // 8)
    return "" if interlaced or len(zlib.decompress(coded)) == rows else "bytes of pixels"


def _jpeg(content: bytes) -> str:
    height, width, space, _ = simplejpeg.decode_jpeg_header(content)
    if height * width > 10_000_000:
        return "size"
    simplejpeg.decode_jpeg(content, "CMYK" if space in ("CMYK", "YCCK") else "GRAY" if space == "Gray" else "RGB")
    return ""


def _tiff(content: bytes) -> str:
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        return next((proof for page in file.pages if (proof := _tiff_page(page.aspage(), content))), "")


def _tiff_page(page: tifffile.TiffPage, content: bytes) -> str:
    strips = [content[at : at + size] for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if [len(strip) for strip in strips] != list(page.databytecounts):
        return "strips beyond the end"
    if page.compression in (8, 32946):
        held = sum(len(zlib.decompress(strip)) for strip in strips)
    elif page.compression == 1:
        held = sum(page.databytecounts)
    elif page.compression == 7:
        tables = page.jpegtables or b""
        parts = [simplejpeg.decode_jpeg(tables[:-2] + strip[2:] if tables else strip) for strip in strips]
        right = sum(map(len, parts)) == page.imagelength and {part.shape[1] for part in parts} == {page.imagewidth}
        return "" if right else "size of a strip"
    else:
        return ""
    bits = page.bitspersample * page.samplesperpixel // (page.samplesperpixel if page.planarconfig == 2 else 1)
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    wanted = planes * page.imagelength * ((page.imagewidth * bits + 7) // 8)
    return "" if page.is_tiled or held == wanted else f"{held} bytes of pixels, wanted {wanted}"


def _bmp(content: bytes) -> str:
    offset, _, width, height, _, bits, coded = struct.unpack_from("<IIiiHHI", content, 10)
    row = (width * bits + 31) // 32 * 4
    left = len(content) - offset - row * abs(height)
    return "bytes of pixels" if coded == 0 and not 0 <= left < max(row, 1) else ""


def _webp(content: bytes) -> str:
    return "length" if struct.unpack_from("<I", content, 4)[0] + 8 > len(content) else ""


PROOFS: dict[str, Callable[[bytes], str]] = {
    "PNG": _png, "JPEG": _jpeg, "MPO": _jpeg, "TIFF": _tiff, "TIFF 16": _tiff, "BMP": _bmp, "WEBP": _webp,
}  # fmt: skip
