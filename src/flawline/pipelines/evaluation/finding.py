"""What a finished detector finds, and what it misses."""

from collections.abc import Iterator

import pandas as pd
from torch import Tensor

from flawline.detector.file import Detector
from flawline.detector.finding import fresh_rows, judge_sized, real_rates
from flawline.detector.judging import Judge
from flawline.intake.registration import frames_seen
from flawline.methods.sized_defects import sized_defects
from flawline.metrics.detectability import measure_detectability
from flawline.params import ComputeParams, DefectInjectionParams, DetectabilityParams
from flawline.storage.ragged import Lazy, Noted, RaggedArray
from flawline.training.compute import keep_memory, workers_of


def draw_sized_defects(
    images: RaggedArray, manifest: pd.DataFrame, detectability: DetectabilityParams,
    defect_injection: DefectInjectionParams, seed: int,
) -> Iterator[Noted]:  # fmt: skip
    """Return pseudo-defects of known size and contrast in good images that no detector learned from: what each changes,
    (C, h, w), noted with its image, kind, size, contrast and place."""
    rows = fresh_rows(manifest)
    made = sized_defects(Lazy.of(images, rows), defect_injection, detectability, seed=seed)
    return (Noted(each.pixels, {"image": manifest["image"].iloc[rows[each.source]], **each.note()}) for each in made)


def judge_sized_defects(
    detector: Detector, sized_defects: RaggedArray, images: RaggedArray, manifest: pd.DataFrame,
    alignment: pd.DataFrame, *, aligner: dict[str, Tensor], verdicts: pd.DataFrame, compute: ComputeParams,
    folds: pd.DataFrame | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Return what the detector says of each pseudo-defect of known size and contrast, a row each."""
    keep_memory()
    seen, judge = frames_seen(manifest, alignment, aligner), Judge(detector, compute=compute)
    rejected = verdicts.loc[verdicts["verdict"] == "reject", "image"].tolist()
    learned = [] if folds is None else folds["image"].tolist()
    return judge_sized(
        judge, images, manifest, sized_defects, seen, learned=learned, rejected=rejected, workers=workers_of(compute)
    )


def tell_detectability(
    sized_verdicts: pd.DataFrame, verdicts: pd.DataFrame, masks: RaggedArray, manifest: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return (the sizes that are found by kind and contrast, the curves of the probability of detection, how many real
    defects were found by their size)."""
    table, curves = measure_detectability(sized_verdicts)
    return table, curves, real_rates(verdicts, masks, manifest, curves)
