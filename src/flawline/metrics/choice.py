"""The choice of a method: which one to recommend, and what that choice costs on a category that it was not made on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from flawline.checks import FlawlineError

LEAST_CATEGORIES, LEAST_METHODS = 3, 2


def recommended(results: pd.DataFrame, candidates: Sequence[str], metric: str = "image_auroc") -> str:
    """Return the candidate with the highest mean over categories of its mean over seeds; ties go to the earlier one.

    Columns are category, method and ``metric``, of which a higher value is better. A candidate without a value on
    every category is excluded. Raises FlawlineError where none has values on all."""
    return _chosen(_figures(results, candidates, metric), metric)


def leave_one_out(results: pd.DataFrame, candidates: Sequence[str], metric: str = "image_auroc") -> pd.DataFrame:
    """Return a row for each category: category, the method that `recommended` chooses on all the other categories, its
    figure, best_method and best (the best candidate here and its figure), and regret (how much higher the best is).

    Raises FlawlineError for a single category, or where no candidate has figures on all the others."""
    figures = _figures(results, candidates, metric)  # (categories, candidates)
    if len(figures) < 2:
        raise FlawlineError(f"a choice is tried on a category it was not made on: wanted 2 or more, got {len(figures)}")
    rows = []
    for category, here in figures.iterrows():
        method = _chosen(figures.drop(index=category), metric)
        best = here.idxmax() if here.notna().any() else ""
        figure, highest = here[method], here.max()
        rows.append((category, method, figure, best, highest, highest - figure))
    return pd.DataFrame(rows, columns=["category", "method", "figure", "best_method", "best", "regret"])


def recommend(
    results: pd.DataFrame, candidates: Sequence[str] = (), metric: str = "image_auroc"
) -> tuple[str, pd.DataFrame] | None:
    """Return the `recommended` method and its `leave_one_out` evaluation.

    Categories without any value of ``metric`` are dropped, then methods without a value on every category that is
    left; None if fewer than LEAST_CATEGORIES or LEAST_METHODS remain. An empty ``candidates`` means all methods."""
    figures = _figures(results, list(candidates) or list(dict.fromkeys(results["method"])), metric)
    figures = figures.dropna(how="all").dropna(axis="columns")
    if len(figures) < LEAST_CATEGORIES or len(figures.columns) < LEAST_METHODS:
        return None
    measured, complete = results[results["category"].isin(figures.index)], list(figures.columns)
    return recommended(measured, complete, metric), leave_one_out(measured, complete, metric)


def placings(results: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return how often each method is first, second and so on by its means over seeds: a row a method, a column a place
    from 1, counted over every category and each of ``metrics``, of which a higher value is better.

    Equal figures share the better place; a method without a figure has no place there. Source: Rádli & Czúni 2022,
    Table 9."""
    methods = list(dict.fromkeys(results["method"]))
    figures = [_figures(results, methods, metric) for metric in metrics]  # (categories, methods) each
    places = pd.concat(figures).rank(axis="columns", ascending=False, method="min")
    return pd.DataFrame({place: (places == place).sum() for place in range(1, len(methods) + 1)}, index=methods)


def _figures(results: pd.DataFrame, candidates: Sequence[str], metric: str) -> pd.DataFrame:
    """Return the means over seeds, a row a category in the order they came, a column a candidate."""
    values = pd.to_numeric(results[metric]) if metric in results else pd.Series(np.nan, index=results.index)
    means = values.groupby([results["category"], results["method"]]).mean().unstack("method")
    return means.reindex(index=list(dict.fromkeys(results["category"])), columns=list(candidates))


def _chosen(figures: pd.DataFrame, metric: str) -> str:
    """Return the column with the highest mean among those with a figure in every row."""
    means = figures.mean(skipna=False)
    if not len(figures) or means.isna().all():
        raise FlawlineError(
            f"no method has {metric} on every category: {', '.join(figures.columns)} on {', '.join(figures.index)}"
        )
    return str(means.round(9).idxmax())
