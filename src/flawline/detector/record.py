"""The record of an inspection: its verdicts as rows of which each carries the hash of the one before, and what these
stand on.

The first row carries the digest of the ``facts``, so whoever has the last row's hash has all of it: no row and no fact
can be another without that hash being another. What it takes is that the hash is kept where nobody rewrites it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flawline import __version__
from flawline.checks import FlawlineError
from flawline.storage.chain import NUMBER, PREVIOUS, as_text, chained, csv_text, row_hash
from flawline.storage.digests import settings_digest
from flawline.storage.whole import write_whole

if TYPE_CHECKING:
    from flawline.detector.file import Detector
    from flawline.params import InspectionParams

FORMAT = 1
SUFFIX = ".record.json"
RUN = "MLflow run"  # as the handle `run` calls it


@dataclass(frozen=True)
class Record:
    """Verdicts as texts: ``columns``, their ``rows`` with number and hash, and the ``facts`` that they stand on, as
    JSON."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    facts: dict[str, Any]

    @cached_property
    def seal(self) -> "Seal":
        return Seal(row_hash(self.rows[-1]), len(self.rows), self.facts)


@dataclass(frozen=True)
class Seal:
    """What is kept of a record elsewhere too: the ``head``, which is the last row's hash, the number of rows, and the
    facts."""

    head: str
    rows: int
    facts: dict[str, Any]

    @property
    def first(self) -> str:
        """What the first row carries as the hash before it."""
        return settings_digest(self.facts)

    def told(self) -> dict[str, str]:
        """Return what a tracked run is told."""
        known = {"head": self.head, "rows": str(self.rows), "first": self.first}
        return {f"verdicts.{name}": value for name, value in known.items()}


def made_record(
    rows: Sequence[Mapping[str, Any]], detector: "Detector", *, inspection: "InspectionParams",
    origin: Mapping[str, str],
) -> Record:  # fmt: skip
    """Return the record of ``rows`` of the verdicts, made with the thresholds of ``detector`` and the settings
    ``inspection`` in the run that ``origin`` names."""
    named = {"detector": str(detector.source or ""), "run": origin.get(RUN, "")}
    columns = (*dict.fromkeys(name for row in rows for name in row), *named, NUMBER, PREVIOUS)
    settings = {"inspection": inspection.model_dump(mode="json"), "origin": dict(origin), "columns": list(columns)}
    facts = _facts(rows, detector) | settings
    texts = [[as_text((row | named).get(name)) for name in columns[:-2]] for row in map(dict, rows)]
    return Record(columns, tuple(chained(texts, settings_digest(facts))), facts)


def _facts(rows: Sequence[Mapping[str, Any]], detector: "Detector") -> dict[str, Any]:
    """Return what is known of the detector that judged, and of the engines that it was run by."""
    return {
        "format": FORMAT,
        "category": detector.category,
        "method": detector.method,
        "detector": {} if detector.source is None else detector.source.__dict__,
        "thresholds": detector.thresholds.to_dict(),
        "engines": sorted({row.get("engine") or "" for row in rows} - {""}),
    }


def save_record(path: Path, record: Record) -> None:
    """Write the table to ``path``, and behind it the seal; each whole or not at all."""
    write_whole(path, csv_text(record.columns, record.rows))
    write_whole(record_path(path), json.dumps(record.seal.__dict__, indent=1))


def record_path(path: Path) -> Path:
    """Return where the seal of the verdicts at ``path`` lies."""
    return path.with_name(path.name + SUFFIX)


def read_seal(path: Path) -> Seal:
    """Read what `save_record` wrote beside a table. Raise FlawlineError if it is not there or not whole."""
    try:
        known = json.loads(path.read_bytes())
        seal = Seal(str(known["head"]), int(known["rows"]), dict(known["facts"]))
        kind, columns = seal.facts["format"], seal.facts["columns"]
    except FileNotFoundError:
        raise FlawlineError(f"no record at {path}; wanted the file {SUFFIX} that lies beside the verdicts") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FlawlineError(
            f"{path} is not a whole record of verdicts ({error!r}). Take the copy that the MLflow run of the "
            f"inspection keeps."
        ) from None
    if kind != FORMAT or not isinstance(columns, list):
        raise FlawlineError(f"{path} is a record of format {kind}; flawline {__version__} reads {FORMAT}")
    return seal
