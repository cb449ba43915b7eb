"""The layout 'csv': a table that says of every image what it is; parameters name its columns."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from io import StringIO
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from flawline.checks import FlawlineError, near_name
from flawline.intake.folders import Contents
from flawline.intake.layouts.base import Layout, Listed, RawFile, said_of_classes
from flawline.intake.names import is_good, parts_of, says_defective, split_of
from flawline.intake.notes import Note
from flawline.intake.texts import read_text
from flawline.params import IngestionParams, TableParams

NORMAL = ("0", "0.0", "false", "no defect", "none")  # in any case
DEFECTIVE = ("1", "1.0", "true")  # that name no defect, in any case
SEPARATORS = ",;\t|"
HALF = 0.5  # of a column's names must be pictures
SAMPLED = 200  # rows
DEEPEST = 1  # folders above a table that nobody named


def list_table(contents: Contents, params: IngestionParams, category: str = "") -> Listed:
    """The rows of the table; pictures that no row names are listed as unusable, masks aside."""
    file = table_in(contents, params.table) or params.table.file
    table = read_table(contents.root / file, params.table)
    locate = partial(locate_picture, contents, file)
    files = [_row(row, params, locate, file) for row in table.to_dict("records")]
    paths = pd.Series([each.path for each in files], dtype=object)
    if paths.duplicated().any():
        twice = paths[paths.duplicated()].iloc[0]
        raise FlawlineError(f"{file} names {twice!r} more than once; wanted one row an image")
    named = {*paths, *map(locate, table.get(params.table.mask, ()))}
    strangers = frozenset(path for path in contents.pictures if path not in named)
    files += [RawFile(path, 0, "good", unusable=f"is not named in {file}") for path in sorted(strangers)]
    other = [Note(f"Read as a table: {file}.")] if file != params.table.file else []
    return Listed(files, (*said_of_classes(files, params.good), *other), read=frozenset([file]), strangers=strangers)


@lru_cache(maxsize=8)
def table_in(contents: Contents, columns: TableParams) -> str | None:
    """Return the table of a folder: ``columns.file``, else the one that has these columns and names pictures."""
    if columns.file in contents.files:
        return columns.file
    found = [file for file, table in _tables(contents)
             if {columns.image, columns.label} <= set(table)
             and _named_share(contents, file, table[columns.image]) >= HALF]  # fmt: skip
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=8)
def tables_unread(contents: Contents, columns: TableParams) -> Mapping[str, str]:
    """Return the other tables that name pictures, with the column that does."""
    own = table_in(contents, columns)
    found = {}
    for file, table in _tables(contents):
        shares = {str(name): _named_share(contents, file, table[name]) for name in table}
        if file != own and max(shares.values(), default=0) >= HALF:
            found[file] = max(shares, key=lambda name: shares[name])
    return found


def _tables(contents: Contents) -> Iterator[tuple[str, pd.DataFrame]]:
    for file in contents.ending(".csv", ".tsv"):
        if file.count("/") <= DEEPEST and (table := _known_table(contents.root / file)) is not None:
            yield file, table


def _known_table(path: Path) -> pd.DataFrame | None:
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=8)
def _parsed(path: Path, changed: int) -> pd.DataFrame:
    return _parse(read_text(path))


def _named_share(contents: Contents, file: str, names: pd.Series) -> float:
    """Return the share of a column's first names that mean a picture."""
    some = names.head(SAMPLED)
    return sum(locate_picture(contents, file, name) in contents.named for name in some) / max(1, len(some))


def locate_picture(contents: Contents, file: str, name: str) -> str:
    """Return the picture that a row of the table ``file`` names, below the folder or below the table's own, with or
    without first folders, in either Unicode form, with its ending or without; else the name as it is."""
    path = _clean(name)
    if _is_outside(path):
        return path
    beside = PurePosixPath(file).parent / path
    named = contents.named
    found = named.exact(path) or named.exact(beside.as_posix()) or named.within(path)
    return found or (named.of_stem(path) if path.strip() not in ("", ".") else None) or path


