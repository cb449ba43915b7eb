"""What ingestion measures and keeps of every decoded file: its format, a few figures, a fingerprint (a perceptual hash,
for near-duplicates) and a thumbnail."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray
from PIL import Image

from flawline.intake.decoding import (
    DoubtfulImageError,
    UnreadableImageError,
    count_pages,
    decode,
    format_of,
    orientation_in,
    told_bits,
)
from flawline.intake.mask_likeness import level_shares
from flawline.storage.ragged import Lazy
from flawline.storage.spill import Spill
from flawline.vision.appearance import appearance
from flawline.vision.levels import full_value, grey_levels

SIDE = 128  # of a thumbnail, pixels
USED = (8, 10, 12, 14, 16)  # bits a channel that cameras have, in files of 16
LOW = 16  # frequencies of a fingerprint along each axis
WAY_OUT = "if it is whole all the same, use it: ingestion.strict=false"
NOTHING: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True)
class Measured:
    """One page of one file, or one mask. Grey levels are of 255, whatever the depth; the thumbnail, unlike the other
    figures, is on the scale of the bits that the image uses."""

    sha256: str
    page: int = 0  # 0: the only one; else from 1
    reason: str = ""  # why it cannot be used; then nothing else is known
    format: str = ""
    channels: int = 0
    height: int = 0
    width: int = 0
    depth: int = 0  # bits a channel of the decoded pixels: 8 or 16
    largest: int = 0  # value of any channel, of 255 or 65535
    bits: int = 0  # a channel of 16 that are used, as the file says; 0: it does not
    mean: float = 0.0  # grey levels
    contrast: float = 0.0  # standard deviation, grey levels
    sharpness: float = 0.0  # mean difference of horizontal neighbours, grey levels
    shadows: float = 0.0  # grey levels; this and the next seven: `flawline.vision.appearance`
    highlights: float = 0.0
    tonal_range: float = 0.0
    focus: float = 0.0
    across: float = 0.0
    down: float = 0.0
    size: float = 0.0
    scale: float = 0.0
    fingerprint: str = ""  # perceptual hash, 256 bits in hexadecimal
    one_level: float = 0.0  # share of the pixels that have the commonest value, as the ground of a mask
    two_levels: float = 0.0  # share of the pixels that have one of the two commonest grey levels, as those of a mask
    marked: int = 0  # defective pixels, of a mask
    warning: str = ""  # what the decoder says of an image that is used all the same
    orientation: int = 1  # EXIF's, which was applied, 1 to 8; of a mask that says no size of its own 0
    thumbnail: NDArray[np.uint8] = field(default_factory=lambda: NOTHING, compare=False, repr=False)  # (128, 128) grey


COLUMNS = [each.name for each in fields(Measured) if each.name != "thumbnail"]


@dataclass(frozen=True)
class Measurements:
    """All that was measured: ``table`` with a row for each page or mask, and the ``thumbnails`` in the same order.

    ``key`` names what decoded the files; measurements with another key are not taken over."""

    table: pd.DataFrame
    thumbnails: Sequence[NDArray[np.uint8]]
    key: str

    @classmethod
    def of(cls, measured: Iterable[Measured], key: str) -> "Measurements":
        """Return the measurements of ``measured``, each content and page once; thumbnails go to a temporary file."""
        rows: dict[tuple[str, int], dict[str, Any]] = {}
        thumbnails = Spill()  # tens of thousands of them would fill the memory
        for each in measured:
            if (each.sha256, each.page) not in rows:
                thumbnails[len(rows)] = each.thumbnail
                rows[each.sha256, each.page] = {name: getattr(each, name) for name in COLUMNS}
        table = pd.DataFrame(list(rows.values()), columns=COLUMNS)
        return cls(table, Lazy(len(rows), thumbnails.__getitem__), key)

    def by_content(self, key: str) -> dict[str, list[Measured]]:
        """Return what was measured by the files' SHA-256; nothing if it was measured with another ``key``."""
        known: dict[str, list[Measured]] = {}
        if key == self.key:
            for row, thumbnail in zip(self.table.to_dict("records"), self.thumbnails, strict=True):
                known.setdefault(row["sha256"], []).append(Measured(**row, thumbnail=np.asarray(thumbnail)))
        return known

    def places(self) -> dict[tuple[str, int], int]:
        """Return the row of each (SHA-256, page)."""
        return {key: i for i, key in enumerate(zip(self.table["sha256"], self.table["page"], strict=True))}


