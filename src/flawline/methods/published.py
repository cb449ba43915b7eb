"""The figures that the papers print, under the names that ours have: published.csv beside this file."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

import pandas as pd

from flawline.intake.examples import EXAMPLES
from flawline.methods.registry import PAPERS, SAEEDI

NAMES = ["paper", "source", "category", "method"]
CALLED: dict[str, Callable[[str], str]] = {  # layout of public images -> what the papers call one of our categories
    "mvtec": lambda category: category,
    "aitex": lambda category: f"fabric_{category[-2:]}",
    "kolektorsdd2": lambda category: "ksdd2",
}
MEANS = {  # source -> what its own means are of
    f"{SAEEDI}, Table 4": "The printed column Mean is over all eight categories for the proposed method (cpcae), but "
    "over the first six alone for every other; here every mean is over all eight."
}


def published_for(category: str, *, raw: str | None = None, layout: str | None = None) -> pd.DataFrame:
    """Return what was published on ``category``: method, source, then the metrics that some row has; maybe no row.

    A user's own folder ``raw`` that only has an embedded example's name has nothing to do with what was published; nor
    has a folder that is called like a published category but not laid out (``layout``) as that data set is. ``source``
    names paper and table. Metrics have the names of `flawline.metrics` and its scale, their deviation over repetitions
    the same with ``_std`` behind it: a threshold that was tuned on the masks makes an oracle of a metric whatever the
    paper calls it. A method that is not ours has a name that none of ours has.
    """
    own = raw is None if category in EXAMPLES else layout in CALLED
    name = CALLED[str(layout)](category) if own and category not in EXAMPLES else category
    table = published() if own else published().head(0)
    rows = table[table["category"] == name].reset_index(drop=True)
    metrics = [name for name in rows.columns.difference(NAMES, sort=False) if rows[name].notna().any()]
    return rows[["method", "source", *metrics]]


def published_notes(rows: pd.DataFrame) -> list[str]:
    """Return what a reader must know of published ``rows``, a sentence a paper."""
    papers = [each for each in PAPERS.values() if rows["source"].str.startswith(f"{each.title},").any()]
    return [each.note for each in papers if each.note]


@cache
def published() -> pd.DataFrame:
    """Return all published figures: category, method, source, then metrics, NaN where a paper prints none."""
    with files("flawline.methods").joinpath("published.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=dict.fromkeys(NAMES, str))
    table["source"] = table.pop("paper") + ", " + table["source"]
    metrics = [name for name in table if name not in NAMES]
    return table[["category", "method", "source", *metrics]]
