import pandas as pd
import pytest
from kedro.io import DatasetError, Version
from written_verdicts import COLUMNS, record_of

from flawline.datasets import VerdictsDataset
from flawline.detector.record import read_seal
from flawline.storage.chain import csv_text


def at(tmp_path, load=None, save=None, **options):
    return VerdictsDataset(filepath=str(tmp_path / "verdicts.csv"), version=Version(load, save), **options)


def test_round_trip_writes_the_texts_that_were_hashed_and_their_record(tmp_path):
    record = record_of(3)
    at(tmp_path, save="2025").save(record)
    path = tmp_path / "verdicts.csv" / "2025" / "verdicts.csv"
    assert path.read_bytes() == csv_text(record.columns, record.rows).encode()
    assert read_seal(path.with_name("verdicts.csv.record.json")) == record.seal
    table = at(tmp_path, load_args={"dtype": {"sha256": str}}).load()
    assert table.columns.tolist() == list(COLUMNS)
    pd.testing.assert_series_equal(table["score"], pd.Series([1 / 7, 2 / 7, 3 / 7], name="score"))


def test_preview_is_a_table_of_the_first_rows(tmp_path):
    at(tmp_path, save="2025").save(record_of(30))
    shown = at(tmp_path).preview(nrows=4)
    assert (shown["columns"], len(shown["data"])) == (list(COLUMNS), 4)
    assert VerdictsDataset.preview.__annotations__["return"].__name__ == "TablePreview"  # as Kedro-Viz asks


def test_missing_and_what_it_says_of_itself(tmp_path):
    assert not at(tmp_path).exists()
    with pytest.raises(DatasetError, match="Did not find any versions"):
        at(tmp_path).load()
    plain = VerdictsDataset(filepath=str(tmp_path / "v.csv"), metadata={"a": 1})
    assert not plain.exists()
    plain.save(record_of(1))
    assert plain.exists()
    assert "VerdictsDataset(filepath=" in str(plain)
