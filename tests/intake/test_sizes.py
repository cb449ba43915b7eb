"""Images of odd sizes."""

import pandas as pd
import pytest

from flawline.intake.manifest import COLUMNS
from flawline.intake.sizes import drop_odd_sizes

SIZES = {"a": (20, 24), "b": (40, 90), "c": (40, 50), "d": (40, 50), "e": (40, 50)}


def sized(**labels):
    rows = [
        {"image": name, "height": size[0], "width": size[1], "label": labels.get(name, 0)}
        for name, size in SIZES.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize(("options", "reasons"), [
    ({"least_side": 20, "sizes": "any"}, {}),
    ({"least_side": 21, "sizes": "any"}, {
        "a": "has 20 x 24 pixels; wanted at least 21 each way (ingestion.least_side)",
    }),
    ({"least_side": 1, "sizes": "usual"}, {
        name: f"has {size} pixels; most normal images have 40 x 50 (ingestion.sizes=usual)"
        for name, size in (("a", "20 x 24"), ("b", "40 x 90"))
    }),
    ({"least_side": 21, "sizes": "usual"}, {
        "a": "has 20 x 24 pixels; wanted at least 21 each way (ingestion.least_side)",
        "b": "has 40 x 90 pixels; most normal images have 40 x 50 (ingestion.sizes=usual)",
    }),
    ({"least_side": 41, "sizes": "usual"}, {
        name: f"has {size[0]} x {size[1]} pixels; wanted at least 41 each way (ingestion.least_side)"
        for name, size in SIZES.items()
    }),
])  # fmt: skip
def test_images_of_odd_sizes_are_dropped_where_asked(options, reasons):
    rows, dropped = drop_odd_sizes(sized(), **options)
    assert dict(dropped.itertuples(index=False)) == reasons
    assert rows["image"].tolist() == [name for name in SIZES if name not in reasons]


def test_small_copies_are_dropped_where_they_are_few():
    sizes = {"height": [40] * 6 + [19], "width": [50] * 5 + [20, 24]}
    rows = pd.DataFrame({"image": list("abcdefg"), "label": 0, **sizes})
    kept, dropped = drop_odd_sizes(rows, least_side=1, sizes="auto")
    assert kept["image"].tolist() == list("abcdef")  # f is a crop
    assert dropped["reason"].tolist() == ["has 19 x 24 pixels; most normal images have 40 x 50 (ingestion.sizes=auto)"]
    assert len(drop_odd_sizes(rows, least_side=1, sizes="any")[0]) == 7
    many = pd.concat([rows, rows.tail(1).assign(image="h", label=1)], ignore_index=True)
    assert len(drop_odd_sizes(many, least_side=1, sizes="auto")[0]) == 6
    many = pd.concat([many, many.tail(1).assign(image="i")], ignore_index=True)
    assert drop_odd_sizes(many, least_side=1, sizes="auto")[1].empty


def test_usual_size_is_that_of_normal_images():
    rows, _ = drop_odd_sizes(sized(c=1, d=1, e=1, a=1), least_side=1, sizes="usual")
    assert rows["image"].tolist() == ["b"]
