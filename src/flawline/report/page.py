"""Pages of HTML: everything in one file, nothing fetched, no script."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from flawline.figures import (
    histogram_figure,
    history_figure,
    patch_loss_figure,
    pr_figure,
    pro_figure,
    projection_figure,
    roc_figure,
    svg,
)
from flawline.report import tables, words
from flawline.report.contents import DataPage, InspectionPage, MethodResult, Page, StudyPage
from flawline.report.pictures import sample_columns, strips

SHOWN_EXAMPLES = 8  # of a method's worst, and as many of its best
MOST_EXAMPLES = 72  # of all methods: beyond it each shows fewer, or the page grows past 5 MB and nobody reads it
FEWEST_EXAMPLES = 2
MOST_INSPECTED = 40  # pictures of an inspection
_CURVES: tuple[tuple[str, str, Callable[..., Figure]], ...] = (  # key, title, how to draw it
    ("roc", "ROC, by image", roc_figure),
    ("pr", "Precision and recall, by image", pr_figure),
    ("pixel_roc", "ROC, by pixel", roc_figure),
    ("pixel_pr", "Precision and recall, by pixel", pr_figure),
    ("pro", "Per-region overlap", pro_figure),
)


def render_page(page: Page) -> str:
    """Return the report of a run as one HTML document."""
    each = shown_each(len(page.methods))
    shown = sum(min(len(e), each) for m in page.methods for e in (m.worst, m.best))
    return fill(
        "page.html",
        page=page,
        verdicts=[c for m in page.methods if (c := tables.count_verdicts(m.method, m.verdicts, m.scores))],
        groups=tables.metric_groups(page.methods, page.published),
        absences=tables.absences(page.methods),
        charts=_curve_charts(page.methods),
        sections=[_method_section(method, each, shown) for method in page.methods],
        counts=tables.split_counts(page.counts).to_dict("split"),
        reasons=tables.reasons(page.quarantine),
        quarantine=tables.quarantine_rows(page.quarantine),
        quarantined=len(page.quarantine),
        alignment_tables=tables.alignment_tables(page.alignment),
    )


def render_inspection(page: InspectionPage) -> str:
    """Return the report of an inspection as one HTML document."""
    pressing = tables.pressing_first(page.verdicts)
    examples = page.examples[:MOST_INSPECTED]
    counted = tables.count_verdicts("", page.verdicts)
    return fill(
        "inspection.html",
        page=page,
        verdicts=[counted] if counted else [],
        charts=_inspection_charts(page.verdicts),
        pressing=pressing.head(tables.SHOWN_VERDICTS).to_dict("records"),
        more=max(0, len(pressing) - tables.SHOWN_VERDICTS),
        strips=strips(examples, of=len(examples)),
        left_out=len(page.examples) - len(examples),
    )


def fill(template: str, *, page: Page | InspectionPage | DataPage | StudyPage, **values: Any) -> str:
    """Fill a template with a page and what was made of it."""
    settings = tables.setting_groups(page.settings)
    return _environment().get_template(template).render(page=page, settings=settings, **values)


@cache
def _environment() -> Environment:
    """Make the template environment: every value is escaped, a misspelt one is an error."""
    environment = Environment(
        loader=PackageLoader("flawline", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=words.number, share=words.share, aligned=words.aligned)
    environment.tests["missing"] = words.missing
    environment.globals.update(
        css=Markup(files("flawline.report").joinpath("page.css").read_text(encoding="utf-8")),
        words=words,
    )
    return environment


def chart(title: str, figure: Figure) -> dict[str, Any]:
    """Return a chart as the templates take it; the drawing is ours, its texts were escaped when it was drawn."""
    return {"title": title, "drawing": Markup(svg(figure))}


def _curve_charts(methods: Sequence[MethodResult]) -> list[dict[str, Any]]:
    """Draw every kind of curve that some method has, all methods in one chart."""
    drawn = [(title, draw, tables.curves_of(methods, key)) for key, title, draw in _CURVES]
    names = [method.method for method in methods]
    return [chart(title, draw(curves, names=names)) for title, draw, curves in drawn if curves]


def shown_each(methods: int) -> int:
    """Return how many of its worst, and of its best, examples each of so many methods shows."""
    return max(FEWEST_EXAMPLES, min(SHOWN_EXAMPLES, MOST_EXAMPLES // (2 * max(1, methods))))


def _method_section(method: MethodResult, each: int, shown: int) -> dict[str, Any]:
    """Return what the page shows of one method: ``each`` of either end, of ``shown`` examples on the whole page."""
    worst, best = method.worst[:each], method.best[:each]
    made = strips([*worst, *best], of=shown)
    return {
        "method": method.method,
        "suitability": method.suitability,
        "charts": _method_charts(method),
        "sample_reconstructions": []
        if method.sample_reconstructions is None
        else sample_columns(method.sample_reconstructions),
        "projections": _projections(method),
        "thresholds": method.thresholds,
        "mapped": any(example.anomaly_map.size for example in (*method.worst, *method.best)),
        "worst": made[: len(worst)],
        "best": made[len(worst) :],
        "left_out": len(method.worst) + len(method.best) - len(made),
    }


def _method_charts(method: MethodResult) -> list[dict[str, Any]]:
    """Draw the scores with the thresholds, the training, and the losses of the patches."""
    charts = []
    if len(method.scores):
        limits = _score_limits(method)
        charts.append(chart("Image scores and thresholds", histogram_figure(method.scores, limits)))
    if method.history is not None and len(method.history):
        charts.append(chart("Training", history_figure(method.history)))
        if others := other_losses(method.history):
            charts.append(chart("Training, the other losses", history_figure(method.history, others)))
    if method.patch_losses is not None and len(method.patch_losses):
        charts.append(chart("Losses of normal and of defective patches", patch_loss_figure(method.patch_losses)))
    return charts


def _projections(method: MethodResult) -> list[dict[str, Any]]:
    """Draw the spaces that images were projected from."""
    spaces = method.projections or {}
    return [
        chart(name[:1].upper() + name[1:], projection_figure(points)) for name, points in spaces.items() if len(points)
    ]


def other_losses(history: pd.DataFrame) -> list[str]:
    """Return the columns of the losses that a method has beside that of training and validation."""
    return [c for c in history if c.endswith("_loss") and c not in ("train_loss", "validation_loss")]


def _score_limits(method: MethodResult) -> Mapping[str, float]:
    """Return the thresholds on image scores: those not named after pixels."""
    return {name: limit.value for name, limit in method.thresholds.items() if not name.startswith("pixel")}


def _inspection_charts(verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """Draw the scores of the inspected images and the threshold, where there is one for all."""
    scored = verdicts[verdicts["score"].notna()]
    if scored.empty:
        return []
    limits = list(scored["threshold"].dropna().unique()) if "threshold" in scored else []
    named = {"threshold": float(limits[0])} if len(limits) == 1 else {}
    return [chart("Image scores", histogram_figure(scored[["score"]].assign(split="inspected"), named))]
