"""Synthetic defects in normal images."""

import zlib
from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image  # not for type checkers alone: Kedro reads hints, and warns of one that it cannot find

from flawline.checks import FlawlineError
from flawline.figures.gallery import SheetRow, contact_sheet, first_of_each
from flawline.intake.manifest import rows_of
from flawline.params import DefectInjectionParams
from flawline.storage.ragged import Lazy, Noted, RaggedArray
from flawline.vision.defects import PseudoDefect, PseudoDefects


def inject_defects(
    images: RaggedArray, manifest: pd.DataFrame, defect_injection: DefectInjectionParams, seed: int
) -> tuple[Lazy, Lazy]:
    """Return (pseudo-defective images (C, H, W), their masks (H, W)), made from the normal images of a split when they
    are asked for; what was made is noted on each image.

    Raises FlawlineError if the split has no normal image."""
    return damaged(images, manifest, defect_injection, seed, splits=(defect_injection.split,))


def make_inject_defects(splits: Sequence[str]) -> Callable:
    """Return the node that damages the normal images of ``splits``, whatever split the parameters say."""

    def inject_splits(
        images: RaggedArray, manifest: pd.DataFrame, defect_injection: DefectInjectionParams, seed: int
    ) -> tuple[Lazy, Lazy]:
        """Return what ``inject_defects`` does of the splits, one after the other."""
        return damaged(images, manifest, defect_injection, seed, splits=splits)

    return inject_splits


def damaged(
    images: RaggedArray, manifest: pd.DataFrame, params: DefectInjectionParams, seed: int, *, splits: Sequence[str]
) -> tuple[Lazy, Lazy]:
    """Return (images (C, H, W), masks (H, W)); each image with a note: image, split, the parameters of its defect."""
    places: list[tuple[PseudoDefects, int]] = []
    notes = []
    for split in splits:
        normal = normal_rows(manifest, split)
        defects = PseudoDefects(Lazy.of(images, normal), params, seed)
        sources = [normal[defects.source(i)] for i in range(len(defects))]
        places += [(defects, i) for i in range(len(defects))]
        notes += [{"image": manifest["image"].iloc[row], "split": split} for row in sources]
    once = DrawnOnce(Lazy(len(places), lambda k: places[k][0][places[k][1]]))

    def make(k: int) -> Noted:
        drawn = once.draw(k)
        return Noted(drawn.image, {**notes[k], **drawn.parameters})

    return Lazy(len(places), make), Lazy(len(places), once.mask)


class DrawnOnce:
    """``defects`` whose images are stored first and whose masks are stored behind them, each drawn once for both: of an
    image that was drawn, the mask is kept, packed, until it is asked for."""

    def __init__(self, defects: Sequence[PseudoDefect]):
        self._defects = defects
        self._kept: dict[int, tuple[bytes, tuple[int, ...]]] = {}

    def draw(self, i: int) -> PseudoDefect:
        drawn = self._defects[i]
        self._kept[i] = zlib.compress(np.packbits(drawn.mask).tobytes()), drawn.mask.shape
        return drawn

    def mask(self, i: int) -> NDArray[np.bool_]:
        """Return a mask (H, W); it is drawn if its image was not."""
        if i not in self._kept:
            return self._defects[i].mask
        packed, shape = self._kept.pop(i)
        bits = np.unpackbits(np.frombuffer(zlib.decompress(packed), np.uint8), count=prod(shape))
        return bits.astype(np.bool_).reshape(shape)


def tabulate_defects(pseudo_images: RaggedArray) -> pd.DataFrame:
    """Return a row for each pseudo-defective image: image, split, and the parameters of its defect."""
    return pd.DataFrame(pseudo_images.notes)


def draw_gallery(
    images: RaggedArray,
    manifest: pd.DataFrame,
    pseudo_images: RaggedArray,
    pseudo_masks: RaggedArray,
    pseudo_defects: pd.DataFrame,
) -> Image.Image:
    """Return one picture with the first pseudo-defect of each kind and family: original, damaged, mask."""
    rows = {name: row for row, name in enumerate(manifest["image"])}
    shown = [
        SheetRow(name, images[rows[pseudo_defects["image"].iloc[i]]], pseudo_images[i], pseudo_masks[i])
        for name, i in first_of_each(pseudo_defects.to_dict("records")).items()
    ]
    return Image.fromarray(contact_sheet(shown))


def normal_rows(manifest: pd.DataFrame, split: str) -> list[int]:
    """Return where the normal images of a split stand; raise FlawlineError if it has none."""
    normal = [row for row in rows_of(manifest, [split]) if manifest["label"].iloc[row] == 0]
    if not normal:
        held = ", ".join(sorted(manifest.loc[manifest["label"] == 0, "split"].unique())) or "no split"
        raise FlawlineError(
            f"split must hold normal images to damage, and '{split}' has none; {held} has. Set defect_injection.split, "
            f"or the shares in ingestion.splits"
        )
    return normal
