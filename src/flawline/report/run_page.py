"""The page of a run: one or several methods on one category."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flawline.figures import (
    histogram_figure,
    history_figure,
    history_panels,
    patch_loss_figure,
    pod_figure,
    pr_figure,
    pro_figure,
    projection_figure,
    roc_figure,
    similarity_figure,
)
from flawline.report import tables
from flawline.report.contents import Detectability, MethodResult, RunPage
from flawline.report.cost_sentences import costs_in_words
from flawline.report.grid import run_grid
from flawline.report.html import chart, fill
from flawline.report.pictures import picture, sample_columns, split_columns, strips
from flawline.report.run_sentences import choice_in_words, finds_in_words, standing_out_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_EXAMPLES = 8  # of a method's worst, and as many of its best
MOST_EXAMPLES = 72  # of all methods: beyond it each shows fewer, or the page grows past 5 MB and nobody reads it
FEWEST_EXAMPLES = 2
_CURVES: tuple[tuple[str, str, Callable[..., Figure]], ...] = (  # key, title, how to draw it
    ("roc", "ROC, by image", roc_figure),
    ("pr", "Precision and recall, by image", pr_figure),
    ("pixel_roc", "ROC, by pixel", roc_figure),
    ("pixel_pr", "Precision and recall, by pixel", pr_figure),
    ("pro", "Per-region overlap", pro_figure),
)


def render_run(page: RunPage) -> str:
    """Return the report of a run as one HTML document."""
    each = shown_each(len(page.methods))
    shown = sum(min(len(e), each) for m in page.methods for e in (m.worst, m.best, m.odd))
    return fill(
        "run.html",
        page=page,
        grid=run_grid(page),
        verdicts=[c for m in page.methods if (c := tables.verdict_counts(m.method, m.verdicts, m.scores))],
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


def shown_each(methods: int) -> int:
    """Return how many of its worst, and of its best, examples each of so many methods shows."""
    return max(FEWEST_EXAMPLES, min(SHOWN_EXAMPLES, MOST_EXAMPLES // (2 * max(1, methods))))


def _curve_charts(methods: Sequence[MethodResult]) -> list[dict[str, Any]]:
    """Draw every kind of curve that some method has, all methods in one chart."""
    drawn = [(title, draw, tables.curves_of(methods, key)) for key, title, draw in _CURVES]
    names = [method.method for method in methods]
    return [chart(title, draw(curves, names=names)) for title, draw, curves in drawn if curves]


def _method_section(method: MethodResult, each: int, shown: int) -> dict[str, Any]:
    """Return what the page shows of one method: ``each`` of either end, of ``shown`` examples on the whole page."""
    worst, best, odd = method.worst[:each], method.best[:each], method.odd[:each]
    made = strips([*worst, *best, *odd], of=shown)
    samples = method.sample_reconstructions
    return {
        "method": method.method,
        "suitability": method.suitability,
        "charts": _method_charts(method),
        "sample_reconstructions": [] if samples is None else sample_columns(samples),
        "split": [] if method.split is None else split_columns(method.split),
        "projections": _projections(method),
        "pseudo_gallery": None if method.pseudo_gallery is None else picture("pseudo-defects", method.pseudo_gallery),
        "thresholds": method.thresholds,
        "costs_told": costs_in_words(method.by_cost),
        "operating_points": tables.operating_rows(method.operating_points),
        "mapped": any(example.anomaly_map.size for example in (*method.worst, *method.best)),
        "worst": made[: len(worst)],
        "best": made[len(worst) : len(worst) + len(best)],
        "odd": made[len(worst) + len(best) :],
        "odd_told": standing_out_in_words(method),
        "choice": tables.choice_rows(method.choice),
        "kinds": tables.kinds_found(method.found_by_kind),
        "finds": method.detectability,
        "finds_told": finds_in_words(method.detectability),
        "finds_rows": tables.finds_rows(method.detectability),
        "finds_charts": _finds_charts(method.detectability),
        "rates": tables.rates_rows(method.detectability),
        "choice_told": choice_in_words(method),
        "left_out": len(method.worst) + len(method.best) - len(worst) - len(best),
    }


def _method_charts(method: MethodResult) -> list[dict[str, Any]]:
    """Draw the scores with the thresholds, the training, and the losses of the patches."""
    charts = []
    if len(method.scores):
        limits = _score_limits(method)
        charts.append(chart("Image scores and thresholds", histogram_figure(method.scores, limits)))
    if method.history is not None and history_panels(method.history):
        charts.append(chart("Training", history_figure(method.history)))
    if method.patch_losses is not None and len(method.patch_losses):
        charts.append(chart("Losses of normal and of defective patches", patch_loss_figure(method.patch_losses)))
    if method.similarity is not None and len(method.similarity):
        charts.append(chart("Reconstruction error against similarity", similarity_figure(method.similarity)))
    return charts


def _finds_charts(found: Detectability | None) -> list[dict[str, Any]]:
    """Draw the probability of detection, a chart a kind."""
    if found is None:
        return []
    scale, unit = (1.0, "pixels") if found.mm_per_pixel is None else (found.mm_per_pixel, "mm")
    curves, counted = (each.assign(size=each["size"] * scale) for each in (found.curves, found.counted))
    return [
        chart(f"Probability of detection: {kind}", pod_figure(curves[curves["kind"] == kind], dots, unit=unit))
        for kind, dots in counted.groupby("kind", sort=False)
    ]


def _projections(method: MethodResult) -> list[dict[str, Any]]:
    """Draw the spaces that images were projected from."""
    spaces = method.projections or {}
    return [
        chart(name[:1].upper() + name[1:], projection_figure(points)) for name, points in spaces.items() if len(points)
    ]


def _score_limits(method: MethodResult) -> Mapping[str, float]:
    """Return the thresholds on image scores: those not named after pixels."""
    return {name: limit.value for name, limit in method.thresholds.items() if not name.startswith("pixel")}
