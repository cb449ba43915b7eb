from dataclasses import replace

import numpy as np
import pandas as pd

from flawline.report import tables
from flawline.report.words import DASH, metric_named


def test_verdicts_are_counted_against_labels_found_by_image(verdicts, scores):
    counted = tables.verdict_counts("cae", verdicts, scores)
    assert counted.counts == {"pass": 2, "review": 0, "reject": 2, "not_judged": 0}
    assert (counted.overkill, counted.escapes, counted.good, counted.defective) == (1, 1, 2, 2)
    assert [(truth.name, truth.images) for truth in counted.truths] == [("good", 2), ("defective", 2)]


def test_verdicts_are_counted_without_labels_counts_no_mistake(verdicts):
    counted = tables.verdict_counts("cae", verdicts)
    assert (counted.overkill, counted.escapes) == (None, None)
    assert [truth.name for truth in counted.truths] == ["of unknown truth"]


def test_an_unknown_verdict_is_never_a_pass():
    assert tables.verdict_counts("cae", pd.DataFrame({"image": ["a"], "verdict": ["passed"]})).counts["not_judged"] == 1


def test_metric_groups_keep_oracle_figures_last_and_apart(method):
    odd = replace(method, metrics={**method.metrics, "seconds_per_image": 2.0, "oracle_iou": 0.4})
    groups = tables.metric_groups([odd])
    assert [group.title for group in groups] == ["By image", "By pixel", "Other", "With the test labels' help (oracle)"]
    assert [column.label for column in groups[-1].columns] == ["F1, oracle", "IoU, oracle"]
    assert groups[2].columns[0].label == "seconds per image"


def test_a_rate_has_its_interval_beside_it_and_no_columns_for_it(method):
    rate = {"overkill_rate": 0.05, "overkill_rate_low": 0.0013, "overkill_rate_high": 0.2487}
    (group,) = tables.metric_groups([replace(method, metrics=rate, absent={})])
    assert [column.name for column in group.columns] == ["overkill_rate"]
    assert [cell.text for _, cells in group.rows for cell in cells] == ["0.050 (0.001 to 0.249)"]


def test_operating_points_are_told_by_what_is_known_of_them():
    points = pd.DataFrame(
        {"operating_point": ["chosen", "all pass"], "reject_threshold": [0.1234, np.nan],
         "promised_overkill": [0.01, np.nan], "promised_flagged": [0.05, np.nan], "good": [20, np.nan],
         "overkill": [1, np.nan], "overkill_rate": [0.05, np.nan], "defective": [0, np.nan], "escapes": [0, np.nan]}
    )  # fmt: skip
    shown = tables.operating_rows(points)
    assert shown["headings"] == [
        "reject above",
        "overkill promised",
        "overkill, of 20 good",
        "good not passed, promised",
    ]
    rate = "5.0 % (0.13 to 25 %)".replace(" ", "\xa0").replace("%\xa0(", "% (")
    assert shown["rows"] == [("chosen", ["0.123", "1 %", rate, "5 %"]), ("all pass", [DASH] * 4)]
    assert not shown["by_cost"]
    costs = tables.operating_rows(points.assign(expected_review=[0.02, np.nan], expected_cost=[0.5, 2.0]))
    assert costs["headings"][-2:] == ["to review, expected", "cost expected"]  # for the good that are not passed
    assert costs["by_cost"]
    assert tables.operating_rows(None) == {}


def test_the_best_is_marked_only_where_one_stands_out(method):
    other = replace(method, metrics={"image_auroc": 0.9, "f1": 0.5})
    cells = [cells for _, cells in tables.metric_groups([method, other])[0].rows]
    assert [[cell.best for cell in row] for row in cells] == [[False, False], [True, False]]


def test_absences_name_the_methods_only_where_they_differ(method):
    other = replace(method, method="vae", absent={"pixel_auroc": "no masks", "image_ap": "one class"})
    assert tables.absences([method, other]) == [
        ("Pixel AUROC, AUPRO 30 %", "no masks", ""),
        ("Image AP", "one class", "vae"),
    ]


def test_split_counts_takes_the_split_as_column_or_index():
    column = pd.DataFrame({"split": ["train", "test"], "normal": [20, 2], "defective": [0, 2]})
    for counts in (column, column.set_index("split")):
        assert tables.split_counts(counts).to_numpy().tolist() == [["train", 20, 0], ["test", 2, 2], ["all", 22, 2]]


def test_decimals_of_nothing_is_a_dash():
    assert [tables.decimals(value) for value in (0.12345, np.nan, None)] == ["0.123", DASH, DASH]


def test_rare_reasons_are_summed_up():
    quarantine = pd.DataFrame({"reason": ["a"] * 3 + ["b"] * 2 + list("cdefg")})
    assert tables.reasons(quarantine).startswith("a (3); b (2); ")
    assert tables.reasons(quarantine).endswith("; other reasons (2)")
    assert tables.reasons(quarantine.head(0)) == ""


def test_counts_are_whole_numbers_and_rates_are_not():
    assert tables.shown(metric_named("escapes"), 12.0) == "12"
    assert tables.shown(metric_named("escapes"), float("nan")) == DASH
    assert tables.shown(metric_named("escape_rate"), 0.5) == "0.500"
    assert tables.shown(metric_named("train_seconds"), 91.26) == "91.3"


def test_raw_figures_and_the_training_time_have_tables_of_their_own(method):
    metrics = {"A": 0.9, "raw_A": 0.8, "raw_oracle_A": 0.85, "oracle_A": 0.95, "train_seconds": 91.26}
    faster = replace(method, method="vae", metrics={**metrics, "train_seconds": 10.0, "raw_A": 0.7})
    groups = {group.title: group for group in tables.metric_groups([replace(method, metrics=metrics), faster])}
    assert list(groups)[1:] == [
        "From the raw map (before smoothing)",
        "Training",
        "With the test labels' help (oracle)",
    ]
    raw, training, oracle = (groups[title] for title in list(groups)[1:])
    assert [(name, cells[0].text, cells[0].best) for name, cells in raw.rows] == [
        ("cae", "0.800", True),
        ("vae", "0.700", False),
    ]
    assert [(cells[0].text, cells[0].best) for _, cells in training.rows] == [("91.3", False), ("10", False)]
    assert [column.label for column in oracle.columns] == ["A, oracle", "A, raw map, oracle"]


def test_published_rows_are_printed_as_the_column_is(method):
    published = pd.DataFrame(
        {
            "method": ["CAE", "VAE"],
            "source": ["Table 1", None],
            "train_seconds": [212.0, 45.5],
            "oracle_A": [0.9487, np.nan],
        }
    )
    groups = {group.title: group.published for group in tables.metric_groups([method], published)}
    assert [(name, cells[0].text) for name, cells in groups["Training"]] == [("CAE, Table 1", "212"), ("VAE", "45.5")]
    oracle = groups["With the test labels' help (oracle)"]
    assert [(name, [cell.text for cell in cells]) for name, cells in oracle] == [("CAE, Table 1", [DASH, "0.949"])]
