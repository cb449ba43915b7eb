"""Rows that carry the hash of the one before."""

import csv
import hashlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawline.storage.chain import as_text, chained, csv_text, row_hash

FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


def test_hash_of_a_row_is_that_of_its_fields_as_a_json_array():
    assert row_hash(["a,b", 'ü"', ""]) == hashlib.sha256(b'["a,b", "\\u00fc\\"", ""]').hexdigest()


def test_each_row_carries_its_number_and_the_hash_of_the_row_before():
    first, second = chained([["a"], ["b"]], "0" * 64)
    assert first == ("a", "1", "0" * 64)
    assert second == ("b", "2", hashlib.sha256(b'["a", "1", "' + b"0" * 64 + b'"]').hexdigest())
    assert chained([], "0") == []


@pytest.mark.parametrize(("value", "text"), [
    (None, ""), (float("nan"), ""), (0.1, "0.1"), (np.float64(1 / 3), "0.3333333333333333"), (12, "12"), (2.0, "2.0"),
    (np.int64(3), "3"), ("a, b", "a, b"),
])  # fmt: skip
def test_value_as_text(value, text):
    assert as_text(value) == text


@given(st.floats(allow_nan=False))
def test_a_float_reads_back_the_same(value):
    assert float(as_text(value)) == value


@given(st.lists(st.lists(FIELD, min_size=2, max_size=2), max_size=4))
def test_texts_read_back_the_same_whatever_they_hold(rows):
    text = csv_text(["one", "two"], rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["one", "two"], *rows]


def test_a_table_is_written_with_commas_line_feeds_and_few_quotes():
    assert csv_text(["image", "reason"], [["a.png", 'is "odd", so'], ["b", ""]]) == (
        'image,reason\na.png,"is ""odd"", so"\nb,\n'
    )
