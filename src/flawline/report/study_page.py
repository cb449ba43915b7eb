"""The page of a study: the methods' means over seeds, category by category, beside what was published."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.figures import heat, patch_loss_figure, to_rgb8, white_level
from flawline.metrics.choice import tried
from flawline.report import tables, words
from flawline.report.contents import CategoryShown, PublishedTable, StudyPage, Suitability
from flawline.report.html import chart, fill
from flawline.report.pictures import (
    STRIP,
    Picture,
    black_and_white,
    page_size,
    picture,
    sample_columns,
    shrink_image,
    shrink_peaks,
)
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
    CALIBRATED: ("image_auroc", "image_ap", "pixel_auroc", "aupro", "A", "iou", "raw_A", "raw_iou"),
    words.ORACLE: ("oracle_A", "oracle_iou", "raw_oracle_A", "raw_oracle_iou"),
    words.TRAINING: ("train_seconds", RATIO.name, "dead_latents"),
}
PRINTED = ("image_auroc", "image_ap")  # metrics of a published table
CHOSEN = "image_auroc"  # what methods are chosen by
SHARES = (0.75, 0.5, 0.375, 0.25, 0.18)  # of the size of a strip's picture
LONGEST = 1_300_000  # characters of all photographs and maps: beyond it they shrink, or the page grows past 3 MB
CHART = (3.7, 2.8)  # inches: three in a row
PATCH = 64  # pixels of a patch's longest side
MANY = 9  # beyond so many methods in all categories one patch is shown instead of two

Stacks = list[tuple[str, list[Picture]]]  # a name and the pictures that belong to it


@dataclass(frozen=True)
class Spread:
    """The mean of some seeds; the sample standard deviation is not-a-number of fewer than two."""

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True)
class Suits:
    """Whether a category suits a method, beside what the method detected."""

    category: str
    method: str
    found: Suitability | None
    image_auroc: str


def render_study(page: StudyPage) -> str:
    """Return the report of a study as one HTML document."""
    shown = {one.category: one for one in page.shown}
    categories = list(dict.fromkeys([*page.results["category"], *shown]))
    stacks = _fitting_stacks(page.shown)
    patches = 1 if sum(len(one.sample_reconstructions) for one in page.shown) > MANY else 2
    return fill(
        "study.html",
        page=page,
        columns=_used_columns(page),
        suits=_suits(page, categories),
        choice=_choice(page),
        tables=[_published_table(table, page.results) for table in page.tables],
        sections=[
            {
                "category": category,
                "stacks": stacks.get(category, []),
                **_tables(page, category),
                **_evidence(shown.get(category), patches),
            }
            for category in categories
        ],
    )


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


def _used_columns(page: StudyPage) -> list[Metric]:
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
    first = _spread_of(methods[0][1], "train_seconds").mean if methods else float("nan")
    means = np.array([[_spread_of(rows, c.name).mean for c in columns] for _, rows in methods], float)
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


def _spread_of(rows: pd.DataFrame, name: str) -> Spread:
    """Return the spread of a metric over the rows of one method; of nothing where there is no such column."""
    return spread(rows.get(name, []))


def _text(column: Metric, rows: pd.DataFrame, first: float) -> str:
    """Return one cell of a method; ``first`` is the mean training time of the first method."""
    if column is RATIO:
        return _ratio_text(_ratio(_spread_of(rows, "train_seconds").mean, first))
    return spread_text(column, _spread_of(rows, column.name), seeds=len(rows))


def _published_text(column: Metric, record: Mapping[str, Any]) -> str:
    """Return one cell of a publication."""
    value = record.get(column.name, float("nan"))
    return _ratio_text(value) if column is RATIO else tables.shown(column, value)


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


def _tables(page: StudyPage, category: str) -> dict[str, Any]:
    """Return the tables of a category and what its figures are means of."""
    results = page.results[page.results["category"] == category]
    known = page.published
    published = known[known["category"] == category] if "category" in known else known.head(0)
    return {"groups": study_groups(results, published) if len(results) else [], "seeds": _say_seeds(results)}


def _say_seeds(results: pd.DataFrame) -> str:
    """Say over how many seeds the figures of a category are means, by method where they differ."""
    seeds = results.groupby("method", sort=False)["seed"].nunique()
    if len(set(seeds)) > 1:
        counts = ", ".join(f"{method} {words.counted(count, 'seed', 'seeds')}" for method, count in seeds.items())
        return f"Mean \N{PLUS-MINUS SIGN} standard deviation over the seeds: {counts}."
    if not len(seeds):
        return "Not measured."
    return (
        f"Mean \N{PLUS-MINUS SIGN} standard deviation over {words.counted(seeds.iloc[0], 'seed', 'seeds')}."
        if seeds.iloc[0] > 1
        else "One seed: how much the figures vary from training to training is not known."
    )


def _suits(page: StudyPage, categories: Sequence[str]) -> list[Suits]:
    """Return a row a category and method that it was asked of whether it suits."""
    found = _said(page.results)
    found |= {(one.category, method): verdict for one in page.shown for method, verdict in one.suitability.items()}
    if not found:
        return []
    asked = {method for _, method in found}
    pairs = [*zip(page.results["category"], page.results["method"], strict=True), *found]
    ran = [pair for pair in dict.fromkeys(pairs) if pair[1] in asked]
    return [
        Suits(category, method, found.get((category, method)), _image_auroc(page.results, category, method))
        for wanted in categories
        for category, method in ran
        if category == wanted
    ]


def _said(results: pd.DataFrame) -> dict[tuple[str, str], Suitability]:
    """Return the first seed's verdicts without their reasons, where the columns before and suitability have them."""
    if not {"before", "suitability"} <= set(results.columns):
        return {}
    rows = results.dropna(subset=["before", "suitability"]).drop_duplicates(["category", "method"])
    return {
        (row["category"], row["method"]): Suitability(row["suitability"], "", row["before"], "")
        for row in rows.to_dict("records")
    }


