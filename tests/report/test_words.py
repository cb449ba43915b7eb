import numpy as np
import pandas as pd
import pytest

from flawline.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12, "12"),
        (1234567, "1\u202f234\u202f567"),
        (np.float32(0.125), "0.125"),
        (np.int64(3), "3"),
        (0.0123456, "0.01235"),
        (np.nan, words.DASH),
        (None, words.DASH),
        (pd.NA, words.DASH),
        (True, "True"),
        ("text", "text"),
        (np.inf, "inf"),
    ],
)
def test_number(value, text):
    assert words.number(value) == text


def test_aligned_numbers_share_their_decimals():
    assert words.aligned([0.19071, 0.181, None]) == ["0.1907", "0.1810", words.DASH]
    assert words.aligned([12345.6, 1.0]) == ["12346", "1"]
    assert words.aligned([0.0, np.nan]) == ["0", words.DASH]


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(1, 60, "1.7 %"), (0, 60, "0 %"), (30, 60, "50 %"), (0, 0, words.DASH)]
)
def test_share(part, whole, text):
    assert words.share(part, whole) == text


def test_mistakes_are_the_costly_ones_only():
    assert words.mistake(1, "pass") == "escape"
    assert words.mistake(0, "reject") == "overkill"
    assert words.mistake(1, "review") == words.mistake(0, "pass") == words.mistake(None, "pass") == ""


def test_every_known_metric_is_explained():
    assert all(metric.meaning for metric in words.METRICS.values())
    assert "test labels" in words.metric_named("oracle_f1").meaning
