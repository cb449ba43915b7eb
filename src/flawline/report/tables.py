"""Frames and dictionaries turned into what the templates print: counts, rows, groups. No HTML here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from flawline.metrics.conformal import percent
from flawline.metrics.intervals import HIGH, LOW
from flawline.report.contents import AlignmentShown, Detectability, MethodResult
from flawline.report.words import (
    DASH,
    GROUPS,
    TRAINING,
    VERDICTS,
    Metric,
    is_interval_end,
    metric_named,
    metric_order,
    missing,
    mistake,
    number,
    rate_of,
    rounded_share,
    seconds,
    unbroken,
)

SHOWN_FILES = 20
SHOWN_VERDICTS = 100  # in a table of images
SHOWN_REASONS = 5


@dataclass(frozen=True)
class Truth:
    """How the images of one known or unknown truth were judged."""

    name: str
    images: int
    counts: Mapping[str, int]  # verdict -> images


@dataclass(frozen=True)
class VerdictCounts:
    """One method's verdicts; ``overkill`` and ``escapes`` are None where no image of that label is known."""

    method: str
    images: int
    counts: Mapping[str, int]
    truths: Sequence[Truth]
    overkill: int | None
    escapes: int | None
    good: int
    defective: int


def verdict_counts(
    method: str, verdicts: pd.DataFrame | None, scores: pd.DataFrame | None = None
) -> VerdictCounts | None:
    """Count the verdicts, a row an image; labels are a column, else found in ``scores``. None without a row."""
    if verdicts is None or verdicts.empty:
        return None
    labels = _labels(verdicts, scores)
    rows = list(zip(verdicts["verdict"].astype(str), labels, strict=True))
    named = (("good", 0), ("defective", 1), ("of unknown truth", None))
    truths = [_truth(name, [v for v, got in rows if got == label]) for name, label in named]
    good, defective, _ = (truth.images for truth in truths)
    mistakes = [mistake(label, verdict) for verdict, label in rows]
    return VerdictCounts(
        method,
        len(rows),
        _counts(verdict for verdict, _ in rows),
        [truth for truth in truths if truth.images],
        mistakes.count("overkill") if good else None,
        mistakes.count("escape") if defective else None,
        good,
        defective,
    )


def _labels(verdicts: pd.DataFrame, scores: pd.DataFrame | None) -> list[int | None]:
    """Return the label of each verdict's image: 0, 1 or None."""
    if "label" in verdicts:
        labels = verdicts["label"]
    elif scores is not None and {"image", "label"} <= set(scores.columns):
        labels = verdicts["image"].map(scores.drop_duplicates("image").set_index("image")["label"])
    else:
        return [None] * len(verdicts)
    return [None if pd.isna(label) else int(label) for label in labels]


def _truth(name: str, verdicts: list[str]) -> Truth:
    """Count the verdicts of the images of one truth."""
    return Truth(name, len(verdicts), _counts(verdicts))


def _counts(verdicts: Iterable[str]) -> dict[str, int]:
    """Count each known verdict, zero where there is none; an unknown word counts as not judged, never as a pass."""
    got = [verdict if verdict in VERDICTS else "not_judged" for verdict in verdicts]
    return {verdict: got.count(verdict) for verdict in VERDICTS}


DEVIATION = "_std"  # ends the column with the deviation of a published metric


