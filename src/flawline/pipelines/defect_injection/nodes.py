"""Synthetic defects in normal images."""

import pandas as pd

from flawline.intake.manifest import rows_of
from flawline.params import DefectInjectionParams
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.vision.defects import PseudoDefects


def inject_defects(
    images: RaggedArray, manifest: pd.DataFrame, defect_injection: DefectInjectionParams, seed: int
) -> tuple[Lazy, Lazy, pd.DataFrame]:
    """Return (pseudo-defective images (C, H, W), their masks (H, W), each defect's parameters), made from the normal
    calibration images; each is drawn again whenever it is asked for."""
    rows = rows_of(manifest, ["calibration"])
    made = PseudoDefects([images[i] for i in rows], defect_injection, seed)
    sources = [manifest["image"].iloc[row] for row in rows for _ in range(defect_injection.per_image)]
    table = pd.DataFrame([{"image": source, **made[i].parameters} for i, source in enumerate(sources)])
    return Lazy(len(made), lambda i: made[i].image), Lazy(len(made), lambda i: made[i].mask), table
