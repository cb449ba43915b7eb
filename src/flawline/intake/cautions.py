"""Cautions on images that are used though something about them is in doubt, made from what was measured of them."""

import numpy as np
import pandas as pd

from flawline.intake.measuring import Measurements
from flawline.intake.notes import Note

SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that make height and width change places


def turned_photographs(rows: pd.DataFrame, measurements: Measurements) -> list[Note]:
    """Return the caution that masks may lie elsewhere: on photographs turned by EXIF, where neither the mask's own
    orientation nor its size tells on which pixels it was drawn."""
    masked = rows[rows["mask_sha256"].notna()]
    orientation = measurements.table.drop_duplicates(["sha256", "page"]).set_index(["sha256", "page"])["orientation"]
    own = orientation.reindex(pd.MultiIndex.from_frame(masked[["sha256", "page"]])).to_numpy()
    of_mask = orientation.reindex([(digest, 0) for digest in masked["mask_sha256"]]).to_numpy()
    told = np.isin(own, SIDEWAYS) & (masked["height"] != masked["width"]).to_numpy() & (of_mask == 1)
    doubtful = masked["image"][(own != 1) & (of_mask <= 1) & ~told]
    if doubtful.empty:
        return []
    text = (
        f"EXIF turns or mirrors photographs that have masks ({len(doubtful)}, the first: {doubtful.iloc[0]}), and "
        f"nothing tells whether the masks were drawn before or after that. Look whether they lie on the defects."
    )
    return [Note(text, caution=True)]


def doubtful_images(rows: pd.DataFrame, measurements: Measurements) -> list[Note]:
    """Return the caution that images are used of which their decoder warns."""
    table = measurements.table
    warnings = table.loc[table["warning"] != "", ["sha256", "page", "warning"]]
    if warnings.empty:
        return []
    found = rows[["image", "sha256", "page"]].merge(warnings)
    if found.empty:
        return []
    first = f"{found['image'].iloc[0]} {found['warning'].iloc[0]}"
    text = "Images are used though their decoder warns of them, since ingestion.strict is false"
    return [Note(f"{text} ({len(found)}, the first: {first}).", caution=True)]