@dataclass(frozen=True)
class Cell:
    """A number as printed; the best of its column is marked where several methods compete."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class MetricGroup:
    """A table of metrics: one row a method, then the published rows."""

    title: str
    columns: Sequence[Metric]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    published: Sequence[tuple[str, Sequence[Cell]]]


def metric_groups(methods: Sequence[MethodResult], published: pd.DataFrame | None = None) -> list[MetricGroup]:
    """Return the tables of metrics, the oracle ones last; columns of ``published`` stand under the same names."""
    names = {name for method in methods for name in (*method.metrics, *method.absent)}
    if published is not None:
        names |= {str(c) for c in printed_metrics(published) if published[c].notna().any()}
    columns = [metric_named(name) for name in sorted(names, key=metric_order) if not is_interval_end(name, names)]
    grouped = {title: [column for column in columns if column.group == title] for title in GROUPS}
    return [_metric_group(title, inside, methods, published) for title, inside in grouped.items() if inside]


def _metric_group(
    title: str, columns: Sequence[Metric], methods: Sequence[MethodResult], published: pd.DataFrame | None
) -> MetricGroup:
    """Fill one table."""
    values = np.array([[m.metrics.get(c.name, np.nan) for c in columns] for m in methods], float).reshape(
        -1, len(columns)
    )
    best = [best_value(values[:, i], column.better) for i, column in enumerate(columns)]
    rows = [
        (
            method.method,
            [
                Cell(with_interval(shown(c, v), c.name, method.metrics), v == b)
                for c, v, b in zip(columns, row, best, strict=True)
            ],
        )
        for method, row in zip(methods, values, strict=True)
        if title != TRAINING or np.isfinite(row).any()  # most methods train nothing
    ]
    return MetricGroup(title, columns, rows, _published_rows(columns, published))


def _published_rows(columns: Sequence[Metric], published: pd.DataFrame | None) -> list[tuple[str, list[Cell]]]:
    """Return the published rows that have a number in one of the columns, named after method and source."""
    rows = []
    for name, record in published_names(published):
        values = [record.get(column.name, np.nan) for column in columns]
        if any(pd.notna(v) for v in values):
            rows.append((name, [Cell(published_text(c, record)) for c in columns]))
    return rows


def printed_metrics(published: pd.DataFrame) -> list[str]:
    """Return the columns of published rows that are metrics, without their deviations."""
    return [str(c) for c in published.columns if c not in ("method", "source") and not str(c).endswith(DEVIATION)]


def published_text(metric: Metric, record: Mapping[str, Any]) -> str:
    """Return a published figure, with its deviation over repetitions where that is printed too."""
    text, deviation = shown(metric, record.get(metric.name, np.nan)), record.get(f"{metric.name}{DEVIATION}", np.nan)
    return text if pd.isna(deviation) else f"{text} ± {shown(metric, deviation)}"


def published_names(published: pd.DataFrame | None) -> list[tuple[str, dict[str, Any]]]:
    """Return the published rows, each under the name of its method and source."""
    named = []
    for row in [] if published is None else published.to_dict("records"):
        source = row.get("source")
        name = f"{row['method']}, {source}" if isinstance(source, str) and source else str(row["method"])
        named.append((name, {str(column): value for column, value in row.items()}))
    return named


def best_value(values: np.ndarray, better: int) -> float:
    """Return the best of a column; not-a-number where none stands out or no direction is known."""
    finite = values[np.isfinite(values)]
    if not better or len(np.unique(finite)) < 2:
        return float("nan")
    return float(finite.max() if better > 0 else finite.min())


def shown(metric: Metric, value: Any) -> str:
    """Return a metric as the page prints it: a count as a whole number, a time in seconds, else three decimals."""
    if metric.seconds:
        return seconds(value)
    return number(value) if metric.whole else decimals(value)


def with_interval(text: str, name: str, metrics: Mapping[str, Any]) -> str:
    """Return a metric's ``text`` with its interval behind it, where ``metrics`` hold the ends of one."""
    low, high = (metrics.get(f"{name}{end}", np.nan) for end in (LOW, HIGH))
    return text if missing(low) or missing(high) else f"{text} ({decimals(low)} to {decimals(high)})"


def decimals(value: Any) -> str:
    """Return a metric with three decimals, a dash where it is missing."""
    return DASH if missing(value) or not np.isfinite(value) else f"{value:.3f}"


def absences(methods: Sequence[MethodResult]) -> list[tuple[str, str, str]]:
    """Return (metrics, reason, methods) of what is absent, a row a reason; methods is empty where all lack it."""
    reasons: dict[str, tuple[list[str], list[str]]] = {}
    for method in methods:
        for name in sorted(method.absent, key=metric_order):
            names, who = reasons.setdefault(method.absent[name], ([], []))
            names.extend([label for label in [metric_named(name).label] if label not in names])
            who.extend([m for m in [method.method] if m not in who])
    return [
        (", ".join(names), reason, "" if len(who) == len(methods) else ", ".join(who))
        for reason, (names, who) in reasons.items()
    ]


def curves_of(methods: Sequence[MethodResult], key: str) -> dict[str, pd.DataFrame]:
    """Return the curve ``key`` of every method that has it with at least one point."""
    return {m.method: m.curves[key] for m in methods if key in m.curves and len(m.curves[key])}


