"""A table of verdicts read as the text that it is, also where a spreadsheet has saved it again."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flawline.checks import FlawlineError
from flawline.detector.record import Seal
from flawline.intake.texts import read_text
from flawline.storage.chain import NUMBER, PREVIOUS, csv_text, row_hash

DELIMITERS = ",;\t"  # the first is ours; spreadsheets write the others in some languages
WHOLE_NUMBERS = (NUMBER, "regions", "y", "x", "height", "width", "area")
NUMBERS = ("score", "threshold", "p_value", "area_mm2")
NATURAL = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Row:
    """A row of a table: the ``line`` of the file where it begins, and its fields as they stand there."""

    line: int
    fields: tuple[str, ...]

    @property
    def number(self) -> int | None:
        """What the row says that its number is, from 1; None if that is no number."""
        said = self.fields[-2] if len(self.fields) > 1 else ""
        return int(said) if NATURAL.fullmatch(said) else None

    @property
    def previous(self) -> str:
        return self.fields[-1]

    @property
    def hash(self) -> str:
        return row_hash(self.fields)


@dataclass(frozen=True)
class Table:
    """A table as it lies in a file; ``rewritten`` says in what it is not written as flawline writes."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    rewritten: tuple[str, ...] = ()


def read_table(path: Path) -> Table:
    """Read a CSV file without making anything else of its texts. Raise FlawlineError if it is no table of verdicts."""
    content, text = _read(path)
    first = text.splitlines()[0] if text.strip() else ""
    delimiter = max(DELIMITERS, key=first.count)
    lines = _lines(path, text, delimiter)
    if not lines or not {"image", "verdict"} & set(lines[0].fields):
        raise FlawlineError(f"{path} is no table of verdicts: wanted the column image in its first line, got {first!r}")
    header, rows = lines[0].fields, tuple(lines[1:])
    return Table(header, rows, tuple(_rewritten(content, text, delimiter, csv_text(header, [r.fields for r in rows]))))


def _read(path: Path) -> tuple[bytes, str]:
    if path.is_dir():
        raise FlawlineError(f"{path} is a folder; wanted a file: verdicts.csv of one of the versions in it")
    try:
        content, text = path.read_bytes(), read_text(path)
    except OSError as error:
        raise FlawlineError(f"cannot read {path}: {error.strerror}. Wanted the verdicts of an inspection") from None
    except ValueError:
        raise FlawlineError(
            f"{path} is no text; wanted the verdicts of an inspection as CSV, not as a spreadsheet's own file"
        ) from None
    if not text.strip():
        raise FlawlineError(f"{path} is empty; wanted the verdicts of an inspection")
    return content, text


def _lines(path: Path, text: str, delimiter: str) -> list[Row]:
    """Return the rows of a text, the header among them, without lines that are blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found, begins = [], 1
    try:
        for fields in reader:
            if fields:
                found.append(Row(begins, tuple(fields)))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise FlawlineError(f"{path} is no whole table: behind line {begins} it cannot be read ({error})") from None
    return found


def _rewritten(content: bytes, text: str, delimiter: str, ours: str) -> list[str]:
    """Return in what a file is not written as flawline writes it; nothing if it is, to the byte."""
    if content == ours.encode():
        return []
    found = ["it is not in UTF-8, or begins with a byte order mark"] * (content != text.encode())
    found += [f"its fields are parted by {delimiter!r}"] * (delimiter != DELIMITERS[0])
    found += ["its lines do not end in a line feed alone"] * ("\r" in text)
    return found or ["its quotes or blank lines are others"]


def in_columns(table: Table, columns: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Return the rows of a table with their fields in the order of ``columns``, and what is wrong with its header.
    Raise FlawlineError if some of the columns are not there."""
    if table.header == tuple(columns):
        return list(table.rows), []
    said = f"line 1: the header was changed: wanted {','.join(columns)}, got {','.join(table.header)}"
    if len(table.header) == len(columns) and set(columns) != set(table.header):  # some were called otherwise
        return list(table.rows), [said]
    missing = [name for name in columns if name not in table.header]
    if missing:
        raise FlawlineError(f"the verdicts lack columns that were recorded: {', '.join(missing)}. {said}")
    places = [table.header.index(name) for name in columns]
    width = len(table.header)
    rows = [Row(row.line, tuple(row.fields[k] for k in places)) if len(row.fields) == width else row
            for row in table.rows]  # fmt: skip
    return rows, [said]


def as_written(row: Row, columns: Sequence[str]) -> Row:
    """Return a row with its numbers as flawline writes them: a spreadsheet may have made 12 of 12.0, or 0,5 of 0.5."""
    if len(row.fields) != len(columns):
        return row
    return Row(row.line, tuple(map(_number_as_written, columns, row.fields)))


def _number_as_written(column: str, text: str) -> str:
    plain = text.strip().replace(",", ".")
    try:
        if column in WHOLE_NUMBERS and float(plain).is_integer():
            return str(int(float(plain)))
        return repr(float(plain)) if column in NUMBERS else text
    except (ValueError, OverflowError):
        return text


def recorded_columns(table: Table, seal: Seal | None) -> list[str]:
    """Return the columns that the rows' hashes are made of: those of the record, or without one those of the table.
    Raise FlawlineError if it has no hashes."""
    if seal is not None:
        return seal.facts["columns"]
    if table.header[-2:] != (NUMBER, PREVIOUS):
        raise FlawlineError(
            f"the verdicts do not end in the columns {NUMBER} and {PREVIOUS}, so nothing proves them: a version of "
            f"flawline without these made them, or they are no inspection's. Inspect the images again."
        )
    return list(table.header)
