"""What the file formats share: the error, checks of headers, the orientation, and Pillow where it loses nothing."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from flawline.checks import FlawlineError
from flawline.intake.codecs.unread import format_not_read, not_read

# By content, never by name. Pillow reads the headers of the first; the rest have modules of their own.
BY_PILLOW = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
FORMATS = (*BY_PILLOW, "PNM", "JPEG 2000", "JPEG XL", "AVIF")
PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
TIFF_START = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0")  # the last two are wrong; Pillow takes them
GIF_START = (b"GIF87a", b"GIF89a")
DEFLATE_BEST = 1032  # bytes of pixels that one byte of deflated data can stand for at the very best
ORIENTATION = 0x0112  # EXIF tag

# Our own limit is checked before decoding and is a parameter; Pillow's would only warn, or stop the whole run.
Image.MAX_IMAGE_PIXELS = None
# What these say of damaged files either becomes the reason for which a file is refused, or is about no pixel.
for _name in ("tifffile", "PIL"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableImageError(FlawlineError):
    """The file cannot be used as an image; the message is the reason, fit for a quarantine list."""


class DoubtfulImageError(UnreadableImageError):
    """The decoder warns of the file, and decodes it all the same to pixels that may be right or not."""


@contextmanager
def damage_named() -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file (OSError, SyntaxError, struct.error, ...) into one error."""
    try:
        yield
    except UnreadableImageError:
        raise
    except Exception as error:
        raise UnreadableImageError(f"is damaged ({_words(error)})") from error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip(": ")


def open_image(content: bytes) -> Image.Image:
    """Read the header only. Raise UnreadableImageError if it is none of BY_PILLOW, with the name of what it is else."""
    try:
        return Image.open(io.BytesIO(content), formats=BY_PILLOW)
    except UnidentifiedImageError:
        if other := format_not_read(content):
            raise UnreadableImageError(not_read(other)) from None
        if content.startswith((PNG_START, JPEG_START, *TIFF_START, *GIF_START)):
            raise UnreadableImageError("is damaged (its header cannot be read)") from None
        raise UnreadableImageError(f"is not an image in one of the formats {', '.join(FORMATS)}") from None
    except Exception as error:
        raise UnreadableImageError(f"is damaged ({_words(error)})") from error


def check_page(page: int | None, pages: int) -> None:
    """Raise UnreadableImageError unless a file of ``pages`` has the ``page`` (from 1), or is one image for None."""
    if page is None and pages != 1:
        raise UnreadableImageError(f"holds {pages} pages or frames; wanted one")
    if page is not None and not 1 <= page <= pages:
        raise UnreadableImageError(f"has no page {page}; it holds {pages}")


def check_size(height: int, width: int, max_pixels: int | None) -> None:
    """Raise UnreadableImageError if a header promises more than ``max_pixels``; None: as many as it likes."""
    if max_pixels is not None and width * height > max_pixels:
        raise UnreadableImageError(f"its header says {height} x {width} pixels, more than max_pixels = {max_pixels}")


def check_held(image: Image.Image, promised: int, possible: int) -> None:
    """Raise UnreadableImageError if a header promises more pixels (or bytes) than the content can hold."""
    if promised > possible:
        says = f"its header says {image.height} x {image.width} pixels"
        raise UnreadableImageError(f"is damaged ({says}, more than its bytes can hold)")


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, where the image says nothing."""
    return int(image.getexif().get(ORIENTATION, 1))


def channels_first(pixels: NDArray) -> NDArray:
    """Return (H, W) or (H, W, S) samples as (C, H, W): one or two samples are grey, more are RGB; alpha is dropped."""
    return without_alpha(all_channels(pixels))  # (C, H, W)


def all_channels(pixels: NDArray) -> NDArray:
    """Return (H, W) or (H, W, S) samples as (S, H, W)."""
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def without_alpha(pixels: NDArray) -> NDArray:
    """Return the first, or of three or more channels (C, H, W) the first three."""
    return pixels[: 1 if len(pixels) <= 2 else 3]


def stretched(samples: NDArray, most: int) -> NDArray[np.uint8]:
    """Return samples of 0 to ``most``, which is at most 255, as 8 bits."""
    return samples.astype(np.uint8) if most == 255 else np.rint(samples * (255 / most)).astype(np.uint8)


UPRIGHT: dict[int, Callable[[NDArray], NDArray]] = {  # EXIF orientation -> (C, H, W) as it is to be looked at
    2: lambda x: x[..., ::-1],
    3: lambda x: x[..., ::-1, ::-1],
    4: lambda x: x[..., ::-1, :],
    5: lambda x: x.swapaxes(1, 2),
    6: lambda x: x.swapaxes(1, 2)[..., ::-1],
    7: lambda x: x.swapaxes(1, 2)[..., ::-1, ::-1],
    8: lambda x: x.swapaxes(1, 2)[..., ::-1, :],
}


def upright(pixels: NDArray, orientation: int) -> NDArray:
    """Turn (C, H, W) as the EXIF ``orientation`` (1 to 8) says; any other number means as it is."""
    return UPRIGHT.get(orientation, lambda x: x)(pixels)


def by_pillow(image: Image.Image) -> NDArray:
    """Return the pixels (C, H, W) uint8, upright, as Pillow decodes them."""
    image = ImageOps.exif_transpose(image)
    image.info.pop("transparency", None)  # alpha is dropped; Pillow would warn of it
    if image.mode in ("1", "L", "LA", "La"):
        return np.array(image.convert("L"))[None]  # (1, H, W)
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)  # (3, H, W)