def split_counts(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the counts with the split as a column and, where there are several splits, a row of totals."""
    table = counts if "split" in counts else counts.rename_axis("split").reset_index()
    if len(table) < 2:
        return table
    totals = {"split": "all", **table.drop(columns="split").sum(numeric_only=True).to_dict()}
    return pd.concat([table, pd.DataFrame([totals])], ignore_index=True)


def reasons(quarantine: pd.DataFrame) -> str:
    """Return each reason with its number of files, the commonest first, the rare ones summed up."""
    if quarantine.empty:
        return ""
    counted = quarantine["reason"].astype(str).value_counts()
    parts = [f"{reason} ({files})" for reason, files in counted.head(SHOWN_REASONS).items()]
    rest = int(counted.iloc[SHOWN_REASONS:].sum())
    return "; ".join([*parts, f"other reasons ({rest})"] if rest else parts)


def quarantine_rows(quarantine: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the first files that could not be used, as rows of file and reason."""
    return quarantine.head(SHOWN_FILES).rename(columns={"path": "file"}).to_dict("records")


def alignment_tables(found: AlignmentShown | None) -> dict[str, list[dict[str, Any]]]:
    """Return the first rows of the photographs that could not be aligned, of those that have no orientation, and of
    those whose part is cut off, most first."""
    if found is None:
        return {}
    cut = found.cut.sort_values("outside", ascending=False, kind="stable").rename(columns={"outside": "pixels outside"})
    each = {"misaligned": found.misaligned, "as_they_are": found.as_they_are, "cut": cut}
    return {name: table.head(SHOWN_FILES).to_dict("records") for name, table in each.items()} | {
        "choice": [_alignment_tried(row) for row in found.choice.to_dict("records")]
    }


def _alignment_tried(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the choice of an alignment as it is shown."""
    plain = [
        decimals(row["auroc"]),
        behind_best(row),
        *(decimals(row[f"{name}_auroc"]) for name in ("pseudo", "misplaced")),
    ]
    spreads = [f"{row[name]:.1f}" if np.isfinite(row[name]) else DASH for name in ("angle_spread", "shift_spread")]
    share = f"{row['aligned_share']:.0%}" if np.isfinite(row["aligned_share"]) else DASH
    return {
        "align": row["align"],
        "chosen": row["chosen"],
        "figures": [*plain, share, *spreads],
        "reason": row["reason"],
    }


def choice_rows(choice: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the candidates of a choice as they are shown, the best first; none of a method that was not chosen."""
    if choice is None:
        return []
    ordered = choice.sort_values(["chosen", "auroc"], ascending=False, kind="stable")
    return [_candidate_tried(row) for row in ordered.to_dict("records")]


def kinds_found(found: pd.DataFrame | None) -> dict[str, Any]:
    """Return how many pseudo-defects of each kind were found, a column a strength, the strongest first, those that are
    found least first; nothing of a method that was not chosen."""
    if found is None or found.empty:
        return {}
    shares = found.pivot(index="kind", columns="strength", values="found").sort_index(axis=1, ascending=False)
    ordered = shares.loc[shares.mean(axis=1).sort_values(kind="stable").index]
    rows = [(kind, [DASH if missing(share) else f"{share:.0%}" for share in row]) for kind, row in
            zip(ordered.index, ordered.to_numpy(), strict=True)]  # fmt: skip
    return {"strengths": [f"{strength:g}" for strength in ordered.columns], "rows": rows}


def finds_rows(found: Detectability | None) -> list[dict[str, Any]]:
    """Return the sizes that are found, a row for each kind and contrast, as they are shown."""
    if found is None:
        return []
    return [
        {
            "kind": row["kind"],
            "contrast": f"{row['contrast']:.2g}",
            "hits": f"{row['hits']} of {row['defects']}",
            "sizes": [size_found(row, name, found.mm_per_pixel) for name in ("a50", "a90", "a90_95")],
            "note": "" if missing(row["note"]) else row["note"],
        }
        for row in found.table.to_dict("records")
    ]


def size_found(row: Mapping[str, Any], name: str, mm_per_pixel: float | None) -> str:
    """Return a size of a row as it is shown: where it lies below or beyond what was tried, that; a dash for none."""
    if missing(row[name]):
        return DASH
    if row[name] == 0:
        return f"below {length(row['smallest'], mm_per_pixel)}"
    if np.isinf(row[name]):
        return f"beyond {length(row['largest'], mm_per_pixel)}"
    return length(row[name], mm_per_pixel)


def length(pixels: float, mm_per_pixel: float | None) -> str:
    """Return a length as it is shown: two digits of millimetres where the scale is known, else whole pixels."""
    return f"{pixels:.0f}" if mm_per_pixel is None else f"{pixels * mm_per_pixel:.2g}"


def rates_rows(found: Detectability | None) -> list[dict[str, str]]:
    """Return how many real defects were found, a row a range of sizes, as they are shown."""
    if found is None:
        return []
    scale = found.mm_per_pixel
    return [
        {
            "size": f"{length(row['smallest'], scale)} to {length(row['largest'], scale)}",
            "hits": f"{row['hits']:.0f} of {row['defects']:.0f}",
            "share": f"{row['share']:.0%}",
            "interval": f"{row['low']:.0%} to {row['high']:.0%}",
            "predicted": DASH
            if missing(row["predicted_low"])
            else f"{row['predicted_low']:.0%} to {row['predicted_high']:.0%}",
        }
        for row in found.rates.to_dict("records")
    ]


def _candidate_tried(row: Mapping[str, Any]) -> dict[str, Any]:
    tried = not missing(row["auroc"])
    shares = [f"{row[name]:.0%}" if tried else DASH for name in ("detected", "stable")]
    figures = [decimals(row["auroc"]), behind_best(row), *shares, f"{row['seconds']:.0f}"]
    return {name: row[name] for name in ("candidate", "image_score", "chosen", "reason")} | {"figures": figures}


def behind_best(row: Mapping[str, Any]) -> str:
    """Return how far what was tried is behind the best, with its standard error; a dash where it could not be tried."""
    return DASH if missing(row["auroc"]) else f"{row['behind']:.3f} ± {row['error']:.3f}"


def operating_rows(points: pd.DataFrame | None) -> dict[str, Any]:
    """Return the operating points as they are shown: headings, and rows of a name and texts; nothing where there are
    none. What has no figure has no column, and what is known of all parts stands for what is known of good ones."""
    if points is None or points.empty:
        return {}
    known = {name for name in points.columns if points[name].notna().any()}
    known -= {"promised_flagged"} if "expected_review" in known else set()
    columns = [(name, *OPERATING[name]) for name in OPERATING if name in known]
    counts = {of: number(points[of].max()) for of in ("good", "defective")}
    rows = [(row["operating_point"], [tell(row) for _, _, tell in columns]) for row in points.to_dict("records")]
    return {
        "headings": [heading.format(**counts) for _, heading, _ in columns],
        "rows": rows,
        "by_cost": "expected_cost" in known,
    }


def _told(name: str, tell: Callable[[Any], str]) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: DASH if missing(row.get(name)) else tell(row[name])


def _rate_told(count: str, of: str) -> Callable[[Mapping[str, Any]], str]:
    """Return what tells a count of test images as a share with its interval, which a line does not break."""
    return lambda row: DASH if missing(row[count]) else unbroken(rate_of(int(row[count]), int(row[of]), of_all=False))


OPERATING: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {  # column of the table: heading, text of a row
    "reject_threshold": ("reject above", _told("reject_threshold", "{:.3g}".format)),
    "review_threshold": ("review above", _told("review_threshold", "{:.3g}".format)),
    "promised_overkill": ("overkill promised", _told("promised_overkill", percent)),
    "overkill_rate": ("overkill, of {good} good", _rate_told("overkill", "good")),
    "promised_flagged": ("good not passed, promised", _told("promised_flagged", percent)),
    "expected_escape_rate": ("escapes, of pseudo-defects", _told("expected_escape_rate", rounded_share)),
    "escape_rate": ("escapes, of {defective} defective", _rate_told("escapes", "defective")),
    "expected_review": ("to review, expected", _told("expected_review", rounded_share)),
    "expected_cost": ("cost expected", _told("expected_cost", "{:.3g}".format)),
    "tested_cost": ("cost counted", _told("tested_cost", "{:.3g}".format)),
}


def setting_groups(settings: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Group flat settings by the word before the first dot, in the order they came."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, value in settings.items():
        head, dot, rest = name.partition(".")
        groups.setdefault(head if dot else "", []).append((rest if dot else head, _setting(value)))
    return list(groups.items())


def _setting(value: Any) -> str:
    """Return a setting as a person would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value)) or "none"
    return str(value)


def by_urgency(verdicts: pd.DataFrame) -> tuple[list[int], list[int], list[int]]:
    """Return the places of the images that a person must look at, of those that were not judged, and of the passed.

    Rejected images come before those to review, and the highest score comes first. A word that is no known verdict
    counts as not judged."""
    verdict, score = verdicts["verdict"].reset_index(drop=True), verdicts["score"].reset_index(drop=True)
    falling = score.sort_values(ascending=False, kind="stable").index
    reject, review, passed = ([int(i) for i in falling if verdict[i] == name] for name in ("reject", "review", "pass"))
    known = {*reject, *review, *passed}
    return [*reject, *review], [i for i in range(len(verdict)) if i not in known], passed
