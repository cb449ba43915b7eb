"""What a study's page shows of a category, and the published tables that it shows whole."""

import numpy as np
import pandas as pd

from flawline.methods.published import published_for
from flawline.report.study_contents import beyond, image_to_show, whole_tables


def test_a_published_table_comes_whole_where_its_images_are_here():
    here = published_for("bottle", raw="bottle", layout="mvtec").assign(category="bottle")
    (table,) = whole_tables(here[here["method"] == "cpcae"])
    assert (table.source, table.measured) == ("Saeedi & Giusti 2022, Table 4", ["bottle"])
    assert len(table.rows) == 80
    assert "first six" in table.note
    assert whole_tables(here[:0]) == []
    assert whole_tables(published_for("chess").assign(category="chess")) == []  # it has no figure of whole images


def test_the_first_test_image_with_a_marked_defect_is_shown_else_the_first_of_all():
    splits = pd.Series(["train", "calibration", "test", "unused", "test", "test"])
    kept = [1, 2, 4, 5]  # rows of the manifest that were scored
    none, empty, marked = np.zeros((0, 0), bool), np.zeros((2, 2), bool), np.ones((2, 2), bool)
    assert image_to_show(splits, kept, [marked, marked, none, marked, empty, marked]) == (3, True)
    assert image_to_show(splits, kept, [marked, marked, none, marked, empty, empty]) == (1, False)
    assert image_to_show(splits, [1], [marked] * 6) is None


def test_pixels_beyond_are_told_of_methods_that_have_a_threshold():
    maps = {"cae": np.array([[0.1, 0.5, 0.6]]), "vae": np.array([[1.0]])}
    found = beyond(maps, {"cae": {"limit": 0.5}, "vae": {}}, "limit")
    assert {name: one.tolist() for name, one in found.items()} == {"cae": [[False, False, True]]}
