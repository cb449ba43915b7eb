"""What an inspection records of its verdicts."""

import hashlib
import json
from dataclasses import replace

import pytest
from written_verdicts import record_of

from flawline.checks import FlawlineError
from flawline.detector.file import load_detector, save_detector
from flawline.detector.judging import Judge
from flawline.detector.record import Seal, made_record, read_seal, record_path, save_record
from flawline.params import InspectionParams
from flawline.storage.chain import row_hash
from flawline.storage.digests import settings_digest

ROWS = [
    {"image": "a.png", "sha256": "ab", "score": 0.25, "y": None, "engine": "torch 2"},
    {"image": "b.png", "sha256": "", "score": None, "y": 3, "engine": "torch 2"},
]
ORIGIN = {"folder": "/photos", "MLflow run": "cd34", "made": "now"}


@pytest.fixture
def judge(detector, tmp_path):
    save_detector(tmp_path / "detector", detector)
    return Judge(load_detector(tmp_path / "detector", version="2026-01-31"), InspectionParams(min_area=4.0))


def recorded(judge):
    return made_record(ROWS, judge.detector, inspection=judge.inspection, origin=ORIGIN)


def test_rows_name_detector_and_run_and_carry_the_hash_before(judge, tmp_path):
    record = recorded(judge)
    digest = hashlib.sha256((tmp_path / "detector").read_bytes()).hexdigest()
    assert record.columns == ("image", "sha256", "score", "y", "engine", "detector", "run", "row", "previous")
    named = (f"2026-01-31 {digest[:16]}", "cd34")
    assert record.rows[0] == ("a.png", "ab", "0.25", "", "torch 2", *named, "1", settings_digest(record.facts))
    assert record.rows[1] == ("b.png", "", "", "3", "torch 2", *named, "2", row_hash(record.rows[0]))


def test_facts_are_all_that_verdicts_stand_on(judge, detector):
    facts = recorded(judge).facts
    assert facts["detector"]["version"] == "2026-01-31"
    assert facts["thresholds"] == detector.thresholds.to_dict()
    assert facts["inspection"]["min_area"] == 4.0
    assert (facts["engines"], facts["origin"], facts["category"]) == (["torch 2"], ORIGIN, "bolt")
    assert facts["columns"][-2:] == ["row", "previous"]


def test_a_threshold_of_another_target_is_the_one_that_is_recorded(detector):
    judge = Judge(detector, InspectionParams(target_overkill=0.5))
    assert recorded(judge).facts["thresholds"]["reject"]["target_overkill"] == 0.5


def test_a_detector_that_was_read_from_no_file_is_none(detector):
    record = recorded(Judge(detector))
    assert record.facts["detector"] == {}
    assert record.rows[0][-4:-2] == ("", "cd34")


@pytest.mark.parametrize("change", [
    {"category": "nut"}, {"inspection": {"min_area": 5}}, {"origin": {"MLflow run": "other"}}, {"engines": ["torch 3"]},
])  # fmt: skip
def test_another_fact_is_another_last_hash(change):
    assert record_of(3, **change).seal.head != record_of(3).seal.head


def test_seal_reads_back_and_proves_the_first_row(tmp_path):
    record = record_of(3)
    save_record(tmp_path / "verdicts.csv", record)
    seal = read_seal(record_path(tmp_path / "verdicts.csv"))
    assert seal == record.seal == Seal(row_hash(record.rows[-1]), 3, record.facts)
    assert seal.first == record.rows[0][-1]
    assert seal.told() == {"verdicts.head": seal.head, "verdicts.rows": "3", "verdicts.first": seal.first}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["verdicts.csv", "verdicts.csv.record.json"]


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        save_record(tmp_path / "verdicts.csv", record_of(3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("content", "said"), [
    ("", "is not a whole record of verdicts"),
    ('{"head": "a"', "is not a whole record"),
    ("[]", "is not a whole record"),
    ('{"head": "a", "rows": "many", "facts": {}}', "is not a whole record of verdicts .* Take the copy that the"),
    (json.dumps(replace(record_of(1).seal, facts={"format": 9, "columns": []}).__dict__), "of format 9; .* reads 1"),
])  # fmt: skip
def test_a_record_that_is_none_is_told(tmp_path, content, said):
    (tmp_path / "record").write_text(content)
    with pytest.raises(FlawlineError, match=said):
        read_seal(tmp_path / "record")


def test_a_record_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FlawlineError, match=r"no record at .*none; wanted the file \.record\.json that lies beside"):
        read_seal(tmp_path / "none")
