"""What a finished detector finds: pseudo-defects of known size and contrast, and real ones by their size."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.detector.judging import Judge
from flawline.intake.manifest import rows_of
from flawline.methods.sized_defects import put_back
from flawline.metrics.detectability import FOUND, equivalent_diameter, rates_by_size
from flawline.storage.ragged import RaggedArray
from flawline.training.compute import side_by_side

FRESH = ("test", "calibration")  # splits with images that no detector learned from, the first first


def fresh_rows(manifest: pd.DataFrame) -> list[int]:
    """Return the positions of the good images in which pseudo-defects are judged: those that are tested on, which
    neither learning nor thresholds saw, else those held out to calibrate. They are the same for every method, so that
    methods can be compared."""
    for split in FRESH:
        rows = [row for row in rows_of(manifest, [split]) if manifest["label"].iloc[row] == 0]
        if rows:
            return rows
    return []


def judge_sized(
    judge: Judge, images: RaggedArray, manifest: pd.DataFrame, defects: RaggedArray,
    seen: Callable[[str], NDArray[np.bool_] | None], *, learned: Sequence[str], rejected: Sequence[str], workers: int,
) -> pd.DataFrame:  # fmt: skip
    """Return what the detector says of each of the sized ``defects``, a row each (FOUND): a hit is an image that it
    rejects. ``learned`` are images that it learned from, ``rejected`` those that it rejects as they are; ``seen`` tells
    which pixels of an image's frame show its photograph."""
    row_of = {name: row for row, name in enumerate(manifest["image"])}
    _ = judge.scorer if len(defects) else None  # made once, before several threads ask for it

    def judged(k: int) -> dict[str, object]:
        note = defects.notes[k]
        image = put_back(images[row_of[note["image"]]], defects[k], note)
        said = judge.judge_framed(image, seen(note["image"])).judgement
        return note | {"score": said.score, "verdict": said.verdict, "hit": said.verdict == "reject"}

    rows = list(side_by_side(judged, range(len(defects)), workers=workers))
    table = pd.DataFrame(rows, columns=list(FOUND[:8])).astype({"hit": bool})
    return table.assign(learned=table["image"].isin(learned), rejected=table["image"].isin(rejected))


def real_rates(
    verdicts: pd.DataFrame, masks: RaggedArray, manifest: pd.DataFrame, curves: pd.DataFrame
) -> pd.DataFrame:
    """Return how many real defective test images were rejected, by the size of what is defective in them: the diameter
    of a disk of all defective pixels of the image. Without a mask, or not judged, an image does not count."""
    row_of = {name: row for row, name in enumerate(manifest["image"])}
    known = verdicts[verdicts["image"].isin(list(row_of)) & (verdicts["verdict"] != "not_judged")]
    known = known[known["image"].map(manifest.set_index("image")["label"]) == 1]
    areas = known["image"].map(lambda name: int(np.count_nonzero(masks[row_of[name]]))).to_numpy(int)
    marked = areas > 0
    sizes = [equivalent_diameter(area) for area in areas[marked].tolist()]
    return rates_by_size(sizes, (known["verdict"] == "reject").to_numpy()[marked], curves)
