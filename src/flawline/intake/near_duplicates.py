"""Near-duplicates: images that show the same photograph, identical, saved again, resized, brightened or shot twice.

A perceptual hash alone cannot tell a photograph that was saved again from a photograph of another part that lies in the
same way: on rigid parts both differ in a few bits. So the hash only proposes pairs, and the fine structure (grain,
scratches, dust, the exact position of every edge) decides."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

COLUMNS = ["image", "duplicate", "kind", "likeness"]
FAR = 48  # bits of 256 in which the fingerprints of a proposed pair may differ
NEAREST = 8  # pairs proposed for an image
LIKE = 0.95  # correlation of the fine structure from which two images are near-identical
SMOOTH = 1.5  # pixels of a thumbnail: the Gaussian whose blur is taken away, so that fine structure is left
KEPT = 1024  # fine structures held in memory, 32 KB each
BLOCK = 512  # images compared at a time with all others


def find_near_duplicates(
    images: Sequence[str], sha256: Sequence[str], fingerprints: Sequence[str], thumbnail: Callable[[int], NDArray]
) -> pd.DataFrame:
    """Return the pairs (image, duplicate, kind, likeness) of identical and near-identical images.

    ``thumbnail(i)`` is image i's, (128, 128) uint8. Of several identical images each is paired with the first;
    likeness is 1 for them, else the correlation of the fine structure, at least LIKE."""
    firsts: dict[str, int] = {}
    pairs = [(firsts[digest], i, "identical", 1.0) for i, digest in enumerate(sha256)
             if firsts.setdefault(digest, i) != i]  # fmt: skip
    fine = lru_cache(maxsize=KEPT)(lambda i: fine_structure(thumbnail(i)).astype(np.float16))
    apart = sorted(firsts.values())
    # The nearest images of a long series are all of that series; once they are joined, only its first image is compared
    # with other images.
    while True:
        near = list(_near_pairs(apart, fingerprints, fine))
        pairs += near
        joined = {second for first, second, *_ in near}
        if not joined:
            break
        apart = [i for i in apart if i not in joined]
    rows = [(images[a], images[b], kind, likeness) for a, b, kind, likeness in sorted(pairs)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _near_pairs(
    rows: Sequence[int], fingerprints: Sequence[str], fine: Callable[[int], NDArray[np.float16]]
) -> Iterator[tuple[int, int, str, float]]:
    """Yield the near-identical pairs among the images of ``rows``: (first, second, "near", likeness)."""
    for a, b in near_fingerprints([fingerprints[i] for i in rows]):
        first, second = rows[a], rows[b]
        likeness = float(np.dot(fine(first).astype(np.float32), fine(second).astype(np.float32)))
        if likeness >= LIKE:
            yield first, second, "near", min(likeness, 1.0)


def near_fingerprints(fingerprints: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield each pair (a < b) of fingerprints once that differs in at most FAR bits, only the NEAREST of each image."""
    if len(fingerprints) < 2:
        return
    words = np.array([np.frombuffer(bytes.fromhex(each), np.uint64) for each in fingerprints])  # (n, 4)
    found: set[tuple[int, int]] = set()
    for start in range(0, len(words), BLOCK):
        some = words[start : start + BLOCK]  # (m, 4)
        bits = np.zeros((len(some), len(words)), np.uint16)
        for k in range(words.shape[1]):
            bits += np.bitwise_count(some[:, k, None] ^ words[:, k])  # (m, n)
        bits[np.arange(len(some)), np.arange(start, start + len(some))] = len(words[0]) * 64 + 1  # not itself
        count = min(NEAREST, bits.shape[1] - 1)
        nearest = np.argpartition(bits, count - 1, axis=1)[:, :count]  # (m, count)
        near = np.take_along_axis(bits, nearest, axis=1) <= FAR
        for row, column in zip(*np.nonzero(near), strict=True):
            a, b = start + int(row), int(nearest[row, column])
            found.add((min(a, b), max(a, b)))
    yield from sorted(found)


def fine_structure(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a thumbnail without its smooth part, as a vector of length 1; zeros if nothing but rounding is left."""
    pixels = thumbnail.astype(np.float32)
    fine = (pixels - scipy.ndimage.gaussian_filter(pixels, SMOOTH)).ravel()
    fine -= fine.mean()
    length = np.linalg.norm(fine)
    return (
        fine / length if length > np.sqrt(fine.size) / 4 else np.zeros_like(fine)
    )  # less than a quarter of a level a pixel


def leaking(pairs: pd.DataFrame) -> pd.Series:
    """Return which pairs (with split, duplicate_split) have one image in test and the other in another split."""
    return (pairs["split"] == "test") != (pairs["duplicate_split"] == "test")


def contradicting(pairs: pd.DataFrame) -> pd.Series:
    """Return which pairs (with label, duplicate_label) are a normal and a defective image."""
    return pairs["label"].notna() & pairs["duplicate_label"].notna() & (pairs["label"] != pairs["duplicate_label"])
