"""What ingestion has to say of a folder beside its images: cautions, and plain notes on how it was read."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pandas as pd


@dataclass(frozen=True)
class Note:
    """One sentence on a raw folder; a ``caution`` stands on every page of figures that were made from it."""

    text: str
    caution: bool = False


def notes_table(notes: Iterable[Note]) -> pd.DataFrame:
    """Return (text, caution), a row a note, the cautions first, each once."""
    rows = [asdict(note) for note in sorted(dict.fromkeys(notes), key=lambda note: not note.caution)]
    return pd.DataFrame(rows, columns=["text", "caution"]).astype({"text": str, "caution": bool})


def texts(notes: pd.DataFrame, *, caution: bool) -> list[str]:
    """Return the sentences of the cautions, or those of the other notes."""
    return [str(text) for text in notes.loc[notes["caution"] == caution, "text"]]
