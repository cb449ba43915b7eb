"""The figures that the papers print, under the names that ours have: published.csv beside this file."""

from functools import cache
from importlib.resources import files

import pandas as pd

from flawline.vision.examples import EXAMPLES

NAMES = ["paper", "source", "category", "method"]
PUBLISHED_NOTE = (
    "Published figures were measured on the authors' own images, which are not public: ours are of the same kind, not "
    "the same. Compare the order of the methods, not the last digit."
)


def published_for(category: str, *, raw: str | None = None) -> pd.DataFrame:
    """Return what was published on ``category``: method, source, then the metrics that some row has; maybe no row.

    A user's own folder ``raw`` that only has an embedded example's name has nothing to do with what was published.
    ``source`` names paper and table. Metrics have the names of `flawline.metrics` and its scale: a threshold that was
    tuned on the masks makes an oracle of a metric whatever the paper calls it."""
    table = published() if raw is None or category not in EXAMPLES else published().head(0)
    rows = table[table["category"] == category].reset_index(drop=True)
    metrics = [name for name in rows.columns.difference(NAMES, sort=False) if rows[name].notna().any()]
    return rows[["method", "source", *metrics]]


@cache
def published() -> pd.DataFrame:
    """Return all published figures: category, method, source, then metrics, NaN where a paper prints none."""
    with files("flawline.methods").joinpath("published.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=dict.fromkeys(NAMES, str))
    table["source"] = table.pop("paper") + ", " + table["source"]
    metrics = [name for name in table if name not in NAMES]
    return table[["category", "method", "source", *metrics]]