def read_table(path: Path, columns: TableParams) -> pd.DataFrame:
    """Read the table as text, any common separator. Raise FlawlineError if it is none or lacks a column."""
    try:
        table = _parse(read_text(path))
    except (OSError, ValueError) as error:  # pandas' own are ValueErrors
        raise FlawlineError(f"{path} cannot be read as a table ({error}); wanted a text, a row an image") from None
    for role in ("image", "label", "mask", "split", "group", "defect"):
        name = getattr(columns, role)
        needed = role in ("image", "label") or name != role  # a column that was named must be there
        if needed and name not in table:
            near = near_name(name, table.columns)
            raise FlawlineError(
                f"{path} has no column '{name}'{near}; it has: {', '.join(map(str, table.columns))}. Name the column "
                f"with ingestion.table.{role}."
            )
    return table


def _parse(text: str) -> pd.DataFrame:
    """Return the table as text, "" where a row is too short; the separator is the one that the first line has most of.

    Raise ValueError if a row has more fields than the first line."""
    header = text.partition("\n")[0]
    options = {"sep": max(SEPARATORS, key=header.count), "skipinitialspace": True, "engine": "python"}
    table = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False, **options)
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first fields for names of the rows
        raise ValueError("Expected no more fields in line 2 than in line 1")
    return table.fillna("").rename(columns=str.strip)


def _row(row: Mapping[str, str], params: IngestionParams, locate: Callable[[str], str], file: str) -> RawFile:
    table, path = params.table, locate(row[params.table.image])
    told = row[table.label].strip()
    label = _label(told, params)
    named = row.get(table.defect, "").strip() or ("" if told.lower() in DEFECTIVE or says_defective(told) else told)
    mask = row.get(table.mask, "").strip() or None
    split = row.get(table.split, "").strip()
    return RawFile(
        path=path,
        label=label,
        defect="good" if label == 0 else named or "defect",
        split=split_of(split),
        mask=locate(mask) if mask else None,
        group=row.get(table.group, "").strip() or None,
        unusable=_unusable(row, label, split=split, mask=mask, table=table, file=file)
        or _contradicted(path, label, params.good, file),
    )


def _label(told: str, params: IngestionParams) -> int | None:
    if not told:
        return None
    return 0 if told.lower() in NORMAL or is_good(told, params.good) else 1


def _unusable(
    row: Mapping[str, str], label: int | None, *, split: str, mask: str | None, table: TableParams, file: str
) -> str:
    """Return why a row's image cannot be used; empty if it can."""
    if label is None:
        return f"has no label in {file}"
    if split and split_of(split) is None:
        return f"has the split '{split}' in {file}; wanted train, validation, calibration or test"
    for path in (row[table.image], mask or ""):
        if _is_outside(_clean(path)):
            return f"lies outside the folder ({path}); wanted a path below it"
    return ""


def _contradicted(path: str, label: int | None, good: tuple[str, ...], file: str) -> str:
    """Return that an image's label and the folder that it lies in contradict each other; empty where they do not."""
    parts = parts_of(path)
    other = next((part for part in parts if (says_defective(part) if label == 0 else is_good(part, good))), "")
    called = "good" if label == 0 else "defective"
    return f"is called {called} in {file} and lies in {other}/; correct one of the two" if other else ""


def _is_outside(path: str) -> bool:
    return PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute() or ".." in PurePosixPath(path).parts


def _clean(path: str) -> str:
    return PurePosixPath(path.strip().replace("\\", "/")).as_posix()


TABLE = Layout(
    is_in=lambda contents, params: table_in(contents, params.table) is not None,
    list_files=list_table,
    wanted=lambda params: f"{params.table.file} with the columns {params.table.image} and {params.table.label}",
)
