import pytest

from flawline.methods.published import published, published_for
from flawline.methods.registry import METHODS

SOURCE = "Schneider 2022, Table 1"
TABLE_1 = {  # A, IoU, Time_tr in seconds; as printed
    "chess": {"cae": (0.9487, 0.7975, 212), "vae": (0.9492, 0.7995, 213), "aae": (0.9499, 0.7998, 1223)},
    "noise": {"cae": (0.9093, 0.7594, 216), "vae": (0.8797, 0.7698, 220), "aae": (0.9218, 0.7743, 1227)},
}
METRICS = ["oracle_A", "oracle_iou", "train_seconds"]


def test_table_1_of_schneider_2022_as_printed():
    table = published()
    rows = table[table["source"] == SOURCE].set_index(["category", "method"])[METRICS]
    printed = {(category, method): row for category, rows in TABLE_1.items() for method, row in rows.items()}
    assert len(rows) == len(printed) == 6
    assert {key: tuple(row) for key, row in rows.iterrows()} == printed


def test_all_have_category_method_and_source_first_then_metrics():
    table = published()
    assert list(table.columns) == ["category", "method", "source", *METRICS]
    assert not table[["category", "method", "source"]].isna().any(axis=None)
    assert not table.duplicated(["category", "method", "source"]).any()


def test_methods_have_the_names_that_ours_have():
    assert set(published()["method"]) <= METHODS.keys()


@pytest.mark.parametrize("category", TABLE_1)
def test_a_categorys_rows_are_numbered_from_0_and_do_not_name_it(category):
    table = published_for(category)
    assert list(table.columns) == ["method", "source", *METRICS]
    assert list(table.index) == [0, 1, 2]
    assert {row["method"]: tuple(row[METRICS]) for _, row in table.iterrows()} == TABLE_1[category]


@pytest.mark.parametrize("category", ["brick", "Chess", ""])
def test_a_category_that_nobody_published_on_has_no_row(category):
    assert len(published_for(category)) == 0


def test_a_table_without_rows_still_says_method_and_source():
    assert list(published_for("brick").columns) == ["method", "source"]


def test_a_table_that_is_worked_on_does_not_change_the_next():
    table = published_for("chess")
    table["train_seconds"] = 0
    assert published_for("chess")["train_seconds"].tolist() == [212, 213, 1223]
