"""The layout 'csv': a table that says of every image what it is; parameters name its columns."""

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from flawline.checks import FlawlineError, near_name
from flawline.intake.layouts.base import SPLIT_FOLDERS, Layout, RawFile, is_good, pictures_in, relative
from flawline.params import IngestionParams, TableParams

NORMAL = ("0", "0.0", "false", "no defect")  # in any case
DEFECTIVE = ("1", "1.0", "true", "defect", "defective", "bad", "ng")  # that name no defect
SEPARATORS = ",;\t|"


def list_table(folder: Path, params: IngestionParams, category: str) -> Iterator[RawFile]:
    """The rows of ``params.table.file``; pictures that no row names are listed as unusable, masks aside."""
    table = read_table(folder / params.table.file, params.table)
    files = [_row(row, params) for row in table.to_dict("records")]
    paths = pd.Series([file.path for file in files], dtype=object)
    if paths.duplicated().any():
        twice = paths[paths.duplicated()].iloc[0]
        raise FlawlineError(f"{params.table.file} names {twice!r} more than once; wanted one row an image")
    yield from files
    named = {*paths, *map(_clean, table.get(params.table.mask, ()))}  # a normal image's mask too, though it is not used
    for path in pictures_in(folder, deep=True):
        if relative(path, folder) not in named:
            yield RawFile(relative(path, folder), 0, "good", unusable=f"is not named in {params.table.file}")


def read_table(path: Path, columns: TableParams) -> pd.DataFrame:
    """Read the table as text, any common separator. Raise FlawlineError if it is none or lacks a column."""
    try:
        table = _parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:  # pandas' own are ValueErrors
        raise FlawlineError(f"{path} cannot be read as a table ({error}); wanted UTF-8 text, a row an image") from None
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


def _row(row: Mapping[str, str], params: IngestionParams) -> RawFile:
    table = params.table
    told = row[table.label].strip()
    label = _label(told, params)
    named = row.get(table.defect, "").strip() or ("" if told.lower() in DEFECTIVE else told)
    mask = row.get(table.mask, "").strip() or None
    split = row.get(table.split, "").strip()
    return RawFile(
        path=_clean(row[table.image]),
        label=label,
        defect="good" if label == 0 else named or "defect",
        split=SPLIT_FOLDERS.get(split.lower()),
        mask=_clean(mask) if mask and label else None,
        group=row.get(table.group, "").strip() or None,
        unusable=_unusable(row, label, split=split, mask=mask, params=params),
    )


def _label(told: str, params: IngestionParams) -> int | None:
    if not told:
        return None
    return 0 if told.lower() in NORMAL or is_good(told, params.good) else 1


def _unusable(
    row: Mapping[str, str], label: int | None, *, split: str, mask: str | None, params: IngestionParams
) -> str:
    """Return why a row's image cannot be used; empty if it can."""
    if label is None:
        return f"has no label in {params.table.file}"
    if split and split.lower() not in SPLIT_FOLDERS:
        return f"has the split '{split}' in {params.table.file}; wanted train, validation, calibration or test"
    for path in (row[params.table.image], mask or ""):
        if _is_outside(_clean(path)):
            return f"lies outside the folder ({path}); wanted a path below it"
    return ""


def _is_outside(path: str) -> bool:
    return PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute() or ".." in PurePosixPath(path).parts


def _clean(path: str) -> str:
    return PurePosixPath(path.strip().replace("\\", "/")).as_posix()


TABLE = Layout(
    is_in=lambda folder, params: (folder / params.table.file).is_file(),
    list_files=list_table,
    complete=True,
    wanted=lambda params: f"{params.table.file} with the columns {params.table.image} and {params.table.label}",
)
