"""Which images are left out since they are of a size that no other has, or too small."""

import pandas as pd

FACTOR, FEW = 2, 0.25  # by which an odd size differs, and the share of the normal images that may have one


def drop_odd_sizes(rows: pd.DataFrame, *, least_side: int, sizes: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (rows, quarantine) with the images of at least ``least_side`` pixels each way, of these, if ``sizes`` is
    usual, those of the size that most normal images have; if it is auto, without those of quite another size."""
    small = rows[["height", "width"]].min(axis=1) < least_side
    told = rows["height"].astype(str) + " x " + rows["width"].astype(str)
    reasons = "has " + told + f" pixels; wanted at least {least_side} each way (ingestion.least_side)"
    odd = small
    normal = told[~small & (rows["label"] == 0)]
    if sizes != "any" and not normal.empty:
        usual = normal.mode().iloc[0]
        other = "has " + told + f" pixels; most normal images have {usual} (ingestion.sizes={sizes})"
        reasons = reasons.where(small, other)
        odd = small | (told != usual if sizes == "usual" else _outliers(rows, normal.index))
    dropped = pd.DataFrame({"path": rows.loc[odd, "image"], "reason": reasons[odd]}, columns=["path", "reason"])
    return rows[~odd].reset_index(drop=True), dropped


def _outliers(rows: pd.DataFrame, normal: pd.Index) -> pd.Series:
    """Return which images have a side of less than half or more than twice the median of the ``normal`` ones; none of
    them where more than a few of the normal ones have: then sizes differ in this category."""
    sides = rows[["height", "width"]]
    ratio = sides / sides.loc[normal].median()
    odd = (ratio.max(axis=1) > FACTOR) | (ratio.min(axis=1) < 1 / FACTOR)
    return odd if odd[normal].mean() <= FEW else odd & False
