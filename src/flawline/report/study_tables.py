"""The tables of a study: the methods' means over seeds, category by category, beside what was published."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from flawline.metrics.choice import placings
from flawline.metrics.intervals import HIGH, LOW
from flawline.report import tables, words
from flawline.report.contents import PublishedTable, StudyPage
from flawline.report.tables import Cell, MetricGroup
from flawline.report.words import Metric, metric_named

RATIO = Metric(
    "time_ratio",
    "Time ratio",
    "training time over that of the first method: ours over ours, a publication's over its own",
    words.TRAINING,
    better=0,
)
CALIBRATED = "Over all thresholds, then at the calibrated one"
TABLES = {
    CALIBRATED: (
        "image_auroc",
        "image_auroc_from_2",
        "image_auroc_from_10",
        "image_ap",
        "pixel_auroc",
        "pixel_ap",
        "aupro",
        "pixel_iou_auc",
        "A",
        "iou",
        "raw_A",
        "raw_iou",
    ),
    words.OUTLIERS: (
        "pseudo_auroc",
        "pseudo_detection_rate",
        "outlier_f1",
        "outlier_accuracy",
        "outlier_escape_rate",
        "outlier_overkill_rate",
    ),
    words.ORACLE: ("oracle_A", "oracle_iou", "raw_oracle_A", "raw_oracle_iou"),
    words.TRAINING: ("train_seconds", RATIO.name, "reconstruction_mse", "reconstruction_ssim", "dead_latents"),
}
ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}
PRINTED = ("image_auroc", "image_ap")  # metrics of a published table


@dataclass(frozen=True)
class Spread:
    """The mean of some seeds; the sample standard deviation is not-a-number of fewer than two."""

    mean: float
    deviation: float
    count: int


def spread(values: Iterable[Any]) -> Spread:
    """Return mean and sample standard deviation of the finite ``values``."""
    numbers = np.array([value for value in values if not words.missing(value)], dtype=float)
    finite = numbers[np.isfinite(numbers)]
    mean = float(finite.mean()) if len(finite) else float("nan")
    return Spread(mean, float(finite.std(ddof=1)) if len(finite) > 1 else float("nan"), len(finite))


def spread_text(metric: Metric, found: Spread, *, seeds: int) -> str:
    """Return ``0.900 ± 0.012``, the mean alone of one seed; of how many where not all ``seeds`` have the metric."""
    if found.count < 2:
        text = tables.shown(metric, found.mean)
    else:
        places = (0 if found.mean >= 100 else 1) if metric.seconds else 3
        text = f"{found.mean:.{places}f} \N{PLUS-MINUS SIGN}\N{NO-BREAK SPACE}{found.deviation:.{places}f}"
    return f"{text} ({found.count} of {seeds})" if 0 < found.count < seeds else text


def study_groups(results: pd.DataFrame, published: pd.DataFrame) -> list[MetricGroup]:
    """Return the tables of one category: a row a method over its seeds, then a row a publication that has a figure."""
    methods = [(str(name), rows) for name, rows in results.groupby("method", sort=False)]
    records = _with_ratios(published)
    made = [_group(title, _columns(names, results, records), methods, records) for title, names in TABLES.items()]
    return [group for group in made if group.columns]


def used_columns(page: StudyPage) -> list[Metric]:
    """Return the columns of all categories' tables, each once."""
    published = _with_ratios(page.published)
    return [column for names in TABLES.values() for column in _columns(names, page.results, published)]


def _columns(names: Sequence[str], results: pd.DataFrame, published: pd.DataFrame) -> list[Metric]:
    """Return the columns that have a figure, ours or a published one."""

    def has(name: str, table: pd.DataFrame) -> bool:
        return name in table and bool(table[name].notna().any())

    ours = {name: "train_seconds" if name == RATIO.name else name for name in names}
    return [_column(name) for name in names if has(ours[name], results) or has(name, published)]


def _column(name: str) -> Metric:
    """Return the column of a metric."""
    return RATIO if name == RATIO.name else metric_named(name)


def _group(
    title: str, columns: Sequence[Metric], methods: Sequence[tuple[str, pd.DataFrame]], published: pd.DataFrame
) -> MetricGroup:
    """Fill one table; the best mean of a column is marked."""
    first = spread_of(methods[0][1], "train_seconds").mean if methods else float("nan")
    means = np.array([[spread_of(rows, c.name).mean for c in columns] for _, rows in methods], float)
    means = means.reshape(len(methods), len(columns))
    best = [tables.best_value(means[:, i], column.better) for i, column in enumerate(columns)]
    rows = [
        (name, [Cell(_text(c, rows, first), m == b) for c, m, b in zip(columns, row, best, strict=True)])
        for (name, rows), row in zip(methods, means, strict=True)
        if title == CALIBRATED or np.isfinite(row).any()  # without a map or a training nothing is to be told
    ]
    printed = [
        (name, [Cell(_published_text(c, record)) for c in columns])
        for name, record in tables.published_names(published)
        if any(not words.missing(record.get(c.name)) for c in columns)
    ]
    return MetricGroup(title, columns, rows, printed)


