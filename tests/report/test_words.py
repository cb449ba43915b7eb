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


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0, "0 %"), (0.00033, "0.033 %"), (0.05, "5.0 %"), (0.0996, "10 %"), (0.844, "84 %"), (1, "100 %")],
)
def test_shares_are_rounded_to_what_can_be_told(rate, text):
    assert words.rounded_share(rate) == text


def test_a_rate_is_told_with_its_exact_interval():
    assert words.rate_of(1, 20) == "5.0 % of 20 (0.13 to 25 %)"
    assert words.rate_of(1, 20, of_all=False) == "5.0 % (0.13 to 25 %)"
    assert words.rate_of(0, 0) == words.DASH
    assert words.interval_of(0, 10) == "exact 95 % interval 0 to 31 %"
    assert words.unbroken("5.0 % (0.13 to 25 %)").split(" ") == ["5.0\xa0%", "(0.13\xa0to\xa025\xa0%)"]


@pytest.mark.parametrize(("p", "text"), [(0.0099, "0.010"), (1.0, "1.000"), (0.00042, "0.0004"), (None, words.DASH)])
def test_p_values(p, text):
    assert words.p_value(p) == text


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


@pytest.mark.parametrize(
    ("name", "label", "group"),
    [
        ("A", "A", "By pixel"),
        ("raw_A", "A, raw", "From the raw map (before smoothing)"),
        ("raw_pixel_auroc", "Pixel AUROC, raw", "From the raw map (before smoothing)"),
        ("oracle_A", "A, oracle", words.ORACLE),
        ("raw_oracle_A", "A, raw map, oracle", words.ORACLE),
        ("raw_oracle_iou", "IoU, raw map, oracle", words.ORACLE),
        ("train_seconds", "Training, s", "Training"),
        ("raw_material_cost", "material cost, raw", "From the raw map (before smoothing)"),
        ("oracle_luck", "luck", words.ORACLE),
        ("luck", "luck", "Other"),
    ],
)
def test_metrics_are_named_and_grouped_by_what_they_are_of(name, label, group):
    metric = words.metric_named(name)
    assert (metric.name, metric.label, metric.group) == (name, label, group)


def test_a_metric_of_the_raw_map_means_the_same_and_is_better_the_same_way():
    for name in ("A", "iou", "aupro", "escapes"):
        plain, raw = words.metric_named(name), words.metric_named(f"raw_{name}")
        assert (raw.meaning, raw.better, raw.whole) == (plain.meaning, plain.better, plain.whole)
    assert words.metric_named("raw_oracle_f1").meaning == words.metric_named("oracle_f1").meaning


def test_groups_stand_in_the_pages_order():
    order = list(words.GROUPS)
    assert order.index("From the raw map (before smoothing)") == order.index("By pixel") + 1
    assert order[-1] == words.ORACLE
    assert {words.metric_named(name).group for name in words.METRICS} <= set(order)


def test_metrics_of_the_raw_map_come_after_the_others():
    names = ["raw_oracle_A", "oracle_iou", "zeal", "raw_oracle_iou", "oracle_A"]
    assert sorted(names, key=words.metric_order) == ["oracle_A", "oracle_iou", "zeal", "raw_oracle_A", "raw_oracle_iou"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (212.0, "212"),
        (112.4, "112"),
        (99.96, "100.0"),
        (91.26, "91.3"),
        (45, "45"),
        (0.04, "0.0"),
        (12345.6, "12\u202f346"),
        (np.nan, words.DASH),
        (np.inf, words.DASH),
        (None, words.DASH),
    ],
)
def test_seconds(value, text):
    assert words.seconds(value) == text


def test_after_tells_the_epochs():
    assert [words.after(epochs) for epochs in (0, 1, 2)] == ["untrained", "after 1 epoch", "after 2 epochs"]
