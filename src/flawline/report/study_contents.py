"""What the page of a study is made of beside its results: whole published tables, maps beyond their thresholds."""

from collections.abc import Mapping

import pandas as pd
from numpy.typing import NDArray

from flawline.report.contents import PublishedTable


def whole_tables(printed: pd.DataFrame) -> list[PublishedTable]:
    """Return the whole published tables that the rows ``printed`` (category, source) are of, where these have more
    categories than one and figures of whole images."""
    from flawline.methods.published import MEANS, published

    made = []
    for source, rows in published().groupby("source", sort=False):
        measured = list(dict.fromkeys(printed.loc[printed["source"] == source, "category"]))
        if measured and len(set(rows["category"])) > 1 and rows["image_auroc"].notna().any():
            made.append(PublishedTable(str(source), rows.reset_index(drop=True), measured, MEANS.get(str(source), "")))
    return made


def image_to_show(splits: pd.Series, kept: list[int], masks) -> tuple[int, bool] | None:  # type: ignore[no-untyped-def]
    """Return which of the ``kept`` rows a study shows of a category, and whether a defect is marked in it: the first
    test image whose mask is known, else the first test image; None without a test image."""
    tests = [k for k, row in enumerate(kept) if splits.iloc[row] == "test"]
    marked = (k for k in tests if masks[kept[k]].size and masks[kept[k]].any())
    first = next(marked, None)
    if first is not None:
        return first, True
    return (tests[0], False) if tests else None


def beyond(
    maps: Mapping[str, NDArray], metrics: Mapping[str, Mapping[str, float]], threshold: str
) -> dict[str, NDArray]:
    """Return, of the methods whose metrics have ``threshold``, which pixels (H, W) of the map lie beyond it."""
    return {method: one > metrics[method][threshold] for method, one in maps.items() if threshold in metrics[method]}