def decoder_key(max_pixels: int, *, strict: bool) -> str:
    """Return a key of all that a file's measurements depend on beside its bytes: ``max_pixels``, ``strict`` and the
    versions of the decoders and of flawline."""
    libraries = ("pillow", "simplejpeg", "imagecodecs", "tifffile", "flawline")
    return f"max_pixels {max_pixels}, strict {strict}, " + ", ".join(f"{name} {version(name)}" for name in libraries)


def measure_file(content: bytes, sha256: str, *, max_pixels: int, strict: bool = True) -> list[Measured]:
    """Decode a file and measure each of its pages; one entry with the reason where it, or a page, cannot be read. One
    of which the decoder only warns is measured too if not ``strict``, with the warning."""
    try:
        pages = count_pages(content)
    except UnreadableImageError as error:
        return [Measured(sha256, reason=str(error))]
    numbers = [0] if pages == 1 else range(1, pages + 1)
    return [_measure_page(content, sha256, page, max_pixels, strict=strict) for page in numbers]


def _measure_page(content: bytes, sha256: str, page: int, max_pixels: int, *, strict: bool) -> Measured:
    warning = ""
    try:
        pixels = decode(content, max_pixels=max_pixels, page=page or None)
        bits = told_bits(content, pixels, page or None)
    except DoubtfulImageError as error:
        if strict:
            return Measured(sha256, page, reason=f"{error}; {WAY_OUT}")
        warning, bits = str(error), 0
        pixels = decode(content, max_pixels=max_pixels, page=page or None, strict=False)
    except UnreadableImageError as error:
        return Measured(sha256, page, reason=str(error))
    measured = measure(pixels, sha256, page, format_of(content), bits=bits)
    return replace(measured, warning=warning, orientation=orientation_in(content, page=page or None))


def measure(pixels: NDArray, sha256: str, page: int = 0, kind: str = "", *, bits: int = 0) -> Measured:
    """Measure one image (C, H, W) uint8 or uint16, which uses so many ``bits`` of 16 as its file says."""
    channels, height, width = pixels.shape
    depth, largest = 8 * pixels.itemsize, int(pixels.max(initial=0))
    one_level, two_levels = level_shares(pixels)
    grey = grey_levels(pixels)  # (H, W)
    thumbnail = shrink(grey, scale=own_scale(largest, depth))
    figures: dict[str, Any] = appearance(pixels)
    return Measured(
        sha256, page, format=kind, channels=channels, height=height, width=width, depth=depth,
        largest=largest, bits=bits, one_level=one_level, two_levels=two_levels,
        mean=float(grey.mean()), contrast=float(grey.std()), sharpness=_sharpness(grey),
        fingerprint=fingerprint(thumbnail), thumbnail=thumbnail, **figures,
    )  # fmt: skip


def used_bits(largest: int) -> int:
    """Return the fewest bits of USED that hold a value of 16-bit pixels."""
    return next(bits for bits in USED if largest <= full_value(bits))


def own_scale(largest: int, depth: int) -> float:
    """Return by how much the thumbnail of an image with such a largest value is brighter than its grey levels: an
    image that uses 8 to 14 bits of 16 would be nearly black, and lose its fine structure."""
    return full_value(depth) / full_value(used_bits(largest)) if depth > 8 else 1.0


def shrink(grey: NDArray[np.float32], *, scale: float = 1.0) -> NDArray[np.uint8]:
    """Return grey levels (H, W) times ``scale`` as a thumbnail (128, 128), each pixel the mean of what it covers."""
    small = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX))
    return np.rint(small * np.float32(scale)).clip(0, 255).astype(np.uint8)


def fingerprint(thumbnail: NDArray[np.uint8]) -> str:
    """Return the perceptual hash of a thumbnail: which of its 16 x 16 lowest frequencies lie above their median.

    Source: Zauner 2010, Implementation and benchmarking of perceptual image hash functions, section 3.2.1; larger."""
    low = scipy.fft.dctn(thumbnail.astype(np.float32))[:LOW, :LOW]
    return np.packbits(low > np.median(low)).tobytes().hex()


def _sharpness(grey: NDArray[np.float32]) -> float:
    """Return the mean difference of horizontal neighbours in grey levels (H, W)."""
    return float(np.abs(np.diff(grey, axis=1)).mean()) if grey.shape[1] > 1 else 0.0
