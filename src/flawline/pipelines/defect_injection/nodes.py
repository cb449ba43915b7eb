"""Synthetic defects in normal images."""

from collections.abc import Callable

import pandas as pd

from flawline.intake.manifest import rows_of
from flawline.params import DefectInjectionParams
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.vision.defects import PseudoDefects


def make_inject_defects(split: str) -> Callable:
    """Return the node that damages the normal images of a split."""

    def inject_defects(
        images: RaggedArray, manifest: pd.DataFrame, defect_injection: DefectInjectionParams, seed: int
    ) -> tuple[Lazy, Lazy, pd.DataFrame]:
        """Return (pseudo-defective images (C, H, W), their masks (H, W), each defect's parameters), made from normal
        images; each is drawn again whenever it is asked for."""
        normal = [row for row in rows_of(manifest, [split]) if manifest["label"].iloc[row] == 0]
        made = PseudoDefects([images[i] for i in normal], defect_injection, seed)
        sources = [manifest["image"].iloc[row] for row in normal for _ in range(defect_injection.per_image)]
        table = pd.DataFrame([{"image": source, **made[i].parameters} for i, source in enumerate(sources)])
        return Lazy(len(made), lambda i: made[i].image), Lazy(len(made), lambda i: made[i].mask), table

    return inject_defects
