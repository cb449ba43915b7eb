"""Whether verdicts stand as they were written: none changed, removed, doubled or moved."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from flawline.detector.record import Seal
from flawline.detector.record_reading import Row, Table, as_written, in_columns, recorded_columns

MOST = 10  # findings of a kind that are told one by one
DIGITS = 16  # of a hash that is told


@dataclass(frozen=True)
class Witness:
    """Where a record's last hash was kept: ``name`` says where, and what else is known there is not None."""

    name: str
    head: str
    rows: int | None = None
    first: str | None = None


@dataclass(frozen=True)
class Verified:
    """What came of a table: what is ``wrong`` with it, what else is to be ``told``, and its rows by their columns."""

    wrong: list[str]
    told: list[str]
    columns: list[str]
    rows: list[Row]


def beside(seal: Seal) -> Witness:
    """Return what the record beside the verdicts says."""
    return Witness("the record beside the verdicts", seal.head, seal.rows, seal.first)


def verify(table: Table, seal: Seal | None, witnesses: Sequence[Witness]) -> Verified:
    """Compare a table with the hashes that its rows carry, and with those that ``witnesses`` know."""
    columns = recorded_columns(table, seal)
    rows, wrong = in_columns(table, columns)
    rows, reformatted = _restored(rows, columns, witnesses)
    kinds = (_fields(rows, columns), _doubled(rows), _contested(rows), _moved(rows), *_against(rows, witnesses))
    wrong += [line for kind in kinds for line in _first_of(list(kind))]
    if not witnesses:
        wrong.append("nothing is known to compare the last row with: give the record, --head or --run")
    told = [_rewritten(table, changed=bool(wrong))] if table.rewritten else []
    return Verified([*_first_of(reformatted), *wrong], told, columns, rows)


def _rewritten(table: Table, *, changed: bool) -> str:
    """Return what is said of a file that another program has saved again, in which something was ``changed`` or not."""
    said = f"the file was saved again by another program: {'; '.join(table.rewritten)}"
    if not changed:
        return f"{said}. Every field holds what was written"
    return (
        f"{said}. If that program rounded numbers, this cannot be told from tampering: verify the file as it was "
        f"written, of which the MLflow run keeps a copy"
    )


def _first_of(lines: list[str]) -> list[str]:
    more = len(lines) - MOST
    return lines[:MOST] + [f"and {more} more like this"] * (more > 0)


def _short(digest: str) -> str:
    return f"{digest[:DIGITS]}..." if len(digest) > DIGITS else repr(digest)


def _restored(rows: Sequence[Row], columns: Sequence[str], witnesses: Sequence[Witness]) -> tuple[list[Row], list[str]]:
    """Return the rows, and of those whose numbers are only written in another way the original, which its hash proves;
    and a line on each of these."""
    wanted = {row.previous for row in rows} | {each.head for each in witnesses}
    kept, said = [], []
    for row in rows:
        other = row if row.hash in wanted else as_written(row, columns)
        kept.append(other if other.hash in wanted else row)
        if kept[-1] is not row:
            said.append(f"line {row.line}: its numbers are written in another way, and are those that were recorded")
    return kept, said


def _fields(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[str]:
    for row in rows:
        if len(row.fields) != len(columns):
            yield f"line {row.line}: wanted {len(columns)} fields, got {len(row.fields)}"
        elif row.number is None:
            yield f"line {row.line}: wanted a row's number, got {row.fields[-2]!r}"


def _doubled(rows: Sequence[Row]) -> Iterator[str]:
    lines: dict[str, int] = {}
    for row in rows:
        if row.hash in lines:
            yield f"line {row.line}: row {row.number} is doubled: it stands in line {lines[row.hash]}"
        lines.setdefault(row.hash, row.line)


def _by_number(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Return the rows by their number, without those that are there twice."""
    found: dict[int, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        if row.number:
            found[row.number].setdefault(row.hash, row)
    return {number: list(found[number].values()) for number in sorted(found)}


def _contested(rows: Sequence[Row]) -> Iterator[str]:
    for number, some in _by_number(rows).items():
        if len(some) > 1:
            lines = " and ".join(str(row.line) for row in some)
            yield f"lines {lines}: each says that it is row {number}; all but one were added, or changed"


def _moved(rows: Sequence[Row]) -> Iterator[str]:
    present = [some[0] for some in _by_number(rows).values()]  # in the order of their numbers
    there = sorted(present, key=lambda row: row.line)
    for wanted, row in zip(present, there, strict=True):
        if wanted is not row:
            yield f"line {row.line}: wanted row {wanted.number}, got row {row.number}: rows were moved"


def _against(rows: Sequence[Row], witnesses: Sequence[Witness]) -> tuple[list[str], ...]:
    """Return what is missing, what was changed, and which witnesses know another end or another beginning."""
    known = _chosen(_by_number(rows), rows)
    counts = {each.rows for each in witnesses if each.rows is not None}
    count = max(counts, default=max(known, default=0))
    return (_missing(known, count), _changed(known, witnesses), [line for each in witnesses
            for line in _contradicted(known, each)])  # fmt: skip


def _chosen(by_number: dict[int, list[Row]], rows: Sequence[Row]) -> dict[int, Row]:
    """Return a row for each number: of several the one whose hash another carries."""
    carried = {row.previous for row in rows}
    return {number: next((row for row in some if row.hash in carried), some[0]) for number, some in by_number.items()}


def _missing(known: dict[int, Row], count: int) -> list[str]:
    """Return which of so many rows are not there, those that follow each other in one line, and which are too many."""
    ends = [0, *(number for number in known if number <= count), count + 1]
    found = []
    for before, behind in pairwise(ends):
        if behind - before > 1:
            which = f"row {before + 1} is" if behind - before == 2 else f"rows {before + 1} to {behind - 1} are"
            found.append(f"{which} missing behind line {known[before].line if before else 1}")
    return found + [f"line {row.line}: wanted {count} rows, got one that says it is row {number}"
                    for number, row in known.items() if number > count]  # fmt: skip


def _changed(known: dict[int, Row], witnesses: Sequence[Witness]) -> list[str]:
    """Return which rows do not have the hash that the row behind carries."""
    heads, found = {each.head for each in witnesses}, []
    for number, row in known.items():
        behind = known.get(number + 1)
        if behind is None or behind.previous == row.hash:
            continue
        proven = _is_carried(behind, known.get(number + 2), heads)
        who = f"line {row.line}: row {number} was" if proven else f"line {row.line} or {behind.line}: one of these was"
        found.append(f"{who} changed: wanted the hash {_short(behind.previous)}, which line {behind.line} carries, got "
                     f"{_short(row.hash)}")  # fmt: skip
    return found


def _is_carried(row: Row, behind: Row | None, heads: set[str]) -> bool:
    return row.hash in heads if behind is None else behind.previous == row.hash


def _contradicted(known: dict[int, Row], witness: Witness) -> Iterator[str]:
    """Yield what a witness knows otherwise than the rows: the first, the last, their number."""
    first, last = known.get(1), known.get(witness.rows or max(known, default=0))
    if first is not None and witness.first not in (None, first.previous):
        yield (f"line {first.line}: wanted {_short(witness.first or '')} before the first row, by {witness.name}, got "
               f"{_short(first.previous)}: the row or the facts of the record were changed")  # fmt: skip
    if last is None or last.hash != witness.head:
        line, got = ("the last row", "none") if last is None else (f"line {last.line}", _short(last.hash))
        yield f"{line}: wanted {_short(witness.head)} as the hash of the last row, by {witness.name}, got {got}"
