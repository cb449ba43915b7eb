"""Whether a picture looks like a mask: nearly all of its pixels have one of two grey levels."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.intake.decoding import UnreadableImageError, decode, read_bytes
from flawline.intake.names import folded, image_stems, stem_of
from flawline.intake.notes import Note

SIDE = 128  # pixels along each side that are looked at
TWO = 0.9  # share of the pixels that the two commonest levels have in a mask: the rest is its softened edge
SECOND = 0.5  # share of the second among all that is not the first: a part before a black ground has many levels
GROUND = 0.4  # share of the pixels with one value that a mask of any kind has: soft edges, numbers of parts, colours
NO_GROUND = 0.2  # the same of a photograph that a mask may be of
MOST = 0.5  # share of the images; where more have two levels, photographs have
SAMPLED = 5  # files of a folder
LIKE_MASK_OF = (
    "looks like a mask of {}: a ground of one level, the same name and size. To have it read as one, put it into a "
    "folder called ground_truth"
)
LIKE_MASK = (
    "has two grey levels, as a mask has, and other images have more; if it is a photograph, name it in a table "
    "(ingestion.table)"
)


def mask_likeness(pixels: NDArray) -> float:
    """Return the share of the pixels of a picture (C, H, W) that have one of its two commonest values, exactly; 0 where
    the rest has many. Noise gives photographs many values, however flat they look."""
    return level_shares(pixels)[1]


def level_shares(pixels: NDArray) -> tuple[float, float]:
    """Return the shares of the pixels of a picture (C, H, W) that have the commonest value of the first channel, and
    one of the two commonest colours; 0 for these where the first is below GROUND."""
    some = _sample(pixels)  # (C, h, w)
    counts = np.bincount(some[0].ravel())
    one = float(counts.max() / counts.sum())
    if one < GROUND:  # then two are no more than twice as much, which no mask has
        return one, 0.0
    first = np.sort(counts)[::-1]
    if len(some) == 1 or first[:2].sum() < TWO * some[0].size:  # with other channels there are as many values, or more
        return one, _two_commonest(first)
    colours = np.bitwise_or.reduce([plane.astype(np.uint64) << np.uint64(16 * k) for k, plane in enumerate(some)])
    return one, _two_commonest(np.sort(np.unique(colours, return_counts=True)[1])[::-1])


def _two_commonest(counts: NDArray) -> float:
    """Return the share of the first two of falling ``counts``; 0 if the second is not most of what the first leaves."""
    rest = int(counts[1:].sum())
    second = int(counts[1]) if rest else 0
    return float((counts[0] + second) / counts.sum()) if second >= SECOND * rest else 0.0


def set_masks_aside(
    rows: pd.DataFrame, measured: pd.DataFrame, *, told: bool
) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    """Return (rows, quarantine, notes) of a manifest without the images that look like masks: those with a ground of
    one level which are called like a photograph of the same size, and all of two levels where most have more. Where it
    is ``told`` that each image is a photograph they stay, with a caution."""
    figures = measured.set_index(["sha256", "page"]).loc[list(zip(rows["sha256"], rows["page"], strict=True))]
    like = (figures["two_levels"] >= TWO).to_numpy()
    ground = figures["one_level"].to_numpy()  # at least GROUND in all that are ``like`` a mask of two levels
    blank = (figures["contrast"] == 0).to_numpy()
    if not (ground >= GROUND).any():
        return rows, pd.DataFrame(columns=["path", "reason"]), []
    partners = _partners(rows, ground >= GROUND, ground < NO_GROUND)
    odd = like & ~blank & (like.mean() <= MOST)
    aside = odd | np.array([partner is not None for partner in partners])
    notes = _said(rows["image"][blank & ~aside], "are of one grey level")
    if MOST < like.mean() < 1 and not told:
        notes += _said(rows["image"][like & ~aside], "have two grey levels and the others more, as if they were masks")
    if told or not aside.any():
        notes += _said(rows["image"][aside], "have two grey levels, as masks have")
        return rows, pd.DataFrame(columns=["path", "reason"]), notes
    reasons = [LIKE_MASK_OF.format(partner) if partner else LIKE_MASK for partner in partners]
    said = f"{int(aside.sum())} pictures look like masks and are in quarantine; what they mark may count as good."
    notes.append(Note(said, caution=True))
    quarantine = pd.DataFrame({"path": rows["image"], "reason": reasons})[aside]
    return rows[~aside].reset_index(drop=True), quarantine.reset_index(drop=True), notes


def _said(images: pd.Series, what: str) -> list[Note]:
    return [Note(f"{len(images)} images {what}; the first: {images.iloc[0]}.", caution=True)] if len(images) else []


def _partners(rows: pd.DataFrame, like: NDArray[np.bool_], plain: NDArray[np.bool_]) -> list[str | None]:
    """Return for each image that is ``like`` a mask the photograph of its name and size, which is a ``plain`` one; None
    for all others."""
    photographs: dict[tuple[str, int, int], str] = {}
    sizes = list(zip(rows["height"], rows["width"], strict=True))
    for image, size, photograph in zip(rows["image"], sizes, plain, strict=True):
        if photograph:
            photographs.setdefault((folded(stem_of(image)), *size), image)
    found: list[str | None] = []
    for image, size, masked in zip(rows["image"], sizes, like, strict=True):
        stem = stem_of(image)
        names = (photographs.get((folded(each), *size)) for each in (*image_stems(stem), stem)) if masked else ()
        found.append(next((name for name in names if name), None))
    return found


def commonest_share(pixels: NDArray) -> float:
    """Return the share of the pixels of a picture (C, H, W) that have the commonest value of the first channel."""
    return level_shares(pixels)[0]


def _sample(pixels: NDArray) -> NDArray:
    """Return some pixels (C, h, w) of a picture (C, H, W), evenly spread."""
    _, height, width = pixels.shape
    return pixels[:, :: max(1, height // SIDE), :: max(1, width // SIDE)]


def may_be_masks(root: Path, pictures: Sequence[str], *, max_pixels: int) -> bool | None:
    """Return True if ``pictures``, which are called masks, may be some: most of them have a ground of one level, as
    those of two levels have. None if none of them can be read."""
    return _most(root, pictures, lambda pixels: commonest_share(pixels) >= GROUND, max_pixels)


def look_like_masks(root: Path, pictures: Sequence[str], *, max_pixels: int) -> bool | None:
    """Return True if the ``pictures`` look like masks, as far as a few of them tell; one without any contrast counts as
    a mask that marks nothing. None if none of them can be read."""
    return _most(root, pictures, lambda pixels: mask_likeness(pixels) >= TWO, max_pixels)


def _most(root: Path, pictures: Sequence[str], holds: Callable[[NDArray], bool], max_pixels: int) -> bool | None:
    """Return whether something holds of most of a few of the ``pictures``; None if none of them can be read."""
    told = []
    for path in pictures[:: max(1, len(pictures) // SAMPLED)][: SAMPLED + 1]:
        try:
            told.append(holds(decode(read_bytes(root / path), max_pixels=max_pixels)))
        except UnreadableImageError:
            continue
    return sum(told) * 2 > len(told) if told else None
