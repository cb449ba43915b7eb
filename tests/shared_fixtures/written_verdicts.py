"""Verdicts with their record, as an inspection writes them, of no image at all."""

from flawline.detector.record import Record, save_record
from flawline.storage.chain import chained
from flawline.storage.digests import content_digest, settings_digest

COLUMNS = ("image", "sha256", "score", "threshold", "verdict", "reason", "regions", "y", "area", "engine", "detector",
           "run", "row", "previous")  # fmt: skip


def record_of(count: int, **facts) -> Record:
    """Return the record of so many images, every third of which is rejected."""
    facts = {"format": 1, "columns": list(COLUMNS), "category": "bolt", "method": "cae", "detector": {},
             "engines": [], "inspection": {}, "origin": {"MLflow run": "ab12"}} | facts  # fmt: skip
    rows = [_row(k) for k in range(count)]
    return Record(COLUMNS, tuple(chained(rows, settings_digest(facts))), facts)


def _row(k: int) -> list[str]:
    found = ["reject", "1 region, above", "1", "12", "30"] if k % 3 == 2 else ["pass", "below", "0", "", ""]
    return [f"line 1/ü {k}.png", content_digest(str(k)), repr((k + 1) / 7), "0.5", *found, "torch", "2026 ab12", "ab12"]


def write(path, count: int = 7, **facts) -> Record:
    record = record_of(count, **facts)
    save_record(path, record)
    return record
