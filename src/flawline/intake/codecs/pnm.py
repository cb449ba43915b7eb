"""PBM, PGM and PPM (Netpbm), as text or as bytes: 16 bits are kept in the file's own units."""

import re

import numpy as np
from numpy.typing import NDArray

from flawline.intake.codecs.base import UnreadableImageError, check_size, stretched

SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"  # comments go to the end of their line
START = re.compile(rb"P([1-6])" + SPACE + rb"(\d{1,10})" + SPACE + rb"(\d{1,10})(?=\s|#)")
LARGEST = re.compile(SPACE + rb"(\d{1,6})\s")


def is_pnm(content: bytes) -> bool:
    """Return True if the file begins as those of Netpbm do: P, a digit, width and height."""
    return content[:1] == b"P" and START.match(content) is not None


def decode_pnm(content: bytes, max_pixels: int | None) -> NDArray:
    """Decode a PBM, PGM or PPM to (C, H, W). Values up to 255 are stretched to 8 bits, larger ones left as they are."""
    match = START.match(content)
    if match is None:
        raise UnreadableImageError("is damaged (its header cannot be read)")
    kind, width, height = (int(number) for number in match.groups())
    check_size(height, width, max_pixels)
    if not (width and height):
        raise UnreadableImageError(f"is damaged (its header says {height} x {width} pixels)")
    shape = (height, width, 3 if kind in (3, 6) else 1)
    if kind in (1, 4):
        samples = _bits(content[match.end() :], shape, text=kind == 1)
        return stretched(1 - samples, 1).transpose(2, 0, 1)  # (1, H, W): 1 is black
    most = LARGEST.match(content, match.end())
    if most is None or not 0 < int(most[1]) < 65536:
        raise UnreadableImageError("is damaged (its header does not say the largest value)")
    samples = _numbers(content[most.end() :], shape, int(most[1]), text=kind < 4)
    if samples.max() > int(most[1]):
        raise UnreadableImageError(f"is damaged (it holds {samples.max()}, its header promises {int(most[1])} at most)")
    pixels = samples.astype(np.uint16) if int(most[1]) > 255 else stretched(samples, int(most[1]))
    return pixels.transpose(2, 0, 1)  # (C, H, W)


def _bits(body: bytes, shape: tuple[int, int, int], *, text: bool) -> NDArray:
    """Return the bits (H, W, 1) of a PBM."""
    height, width, _ = shape
    if text:
        digits = b"".join(_without_comments(body).split())
        if digits.strip(b"01"):
            raise UnreadableImageError("is damaged (it holds other digits than 0 and 1)")
        _check_count(len(digits), height * width)
        return (np.frombuffer(digits, np.uint8) - ord("0")).reshape(shape)
    row = (width + 7) // 8
    body = _without_newline(body[1:], height * row)  # one space ends the header
    _check_count(len(body), height * row)
    return np.unpackbits(np.frombuffer(body, np.uint8).reshape(height, row), axis=1)[:, :width, None]


def _numbers(body: bytes, shape: tuple[int, int, int], most: int, *, text: bool) -> NDArray:
    """Return the samples (H, W, C) of a PGM or PPM."""
    count = shape[0] * shape[1] * shape[2]
    if text:
        words = _without_comments(body).split()
        _check_count(len(words), count)
        if any(not word.isdigit() or len(word) > 5 for word in words):
            raise UnreadableImageError("is damaged (it holds other characters than numbers)")
        return np.array([int(word) for word in words]).reshape(shape)
    kind = np.dtype(np.uint8 if most < 256 else ">u2")
    body = _without_newline(body, count * kind.itemsize)
    _check_count(len(body), count * kind.itemsize)
    return np.frombuffer(body, kind).reshape(shape)


def _check_count(got: int, wanted: int) -> None:
    if got != wanted:
        raise UnreadableImageError(f"is damaged (its header promises {wanted} values or bytes, it holds {got})")


def _without_comments(body: bytes) -> bytes:
    return re.sub(rb"#[^\r\n]*", b"", body)


def _without_newline(body: bytes, wanted: int) -> bytes:
    """Return what holds pixels where a program has ended the file, as it would a text, with a new line."""
    return body[:wanted] if body[wanted:] in (b"\n", b"\r\n") else body
