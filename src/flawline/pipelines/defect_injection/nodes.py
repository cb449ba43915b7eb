"""Synthetic defects in normal images."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from flawline.checks import FlawlineError
from flawline.figures.gallery import SheetRow, contact_sheet, first_of_each
from flawline.intake.manifest import rows_of
from flawline.params import DefectInjectionParams
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.vision.defects import PseudoDefects

if TYPE_CHECKING:
    from PIL.Image import Image


def inject_defects(
    images: RaggedArray, manifest: pd.DataFrame, defect_injection: DefectInjectionParams, seed: int
) -> tuple[Lazy, Lazy, pd.DataFrame]:
    """Return (pseudo-defective images (C, H, W), their masks (H, W), each defect's parameters), made from the normal
    images of a split; each is drawn again whenever it is asked for.

    Raises FlawlineError if the split has no normal image."""
    normal = normal_rows(manifest, defect_injection.split)
    made = PseudoDefects([images[i] for i in normal], defect_injection, seed)
    sources = [manifest["image"].iloc[row] for row in normal for _ in range(defect_injection.per_image)]
    table = pd.DataFrame([{"image": source, **made[i].parameters} for i, source in enumerate(sources)])
    return Lazy(len(made), lambda i: made[i].image), Lazy(len(made), lambda i: made[i].mask), table


def make_inject_defects(split: str) -> Callable:
    """Return the node that damages the normal images of ``split``, whatever split the parameters say."""

    def inject_split(
        images: RaggedArray, manifest: pd.DataFrame, defect_injection: DefectInjectionParams, seed: int
    ) -> tuple[Lazy, Lazy, pd.DataFrame]:
        """Return what ``inject_defects`` does of the split."""
        return inject_defects(images, manifest, defect_injection.but(split=split), seed)

    return inject_split


def draw_gallery(
    images: RaggedArray,
    manifest: pd.DataFrame,
    pseudo_images: RaggedArray,
    pseudo_masks: RaggedArray,
    pseudo_defects: pd.DataFrame,
) -> "Image":
    """Return one picture with the first pseudo-defect of each kind and family: original, damaged, mask."""
    from PIL import Image

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
