"""What could be known of a damaged file without knowing the undamaged one; on purpose not the code that decodes.

PNG: checksums, the end, the number of bytes of pixels. JPEG: libjpeg-turbo's warnings. TIFF and BMP: lengths that
contradict the size, and zlib's checksum. WebP: its length; it has no checksum. GIF: as many pixels as promised, and an
end. PNM: as many values as promised, none beyond the largest. JPEG 2000, JPEG XL and AVIF: parts that do not fill the
file, sizes that contradict each other, parts of the picture that lie beyond the end. Labels: what no JSON or XML reader
takes, lines of YOLO that are no numbers from 0 to 1."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from xml.etree import ElementTree

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


def _gif(content: bytes) -> str:
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    at, pixels = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0), 0
    while (kind := content[at]) != 0x3B:
        if kind == 0x2C:
            if struct.unpack_from("<4H", content, at + 1) != (0, 0, width, height):
                return "place of the picture"
            at += 10 + (3 << (content[at + 9] & 7) + 1 if content[at + 9] & 0x80 else 0)
            least, (coded, at) = content[at], _gif_blocks(content, at + 1)
            pixels += _lzw_length(coded, least)
        elif kind == 0x21:
            _, at = _gif_blocks(content, at + 2)
        else:
            return "block"
    return "" if pixels >= width * height else f"{pixels} pixels"


def _gif_blocks(content: bytes, at: int) -> tuple[bytes, int]:
    blocks = b""
    while length := content[at]:
        blocks += content[at + 1 : at + 1 + length]
        at += 1 + length
    return blocks, at + 1


def _lzw_length(coded: bytes, least: int) -> int:
    """Return how many pixels codes of ``least`` + 1 bits and more stand for."""
    stream, clear = int.from_bytes(coded, "little"), 1 << least
    lengths: list[int] = []
    at, size, before, total = 0, least + 1, 0, 0
    while at + size <= 8 * len(coded):
        code = (stream >> at) & ((1 << size) - 1)
        at += size
        if code == clear:
            lengths, size, before = [1] * (clear + 2), least + 1, 0
            continue
        if code == clear + 1:
            break
        if code > len(lengths) or (code == len(lengths) and not before):
            raise ValueError(f"code {code} of {len(lengths)}")
        length = before + 1 if code == len(lengths) else lengths[code]
        if before and len(lengths) < 4096:
            lengths.append(before + 1)
        size += len(lengths) == 1 << size and size < 12
        total, before = total + length, length
    return total


def _pnm(content: bytes) -> str:
    kind = content[1] - 48
    words, at = [], 2
    while len(words) < (2 if kind in (1, 4) else 3):
        while content[at : at + 1].isspace() or content[at : at + 1] == b"#":
            at = content.index(b"\n", at) if content[at : at + 1] == b"#" else at + 1
        start = at
        while content[at : at + 1].isdigit():
            at += 1
        words.append(int(content[start:at]))
    width, height, most = (*words, 1)[:3]
    count = width * height * (3 if kind in (3, 6) else 1)
    body = content[at + 1 :]
    if kind < 4:
        values = [int(word) for word in body.split()]
        return "" if kind == 1 or (len(values) == count and max(values) <= most) else "numbers"
    wanted = height * ((width + 7) // 8) if kind == 4 else count * (2 if most > 255 else 1)
    return "" if len(body.rstrip(b"\r\n")) <= wanted <= len(body) <= wanted + 2 else "bytes of pixels"


def _boxes(content: bytes, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    """Return where the content of each kind of box lies; the first of several."""
    found: dict[bytes, tuple[int, int]] = {}
    while start < end:
        length, kind = struct.unpack_from(">I4s", content, start)
        length, head = (struct.unpack_from(">Q", content, start + 8)[0], 16) if length == 1 else (length, 8)
        length = length or end - start
        if start + length > end or length < head:
            raise ValueError(f"box {kind!r}")
        found.setdefault(kind, (start + head, start + length))
        start += length
    return found


def _jpeg2000(content: bytes) -> str:
    start = 0
    if not content.startswith(b"\xff\x4f\xff\x51"):
        boxes = _boxes(content, 0, len(content))
        start = boxes[b"jp2c"][0]
        inside = _boxes(content, *boxes[b"jp2h"])
        height, width = struct.unpack_from(">II", content, inside[b"ihdr"][0])
        x1, y1, x0, y0 = struct.unpack_from(">4I", content, start + 8)
        if (height, width) != (y1 - y0, x1 - x0):
            return "sizes"
    at = start + 2
    while content[at : at + 2] != b"\xff\x90":
        at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    while content[at : at + 2] == b"\xff\x90":
        at += struct.unpack_from(">I", content, at + 6)[0] or len(content) - 2 - at
    return "" if content[at : at + 2] == b"\xff\xd9" else "end"


def _jpegxl(content: bytes) -> str:
    if not content.startswith(b"\xff\x0a"):
        _boxes(content, 0, len(content))
    return ""


def _avif(content: bytes) -> str:
    boxes = _boxes(content, 0, len(content))
    meta = _boxes(content, boxes[b"meta"][0] + 4, boxes[b"meta"][1])
    inside = _boxes(content, *_boxes(content, *meta[b"iprp"])[b"ipco"])
    return "" if {b"ispe", b"av1C"} <= set(inside) and b"iloc" in meta else "parts"


def _json(content: bytes) -> str:
    json.loads(content)
    return ""


def _xml(content: bytes) -> str:
    ElementTree.fromstring(content)
    return ""


def _yolo(content: bytes) -> str:
    for line in content.decode("utf-8-sig").splitlines():
        fields = line.split()
        numbers = [float(each) for each in fields[1:]]
        if fields and (len(fields) < 5 or not all(-0.01 <= each <= 1.01 for each in numbers) or int(fields[0]) < 0):
            return f"line {line}"
    return ""


PROOFS: dict[str, Callable[[bytes], str]] = {
    "PNG": _png, "JPEG": _jpeg, "MPO": _jpeg, "TIFF": _tiff, "TIFF 16": _tiff, "BMP": _bmp, "WEBP": _webp,
    "GIF": _gif, "PNM": _pnm, "JPEG2000": _jpeg2000, "JPEG XL": _jpegxl, "AVIF": _avif,
    "COCO": _json, "labelme": _json, "VOC": _xml, "CVAT": _xml, "YOLO": _yolo,
}  # fmt: skip