def _image_auroc(results: pd.DataFrame, category: str, method: str) -> str:
    """Return the mean image AUROC as printed."""
    rows = results[(results["category"] == category) & (results["method"] == method)]
    return tables.decimals(_spread_of(rows, "image_auroc").mean)


def _choice(page: StudyPage) -> dict[str, Any] | None:
    """Return which method would be chosen, and what the choice is worth on a category that it was not made on."""
    found = tried(page.results, page.candidates, CHOSEN)
    if found is None:
        return None
    method, table = found
    text = {name: [tables.decimals(v) for v in table[name]] for name in ("figure", "best", "regret")}
    regret = tables.decimals(spread(table["regret"]).mean)
    return {"method": method, "rows": table.assign(**text).to_dict("records"), "regret": regret}


def _published_table(table: PublishedTable, results: pd.DataFrame) -> dict[str, Any]:
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


def _evidence(shown: CategoryShown | None, patches: int) -> dict[str, Any]:
    """Return the charts and sample reconstructions of a category; nothing where it is not shown."""
    if shown is None:
        return {"shown": None, "charts": [], "sample_reconstructions": []}
    height, width = shown.image.shape[1:]
    return {
        "shown": shown,
        "shape": "wide" if width > STRIP * height else "tall" if height > STRIP * width else "",
        "charts": [
            chart(method, patch_loss_figure(losses, size=CHART))
            for method, losses in shown.patch_losses.items()
            if len(losses)
        ],
        "sample_reconstructions": [
            (method, columns)
            for method, sample_reconstructions in shown.sample_reconstructions.items()
            if (columns := sample_columns(sample_reconstructions, patches=patches, longest=PATCH))
        ],
    }


def _fitting_stacks(shown: Sequence[CategoryShown]) -> dict[str, Stacks]:
    """Return every category's stacks, all at the largest of ``SHARES`` at which they have ``LONGEST`` characters."""
    made: dict[str, Stacks] = {}
    for share in SHARES:
        made = {one.category: _stacks(one, page_size(one.image.shape[1:], share=share)) for one in shown}
        if sum(len(one.uri) for stacks in made.values() for _, stack in stacks for one in stack) <= LONGEST:
            break
    return made


def _stacks(shown: CategoryShown, size: tuple[int, int]) -> Stacks:
    """Return (method, pictures) with pictures of ``size``; the first is the photograph with its mask, of no method."""
    small = shrink_image(shown.image, size, white_level(shown.image))
    photograph = [picture("photograph", to_rgb8(small))]
    if shown.mask is not None:
        photograph.append(black_and_white("marked by hand", shrink_peaks(shown.mask.astype(bool), size)))
    methods = dict.fromkeys([*shown.maps, *shown.flagged])
    return [("", photograph), *((method, _method_pictures(shown, method, size)) for method in methods)]


def _method_pictures(shown: CategoryShown, method: str, size: tuple[int, int]) -> list[Picture]:
    """Return the smoothed and the raw map of a method, from 0 to its own highest value, each with what it flags."""
    made = []
    kinds = ((shown.maps, shown.flagged, "anomaly map", ""), (shown.raw_maps, shown.raw_flagged, "raw map", "raw map "))
    for maps, beyond, caption, kind in kinds:
        if method in maps:
            one = shrink_peaks(maps[method].astype(np.float32), size)
            made.append(picture(caption, heat(one, top=_highest(one))))
        if method in beyond:
            marked = shrink_peaks(beyond[method].astype(bool), size)
            made.append(black_and_white(f"{kind}flagged, oracle threshold", marked))
    return made


def _highest(anomaly_map: NDArray) -> float:
    """Return the highest finite value of a map, 1 where none is above 0."""
    highest = float(anomaly_map[np.isfinite(anomaly_map)].max(initial=0))
    return highest if highest > 0 else 1.0