def places_group(results: pd.DataFrame, metrics: Sequence[str]) -> MetricGroup | None:
    """Return how often each method is in which place by ``metrics``, over all categories; None of one method, or where
    none of them was measured."""
    known = [name for name in metrics if name in results and results[name].notna().any()]
    if not known or results["method"].nunique() < 2:
        return None
    table = placings(results, known)
    columns = [Metric(str(place), ORDINALS.get(place, f"{place}th"), "", CALIBRATED) for place in table.columns]
    rows = [
        (str(name), [Cell(str(count)) for count in row])
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    labels = ", ".join(metric_named(name).label for name in known)
    return MetricGroup(f"How often in which place: {labels}, in every category", columns, rows, [])


def spread_of(rows: pd.DataFrame, name: str) -> Spread:
    """Return the spread of a metric over the rows of one method; of nothing where there is no such column."""
    return spread(rows.get(name, []))


def _text(column: Metric, rows: pd.DataFrame, first: float) -> str:
    """Return one cell of a method, of a rate with the means of its interval's ends over the seeds. ``first`` is the
    mean training time of the first method."""
    if column is RATIO:
        return _ratio_text(_ratio(spread_of(rows, "train_seconds").mean, first))
    text = spread_text(column, spread_of(rows, column.name), seeds=len(rows))
    ends = {f"{column.name}{end}": spread_of(rows, f"{column.name}{end}").mean for end in (LOW, HIGH)}
    return tables.with_interval(text, column.name, ends)


def _published_text(column: Metric, record: Mapping[str, Any]) -> str:
    """Return one cell of a publication."""
    value = record.get(column.name, float("nan"))
    return _ratio_text(value) if column is RATIO else tables.published_text(column, record)


def _ratio(seconds: float, first: float) -> float:
    """Return ``seconds`` over ``first``, not-a-number where that is no time."""
    return seconds / first if first > 0 else float("nan")


def _ratio_text(ratio: float) -> str:
    """Return a ratio with two decimals, a dash for none."""
    return f"{ratio:.2f}" if np.isfinite(ratio) else words.DASH


def _with_ratios(published: pd.DataFrame) -> pd.DataFrame:
    """Add the training time over that of the same source's first row."""
    if "train_seconds" not in published or published.empty:
        return published
    sources = published["source"].fillna("") if "source" in published else pd.Series("", index=published.index)
    seconds = published["train_seconds"].astype(float)
    firsts = seconds.groupby(sources).transform(lambda times: times.iloc[0])
    return published.assign(**{RATIO.name: [_ratio(t, first) for t, first in zip(seconds, firsts, strict=True)]})


def published_table(table: PublishedTable, results: pd.DataFrame) -> dict[str, Any]:
    """Return the tables of a publication, one a metric, with our methods' means where the study has the images."""
    categories = list(dict.fromkeys(table.rows["category"]))
    ours = results[results["category"].isin(set(table.measured) & set(categories))]
    groups = [
        _across(metric_named(name), categories, ours, table.rows)
        for name in PRINTED
        if name in table.rows and table.rows[name].notna().any()
    ]
    return {"source": table.source, "note": table.note, "groups": groups}


def _across(metric: Metric, categories: Sequence[str], ours: pd.DataFrame, published: pd.DataFrame) -> MetricGroup:
    """Return one metric, a column a category and one of the mean over all, for a method that has all of them."""
    columns = [Metric(name, name, "", metric.group, metric.better) for name in (*categories, "mean")]
    tabled = [_means_across(metric.name, categories, rows).dropna(how="all") for rows in (ours, published)]
    measured, printed = (table.assign(mean=table.mean(axis=1, skipna=False)) for table in tabled)
    best = [tables.best_value(measured[column.name].to_numpy(float), column.better) for column in columns]
    return MetricGroup(
        metric.label,
        columns,
        [
            (str(name), [Cell(_filled(v), v == b) for v, b in zip(row, best, strict=True)])
            for name, row in zip(measured.index, measured.to_numpy(float), strict=True)
        ],
        [
            (str(name), [Cell(_filled(v)) for v in row])
            for name, row in zip(printed.index, printed.to_numpy(float), strict=True)
        ],
    )


def _means_across(name: str, categories: Sequence[str], rows: pd.DataFrame) -> pd.DataFrame:
    """Return the means of a metric, a row a method, a column a category, all in the order they came."""
    values = pd.to_numeric(rows[name]) if name in rows else pd.Series(np.nan, index=rows.index)
    means = values.groupby([rows["method"], rows["category"]]).mean().unstack("category")
    return means.reindex(index=list(dict.fromkeys(rows["method"])), columns=list(categories)).astype(float)


def _filled(value: float) -> str:
    """Return a figure as printed; nothing where the data is not here."""
    return tables.decimals(value) if np.isfinite(value) else ""
