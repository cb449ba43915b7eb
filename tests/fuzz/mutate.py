"""Small files of every format that flawline reads, and ways to damage them: the same for the same seed and number."""

import base64
import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import imagecodecs
import numpy as np
import tifffile
from numpy.random import Generator
from PIL import Image

HEIGHT, WIDTH = 37, 52  # no multiple of a JPEG block, odd and even
RUNS = {"counts": "T3X1Q1oN_e1", "size": [HEIGHT, WIDTH]}  # runs of 100, 40, 33, 7 and 1744 pixels, compressed
ORIENTATION = 0x0112
PNG_START = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
LIES = (0, 1, 2, 7, 36, 38, 51, 53, 255, 256, 4096, 30_000, 32_768, 65_535, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass(frozen=True)
class Original:
    """An undamaged file; ``kind`` is its row of the table, ``reads`` how it is read: as an image, as a mask, or as the
    labels of 1.png, in a folder with 0.png and a file of this name."""

    kind: str
    name: str
    content: bytes
    reads: str = "image"


# --- the undamaged files ---------------------------------------------------------------------------------------------
@cache
def originals() -> tuple[Original, ...]:
    files = [*_png(), *_jpeg(), *_tiff(), *_others(), *_pnm(), *_jpeg2000(), *_jpegxl(), *_avif()]
    return (*(Original(kind, name, content) for kind, name, content in files), *_masks(), *_labels())


def texture(dtype: type = np.uint8, channels: int = 1) -> np.ndarray:
    """Return a photograph-like texture (H, W) or (H, W, C): waves and grain over the type's range."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grain = np.random.default_rng(7).normal(0, 0.05, (HEIGHT, WIDTH, channels))
    waves = 0.5 + 0.3 * np.sin(x / 5)[..., None] * np.cos((y[..., None] + 3 * np.arange(channels)) / 6)  # (H, W, C)
    pixels = ((waves + grain).clip(0, 1) * np.iinfo(dtype).max).astype(dtype)
    return pixels[..., 0] if channels == 1 else pixels


def saved(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def interlaced_png(grey: np.ndarray) -> bytes:
    """Return ``grey`` (H, W) uint8 as an interlaced PNG, which no library at hand writes."""
    passes = [grey[y::dy, x::dx] for y, x, dy, dx in ADAM7]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return PNG_START + b"".join(png_chunk(*chunk) for chunk in chunks)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def _png():
    grey, rgb = Image.fromarray(texture()), Image.fromarray(texture(channels=3))
    yield "PNG", "1 bit", saved(Image.fromarray(texture() > 128), "PNG")
    yield "PNG", "grey", saved(grey, "PNG")
    yield "PNG", "grey, orientation 6", saved(grey, "PNG", exif=turned(6))
    yield "PNG", "grey 16", imagecodecs.png_encode(texture(np.uint16))
    yield "PNG", "LA", saved(Image.fromarray(texture(channels=2), "LA"), "PNG")
    yield "PNG", "LA 16", imagecodecs.png_encode(texture(np.uint16, 2))
    yield "PNG", "RGB", saved(rgb, "PNG")
    yield "PNG", "RGBA", saved(Image.fromarray(texture(channels=4)), "PNG")
    yield "PNG", "RGB 16", imagecodecs.png_encode(texture(np.uint16, 3))
    yield "PNG", "palette", saved(rgb.quantize(40), "PNG", transparency=b"\x80\xff")
    yield "PNG", "interlaced", interlaced_png(texture())


def _jpeg():
    grey, rgb = Image.fromarray(texture()), Image.fromarray(texture(channels=3))
    yield "JPEG", "grey", saved(grey, "JPEG")
    yield "JPEG", "baseline", saved(rgb, "JPEG")
    yield "JPEG", "progressive", saved(rgb, "JPEG", progressive=True)
    yield "JPEG", "restart markers", saved(rgb, "JPEG", restart_marker_rows=1)
    yield "JPEG", "CMYK", saved(rgb.convert("CMYK"), "JPEG")
    yield "JPEG", "orientation 8", saved(rgb, "JPEG", exif=turned(8))
    yield "MPO", "two pictures", saved(rgb, "MPO", save_all=True, append_images=[rgb.resize((9, 8))])


def _tiff():
    grey, rgb = Image.fromarray(texture()), Image.fromarray(texture(channels=3))
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield "TIFF", compression, saved(rgb, "TIFF", compression=compression)
    yield "TIFF", "grey, strips", saved(grey, "TIFF", strip_size=400)
    yield "TIFF", "grey 16", saved(Image.fromarray(texture(np.uint16)), "TIFF")
    yield "TIFF", "palette, deflate", saved(rgb.quantize(40), "TIFF", compression="tiff_adobe_deflate")
    yield "TIFF", "1 bit, fax", saved(Image.fromarray(texture() > 128), "TIFF", compression="group4")
    yield "TIFF", "CMYK, LZW", saved(rgb.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "TIFF", "pages", saved(grey, "TIFF", save_all=True, append_images=[grey.resize((20, 30))])
    rgb16 = texture(np.uint16, 3)
    yield "TIFF 16", "RGB", _by_tifffile(rgb16, photometric="rgb")
    yield "TIFF 16", "RGB, deflate", _by_tifffile(rgb16, photometric="rgb", compression="zlib", predictor=True)
    yield "TIFF 16", "RGB, LZW, strips", _by_tifffile(rgb16, photometric="rgb", compression="lzw", rowsperstrip=8)
    yield "TIFF 16", "RGB, planes", _by_tifffile(rgb16.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    yield "TIFF 16", "LA", _by_tifffile(texture(np.uint16, 2), photometric="minisblack", extrasamples=["unassalpha"])


def _by_tifffile(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def _others():
    grey, rgb = Image.fromarray(texture()), Image.fromarray(texture(channels=3))
    yield "BMP", "grey", saved(grey, "BMP")
    yield "BMP", "RGB", saved(rgb, "BMP")
    yield "WEBP", "lossy", saved(rgb, "WEBP", quality=80)
    yield "WEBP", "lossless", saved(rgb, "WEBP", lossless=True)
    yield "WEBP", "alpha, orientation 3", saved(Image.fromarray(texture(channels=4)), "WEBP", exif=turned(3))
    yield "GIF", "grey", saved(grey, "GIF")
    yield "GIF", "palette, interlaced", saved(rgb.quantize(40), "GIF", interlace=1, transparency=3)


def _pnm():
    size = b"%d %d" % (WIDTH, HEIGHT)
    bits = np.packbits(texture() > 128, axis=1)
    yield "PNM", "bits", b"P4\n# made by hand\n" + size + b"\n" + bits.tobytes()
    yield "PNM", "grey", b"P5 " + size + b" 255\n" + texture().tobytes()
    yield "PNM", "grey 16", b"P5\n" + size + b"\n65535\n" + texture(np.uint16).astype(">u2").tobytes()
    yield "PNM", "RGB 12", b"P6\n" + size + b"\n4095\n" + (texture(np.uint16, 3) >> 4).astype(">u2").tobytes()
    text = b"\n".join(b" ".join(b"%d" % value for value in row) for row in texture())
    yield "PNM", "grey, text", b"P2\n" + size + b"\n255\n" + text + b"\n"


def _jpeg2000():
    options = {"level": 0, "numthreads": 1}
    yield "JPEG2000", "grey 16", imagecodecs.jpeg2k_encode(texture(np.uint16), **options)
    yield "JPEG2000", "RGB, lossy", imagecodecs.jpeg2k_encode(texture(channels=3), level=40, reversible=False)
    yield "JPEG2000", "codestream", imagecodecs.jpeg2k_encode(texture(), codecformat="j2k", **options)
    tiles = saved(Image.fromarray(texture(channels=4)), "JPEG2000", tile_size=(32, 32))
    yield "JPEG2000", "RGBA, tiles", tiles


def _jpegxl():
    yield "JPEG XL", "grey 16", imagecodecs.jpegxl_encode(texture(np.uint16), lossless=True, usecontainer=False)
    yield "JPEG XL", "RGB, lossy", imagecodecs.jpegxl_encode(texture(channels=3), level=90, usecontainer=False)
    yield "JPEG XL", "boxes", imagecodecs.jpegxl_encode(texture(channels=3), lossless=True, usecontainer=True)


def _avif():
    rgb = Image.fromarray(texture(channels=3))
    yield "AVIF", "RGB", imagecodecs.avif_encode(texture(channels=3), level=90)
    yield "AVIF", "grey 10", imagecodecs.avif_encode(texture(np.uint16) >> 6, level=90, bitspersample=10)
    yield "AVIF", "orientation 6", saved(rgb, "AVIF", exif=turned(6))
    yield "AVIF", "alpha", imagecodecs.avif_encode(texture(channels=4), level=80)


def _masks():
    mask = Image.fromarray((texture() > 200).astype(np.uint8) * 255)
    yield Original("mask", "PNG", saved(mask, "PNG"), "mask")
    yield Original("mask", "JPEG", saved(mask, "JPEG"), "mask")


def _labels():
    """Files that mark something in 1.png and nothing in 0.png."""
    box = "<xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>30</ymax>"
    voc = f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    voc += f"<object><name>scratch</name><bndbox>{box}</bndbox></object></annotation>"
    yield Original("VOC", "a box", voc.encode(), "1.xml")
    coco = {
        "images": [{"id": 1, "file_name": "1.png", "height": HEIGHT, "width": WIDTH}, {"id": 2, "file_name": "0.png"}],
        "categories": [{"id": 5, "name": "scratch"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "bbox": [3.5, 4, 12, 20.25]},
            {"id": 2, "image_id": 1, "category_id": 5, "segmentation": [[1, 1, 30, 2, 20.5, 31]]},
            {"id": 3, "image_id": 1, "category_id": 5, "segmentation": RUNS},
        ],
    }
    yield Original("COCO", "box, polygon and runs", json.dumps(coco).encode(), "marks.json")
    marks = '<box label="dent" xtl="3" ytl="4" xbr="20" ybr="30"/><polygon label="dent" points="1,1;30,2;20.5,31"/>'
    marks += '<ellipse label="dent" cx="20" cy="20" rx="5" ry="3"/><mask label="dent" rle="2,5,5" left="1" top="2" '
    images = f'<image name="1.png" width="{WIDTH}" height="{HEIGHT}">{marks}width="4" height="3"/></image>'
    cvat = f"<annotations><version>1.1</version><image name='0.png'/>{images}</annotations>"
    yield Original("CVAT", "box, polygon, ellipse and mask", cvat.encode(), "annotations.xml")
    shapes = [
        {"label": "dent", "shape_type": "polygon", "points": [[1, 1], [30, 2], [20.5, 31]]},
        {"label": "dent", "shape_type": "circle", "points": [[20, 20], [22, 24]]},
        {"label": "dent", "shape_type": "linestrip", "points": [[2, 30], [40, 33], [41, 20]]},
        {"label": "dent", "shape_type": "mask", "points": [[5, 6], [8, 8]],
         "mask": base64.b64encode(saved(Image.new("L", (4, 3), 255), "PNG")).decode()},
    ]  # fmt: skip
    tree = {"version": "5.4.1", "shapes": shapes, "imagePath": "1.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
    yield Original("labelme", "polygon, circle, line and mask", json.dumps(tree).encode(), "1.json")
    yield Original("YOLO", "a box and an outline", b"0 0.5 0.5 0.2 0.25\n1 0.1 0.1 0.9 0.2 0.5 0.8\n", "1.txt")


# --- damage ----------------------------------------------------------------------------------------------------------
def mutant(number: int, seed: int) -> tuple[Original, bytes]:
    """Return the file that is damaged and its damaged content; every original comes up equally often."""
    generator = np.random.default_rng((seed, number))
    original = originals()[number % len(originals())]
    content = original.content
    for _ in range(int(generator.choice((1, 1, 1, 2, 4)))):
        mutators = (*MUTATORS, *(misstate,) * len(MUTATORS)) if "." in original.reads else MUTATORS  # a text, or not
        damage = mutators[int(generator.integers(len(mutators)))]
        content = damage(content, generator)
    return original, content


def flip_bits(content: bytes, generator: Generator) -> bytes:
    data = bytearray(content)
    for _ in range(int(generator.integers(1, 5)) if data else 0):
        data[int(generator.integers(len(data)))] ^= 1 << int(generator.integers(8))
    return bytes(data)


def overwrite(content: bytes, generator: Generator) -> bytes:
    start, length = _run(content, generator)
    constant = bytes([int(generator.choice((0, 255)))]) * length
    return (
        content[:start] + (generator.bytes(length) if generator.integers(2) else constant) + content[start + length :]
    )


def truncate(content: bytes, generator: Generator) -> bytes:
    return content[: int(generator.integers(len(content) + 1))]


def delete(content: bytes, generator: Generator) -> bytes:
    start, length = _run(content, generator)
    return content[:start] + content[start + length :]


def insert(content: bytes, generator: Generator) -> bytes:
    start, length = _run(content, generator)
    return content[:start] + generator.bytes(length) + content[start:]


def append(content: bytes, generator: Generator) -> bytes:
    return content + generator.bytes(int(generator.integers(1, 64)))


def random_rest(content: bytes, generator: Generator) -> bytes:
    """Keep a valid start only."""
    return content[: int(generator.integers(len(content) + 1))][:200] + generator.bytes(int(generator.integers(400)))


def _run(content: bytes, generator: Generator) -> tuple[int, int]:
    length = int(generator.integers(1, 33))
    return int(generator.integers(max(1, len(content) - length))), length


def lie(content: bytes, generator: Generator) -> bytes:
    """Write another width or height into the header; a PNG's checksum is made to fit, or not."""
    places = size_places(content)
    if not places:
        return flip_bits(content, generator)
    place, form = places[int(generator.integers(len(places)))]
    mask = (1 << 8 * struct.calcsize(form)) - 1
    data = bytearray(content)
    if place + struct.calcsize(form) <= len(data):
        struct.pack_into(form, data, place, LIES[int(generator.integers(len(LIES)))] & mask)
    if content.startswith(PNG_START) and len(data) >= 33 and generator.integers(4):
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


def size_places(content: bytes) -> list[tuple[int, str]]:
    """Return where the header holds width and height (of a TIFF, other numbers too), and how they are coded."""
    if content.startswith(PNG_START):
        return [(16, ">I"), (20, ">I")]
    if content.startswith(b"\xff\xd8"):
        starts = [at for at, marker, _ in jpeg_segments(content) if marker in (0xC0, 0xC1, 0xC2)]
        return [(start + offset, ">H") for start in starts[:1] for offset in (5, 7)]
    if content.startswith(b"BM"):
        return [(18, "<I"), (22, "<I"), (2, "<I"), (34, "<I")]
    if content.startswith((b"II*\0", b"MM\0*")):
        return [(at + 8, "<I" if content[:1] == b"I" else ">I") for at in tiff_entries(content)]
    if content.startswith(b"RIFF"):
        return {b"VP8 ": [(26, "<H"), (28, "<H")], b"VP8L": [(21, "<I")]}.get(content[12:16], [(24, "<H"), (27, "<H")])
    if content.startswith(b"GIF8"):
        return [(6, "<H"), (8, "<H")]
    if content.startswith(b"\xff\x0a"):
        return [(2, "<I")]
    return [
        (content.index(start) + offset, ">I")
        for start, offsets in ((b"ihdr", (4, 8)), (b"\xff\x4f\xff\x51", (8, 12, 24, 28)), (b"ispe", (8, 12)))
        for offset in offsets
        if start in content
    ]


def reorder(content: bytes, generator: Generator) -> bytes:
    """Swap, double or leave out two of the chunks, segments, tags or lines that the file consists of."""
    parts = pieces(content)
    if len(parts) < 3:
        return content
    a, b = (int(i) for i in generator.choice(range(1, len(parts)), 2, replace=False))
    action = int(generator.integers(3))
    if action == 0:
        parts[a], parts[b] = parts[b], parts[a]
    elif action == 1:
        parts.insert(b, parts[a])
    else:
        del parts[a]
    return b"".join(parts)


def pieces(content: bytes) -> list[bytes]:
    """Cut a file into its head and the parts it consists of; joined they are the file."""
    if content.startswith(PNG_START):
        cuts = _cuts(content, 8, lambda at: 12 + struct.unpack_from(">I", content, at)[0])
    elif content.startswith(b"RIFF"):
        cuts = _cuts(content, 12, lambda at: 8 + (struct.unpack_from("<I", content, at + 4)[0] + 1) // 2 * 2)
    elif content[4:8] in (b"jP  ", b"JXL ", b"ftyp"):
        cuts = box_cuts(content, 0, len(content))
    elif content.startswith(b"\xff\xd8"):
        cuts = [at for at, _, _ in jpeg_segments(content)]
    elif content.startswith((b"II*\0", b"MM\0*")):
        entries = tiff_entries(content)
        cuts = [*entries, entries[-1] + 12] if entries else []
    else:
        cuts = list(range(16, len(content), 16))
    edges = [0, *(cut for cut in cuts if cut < len(content)), len(content)]
    return [content[start:end] for start, end in pairwise(edges)]


def box_cuts(content: bytes, start: int, end: int) -> list[int]:
    """Return where boxes of the ISO base media file format start, those inside of others too."""
    cuts: list[int] = []
    while start + 8 <= min(end, len(content)):
        length, kind = struct.unpack_from(">I4s", content, start)
        cuts.append(start)
        if kind in (b"jp2h", b"iprp", b"ipco", b"meta"):
            cuts += box_cuts(content, start + (12 if kind == b"meta" else 8), start + length)
        start += max(8, length)
    return sorted(set(cuts))


def _cuts(content: bytes, start: int, length: Callable[[int], int]) -> list[int]:
    cuts = []
    while start + 8 <= len(content):
        cuts.append(start)
        start += length(start)
    return cuts


def jpeg_segments(content: bytes) -> list[tuple[int, int, int]]:
    """Return (place, marker, length) of each segment before the first scan's data."""
    segments, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], struct.unpack_from(">H", content, at + 2)[0]
        segments.append((at, marker, length))
        at += 2 + length
        if marker == 0xDA:
            break
    return segments


def tiff_entries(content: bytes) -> list[int]:
    """Return where the tags of the first page lie, 12 bytes each."""
    order = "<" if content[:1] == b"I" else ">"
    if len(content) < 10:
        return []
    start = struct.unpack_from(order + "I", content, 4)[0]
    if start + 2 > len(content):
        return []
    count = min(struct.unpack_from(order + "H", content, start)[0], 64)
    return [at for at in range(start + 2, start + 2 + 12 * count, 12) if at + 12 <= len(content)]


def misstate(content: bytes, generator: Generator) -> bytes:
    """Replace a number or a word of a text by another; anything else gets random bytes."""
    if not content.isascii() or b"\0" in content:
        return random_rest(content, generator)
    words = list(re.finditer(rb"-?[\d.]+|[A-Za-z_]+", content))
    if not words:
        return content
    word = words[int(generator.integers(len(words)))]
    told = STATED[int(generator.integers(len(STATED)))]
    return content[: word.start()] + told + content[word.end() :]


STATED = (
    b"0",
    b"-1",
    b"1",
    b"0.5",
    b"1e9",
    b"1e400",
    b"NaN",
    b"null",
    b"",
    b"x",
    b"[]",
    b"{}",
    b"99999999999999999999",
)
MUTATORS = (
    flip_bits,
    flip_bits,
    overwrite,
    truncate,
    delete,
    insert,
    append,
    lie,
    lie,
    reorder,
    random_rest,
    misstate,
    misstate,
)
