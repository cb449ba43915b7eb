"""The figures that the papers print, under the names that ours have: published.csv beside this file."""

from functools import cache
from importlib.resources import files

import pandas as pd

from flawline.intake.examples import EXAMPLES
from flawline.methods.registry import PAPERS, SAEEDI

NAMES = ["paper", "source", "category", "method"]
MVTEC = "mvtec"  # the layout of the folders that the other published images lie in
MEANS = {  # source -> what its own means are of
    f"{SAEEDI}, Table 4": "The printed column Mean is over all eight categories for the proposed method (cpcae), but "
    "over the first six alone for every other; here every mean is over all eight."
}


def published_for(category: str, *, raw: str | None = None, layout: str | None = None) -> pd.DataFrame:
    """Return what was published on ``category``: method, source, then the metrics that some row has; maybe no row.

    A user's own folder ``raw`` that only has an embedded example's name has nothing to do with what was published; nor
    has a folder that is called like a category of MVTec AD but not laid out (``layout``) as that is. ``source`` names
    paper and table. Metrics have the names of `flawline.metrics` and its scale: a threshold that was tuned on the masks
    makes an oracle of a metric whatever the paper calls it. A method that is not ours has a name that none of ours has.
    """
    known = raw is None if category in EXAMPLES else layout == MVTEC
    table = published() if known else published().head(0)
    rows = table[table["category"] == category].reset_index(drop=True)
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
