"""Images that are not to be used: those that a table of the user's names, and those of the challenge set."""

from collections.abc import Collection
from io import StringIO
from pathlib import Path

import pandas as pd

from flawline.checks import FlawlineError, near_name
from flawline.intake.notes import Note
from flawline.intake.texts import read_text

COLUMN = "image"


def leave_out(rows: pd.DataFrame, table: str | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (rows, quarantine) without the images that the column image of a csv file ``table`` names; a page is named
    as the manifest has it, a file stands for all of its pages.

    Raise FlawlineError if the table cannot be read, has no such column, or names what is not there."""
    if table is None:
        return rows, pd.DataFrame(columns=["path", "reason"])
    names = read_names(Path(table))
    file = rows["image"].str.replace(r"#\d+$", "", regex=True).where(rows["page"] > 0, rows["image"])
    unknown = [name for name in names if name not in {*rows["image"], *file}]
    if unknown:
        more = f" (and {len(unknown) - 1} more of its names)" * (len(unknown) > 1)
        raise FlawlineError(
            f"ingestion.leave_out: {table} names '{unknown[0]}', which is no image of the raw folder"
            f"{near_name(unknown[0], rows['image'])}{more}. Name images as the manifest does."
        )
    left = rows["image"].isin(names) | file.isin(names)
    paths = rows.loc[left, "image"]
    return rows[~left].reset_index(drop=True), pd.DataFrame({"path": paths, "reason": f"is left out, as {table} says"})


def keep_apart(rows: pd.DataFrame, challenges: Collection[str]) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    """Return (rows, quarantine, notes) without the normal images that a detector could learn from although the
    challenge set holds them, which has files of the SHA-256 ``challenges``. An image of the data set's own test split,
    and a defective one, is not learned from, and stays."""
    apart = rows["sha256"].isin(list(challenges)) & (rows["label"] == 0) & (rows["split"] != "test")
    reason, count = "is in the challenge set, from which no detector may learn", int(apart.sum())
    notes = [Note(f"{count} of the images are in the challenge set and are not learned from.")] if count else []
    left_out = pd.DataFrame({"path": rows.loc[apart, "image"], "reason": reason})
    return rows[~apart].reset_index(drop=True), left_out, notes


def read_names(table: Path) -> list[str]:
    """Return the column image of a csv file; raise FlawlineError if there is none."""
    try:
        found = pd.read_csv(StringIO(read_text(table)), dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # missing, no text, no table
        raise FlawlineError(
            f"ingestion.leave_out: {table} cannot be read ({error}). Wanted a csv file with the column {COLUMN}."
        ) from None
    if COLUMN not in found:
        raise FlawlineError(
            f"ingestion.leave_out: {table} has no column {COLUMN}; it has {', '.join(map(str, found)) or 'none'}"
        )
    return [name for name in found[COLUMN] if name]
