"""Synthetic defects in normal images."""

from collections.abc import Callable, Sequence

import pandas as pd
from PIL import Image  # not for type checkers alone: Kedro reads hints, and warns of one that it cannot find

from flawline.checks import FlawlineError
from flawline.figures.gallery import SheetRow, contact_sheet, first_of_each
from flawline.intake.manifest import rows_of
from flawline.params import DefectInjectionParams
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.vision.defects import PseudoDefects


def inject_defects(
    images: RaggedArray, manifest: pd.DataFrame, defect_injection: DefectInjectionParams, seed: int
) -> tuple[Lazy, Lazy, pd.DataFrame]:
    """Return (pseudo-defective images (C, H, W), their masks (H, W), each defect's parameters), made from the normal
    images of a split; each is drawn again whenever it is asked for.

    Raises FlawlineError if the split has no normal image."""
    return damaged(images, manifest, defect_injection, seed, splits=(defect_injection.split,))


def make_inject_defects(splits: Sequence[str]) -> Callable:
    """Return the node that damages the normal images of ``splits``, whatever split the parameters say."""

    def inject_splits(
        images: RaggedArray, manifest: pd.DataFrame, defect_injection: DefectInjectionParams, seed: int
    ) -> tuple[Lazy, Lazy, pd.DataFrame]:
        """Return what ``inject_defects`` does of the splits, one after the other."""
        return damaged(images, manifest, defect_injection, seed, splits=splits)

    return inject_splits


def damaged(
    images: RaggedArray, manifest: pd.DataFrame, params: DefectInjectionParams, seed: int, *, splits: Sequence[str]
) -> tuple[Lazy, Lazy, pd.DataFrame]:
    """Return (images (C, H, W), masks (H, W), a row each: image, split, and the parameters of its defect)."""
    made: list[tuple[PseudoDefects, int]] = []
    rows = []
    for split in splits:
        normal = normal_rows(manifest, split)
        defects = PseudoDefects(Lazy.of(images, normal), params, seed)
        for i in range(len(defects)):
            name = manifest["image"].iloc[normal[defects.source(i)]]
            rows.append({"image": name, "split": split, **defects[i].parameters})
            made.append((defects, i))
    pick = [lambda i, name=name: getattr(made[i][0][made[i][1]], name) for name in ("image", "mask")]
    return Lazy(len(made), pick[0]), Lazy(len(made), pick[1]), pd.DataFrame(rows)


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
