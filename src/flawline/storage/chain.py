"""Rows of text of which each carries the hash of the one before, and how a table of them stands in a CSV file.

A row's hash is the SHA-256 of its fields as they stand in the file, the hash of the row before among them, written as a
JSON array: ``sha256(json.dumps(fields))`` in Python. So it can be checked by whoever has the file, and nothing else."""

from collections.abc import Iterable, Sequence

from flawline.storage.digests import settings_digest

NUMBER, PREVIOUS = "row", "previous"  # the last columns of a table: the row's number, from 1, and the hash before it

QUOTE = '"'


def row_hash(fields: Sequence[str]) -> str:
    """Return the hash of a row, of the text of all its fields."""
    return settings_digest(list(fields))


def chained(rows: Iterable[Sequence[str]], first: str) -> list[tuple[str, ...]]:
    """Return rows with their number and the hash of the row before behind their fields; of the first that is
    ``first``."""
    done: list[tuple[str, ...]] = []
    previous = first
    for number, fields in enumerate(rows, start=1):
        done.append((*fields, str(number), previous))
        previous = row_hash(done[-1])
    return done


def as_text(value: str | float | None) -> str:
    """Return a value as it stands in a table: nothing where there is none, a float so that it reads back the same."""
    if value is None or value != value:  # NaN
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as CSV: commas, quotes only where they are needed, lines ended by a line feed."""
    return "".join(f"{','.join(map(_quoted, fields))}\n" for fields in (header, *rows))


def _quoted(text: str) -> str:
    """Return a field as it stands in a CSV file. Python's own writer leaves a carriage return as it is."""
    return f'"{text.replace(QUOTE, QUOTE * 2)}"' if any(sign in text for sign in ',"\r\n') else text
