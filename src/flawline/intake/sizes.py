"""Which images are left out since they are of a size that no other has, or too small."""

import pandas as pd

HALF, FEW = 0.5, 0.25  # of the usual height and width, and of all images


def drop_odd_sizes(rows: pd.DataFrame, *, least_side: int, sizes: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (rows, quarantine) with the images of at least ``least_side`` pixels each way, of these, if ``sizes`` is
    usual, those of the size that most normal images have; if it is auto, without the few that are less than half as
    high and as wide."""
    small = rows[["height", "width"]].min(axis=1) < least_side
    told = rows["height"].astype(str) + " x " + rows["width"].astype(str)
    reasons = "has " + told + f" pixels; wanted at least {least_side} each way (ingestion.least_side)"
    odd = small
    normal = told[~small & (rows["label"] == 0)]
    if sizes != "any" and not normal.empty:
        usual = normal.mode().iloc[0]
        other = "has " + told + f" pixels; most normal images have {usual} (ingestion.sizes={sizes})"
        reasons = reasons.where(small, other)
        odd = small | (told != usual if sizes == "usual" else _small_copies(rows, normal.index))
    dropped = pd.DataFrame({"path": rows.loc[odd, "image"], "reason": reasons[odd]}, columns=["path", "reason"])
    return rows[~odd].reset_index(drop=True), dropped


def _small_copies(rows: pd.DataFrame, normal: pd.Index) -> pd.Series:
    """Return which images are less than half as high and as wide as the ``normal`` ones usually are, as thumbnails are;
    none where more than a few are: then sizes differ in this category. Crops keep one of their sides."""
    sides = rows[["height", "width"]]
    odd = ((sides / sides.loc[normal].median()).max(axis=1)) < HALF
    return odd if odd.mean() <= FEW else odd & False
