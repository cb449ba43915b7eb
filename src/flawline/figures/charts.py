"""Charts of scores, curves and losses, from tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import check_range
from flawline.figures.style import INK, LEGEND, LEGEND_LINE, SERIES, SIZE, add_legend, new_figure, set_logarithmic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = ("-", "--", ":", "-.")
FEW = 4  # colours that nobody takes for one another: 12 curves are three kinds of line in each
GROUPS = {
    "defective": "#c8452f",
    "test": "#3b78c2",
    "inspected": "#3b78c2",
    "calibration": "#8b929c",
    "other": "#2f9e77",
}
MARKS = {  # label -> colour, mark, size: told apart without the colour too
    "normal": ("#3b78c2", "o", 4.4),
    "defective": ("#d9822b", "^", 5.4),
    "unknown": ("#8b929c", "s", 4.0),
}
KIND_MARKS = (  # of the kinds of `similarity_figure`, in their order
    ("#8b929c", "o", 3.6), ("#2f9e77", "s", 4.0), ("#3b78c2", "o", 4.4), ("#d9822b", "^", 5.4),
)  # fmt: skip
MOST_POINTS = 400  # a label of `projection_figure`: every point is an element of the SVG
MOST_DOTS = 150  # a row of `feature_figure`: every dot is an element of the SVG
LOSS_DECADES = 6  # below the highest loss; `patch_loss_figure` draws smaller ones in its first bin
DOT_PLACES = 70  # across the chart; dots in one place stand over each other


def roc_figure(curves: Mapping[str, pd.DataFrame], *, names: Sequence[str] = ()) -> Figure:
    """Draw one ROC curve a name from its columns fpr and tpr, over the diagonal of guessing.

    Charts that are given the same ``names`` have the same line for a name, whichever curves are there."""
    figure = _curves_figure(curves, "fpr", "tpr", names)
    axes = figure.axes[0]
    axes.set(xlabel="good ones flagged (false positive rate)", ylabel="defective ones found")
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1.2, linestyle=":", label="_guessing")
    return figure


def pr_figure(curves: Mapping[str, pd.DataFrame], *, names: Sequence[str] = ()) -> Figure:
    """Draw one precision-recall curve a name from its columns recall and precision; ``names`` as in `roc_figure`."""
    figure = _curves_figure(curves, "recall", "precision", names)
    figure.axes[0].set(xlabel="defective ones found (recall)", ylabel="share of flagged that are defective")
    return figure


def pro_figure(curves: Mapping[str, pd.DataFrame], *, limit: float = 0.3, names: Sequence[str] = ()) -> Figure:
    """Draw one per-region-overlap curve a name from its columns fpr and pro, up to the fpr ``limit``; ``names`` as in
    `roc_figure`."""
    check_range("limit", limit, low=0, high=1)
    figure = _curves_figure(curves, "fpr", "pro", names)
    figure.axes[0].set(xlabel="good pixels flagged", ylabel="mean share of each defect covered", xlim=(0, limit))
    return figure


def histogram_figure(scores: pd.DataFrame, thresholds: Mapping[str, float]) -> Figure:
    """Draw the image scores (columns score, label, split), each group as shares of its own images, and the thresholds.

    A group is a split with a label (0 normal, 1 defective, missing unknown); scores that are not finite are left out.
    """
    figure, axes = new_figure()
    finite = scores[np.isfinite(scores["score"].to_numpy(dtype=float))]
    edges = _edges(np.concatenate([finite["score"].to_numpy(dtype=float), np.array(list(thresholds.values()), float)]))
    for (name, colour), values in _groups(finite):
        _draw_shares(axes, values, edges, f"{name} ({len(values)})", colour)
    axes.set(xlabel="image score, higher is more anomalous", ylabel="share of the group's images")
    axes.set_ylim(bottom=0)
    add_legend(axes, least=1, top=len(thresholds))
    _draw_thresholds(axes, thresholds)
    return figure


def drift_figure(values: NDArray, *, name: str, since: int, usual: tuple[float, float]) -> Figure:
    """Draw one figure of the images in their order (n,), NaN of an image without one, before the band of ``usual``
    values, and a line at the image ``since`` which it drifts, counted from 1. Of more than MOST_DOTS images, so many at
    even steps."""
    figure, axes = new_figure()
    known = np.flatnonzero(np.isfinite(values))
    shown = known[_even_ranks(len(known), MOST_DOTS)]
    axes.axhspan(*usual, color=GROUPS["calibration"], alpha=0.3, linewidth=1.5)  # a line where they are all the same
    axes.plot(shown + 1, values[shown], "o", color=GROUPS["inspected"], markersize=3.4, markeredgewidth=0)
    axes.axvline(since, color=INK, linewidth=1.1, linestyle="--")
    axes.set(xlabel="image, in the order of the names")
    axes.set_ylabel(name, parse_math=False)
    axes.ticklabel_format(style="plain", useOffset=False)
    axes.locator_params(axis="x", integer=True)
    return figure


def patch_loss_figure(losses: pd.DataFrame, *, size: tuple[float, float] = SIZE) -> Figure:
    """Draw the losses of normal patches against those of defective ones, each as shares of its own kind.

    Columns are mask_share (0 normal, above 0 defective) and loss; ``size`` is (width, height) in inches.

    The axis is logarithmic where the losses above zero span more than a decade; the first bin then holds zeros too.
    Losses that are not finite are left out. Source: Schneider 2022, Fig. 6."""
    figure, axes = new_figure(size)
    finite = losses[np.isfinite(losses["loss"].to_numpy(dtype=float))]
    edges, logarithmic = _loss_edges(finite["loss"].to_numpy(dtype=float))
    if logarithmic:
        set_logarithmic(axes, "x")
    for name, group, kind in (
        ("normal", "test", finite["mask_share"] == 0),
        ("defective", "defective", finite["mask_share"] > 0),
    ):
        if kind.any():
            values = np.clip(finite["loss"][kind].to_numpy(dtype=float), edges[0], edges[-1])
            _draw_shares(axes, values, edges, f"{name} ({len(values)})", GROUPS[group])
    axes.set(xlabel="loss of a patch", ylabel="share of the kind's patches")
    axes.set_ylim(bottom=0)
    add_legend(axes, least=1)
    return figure


def similarity_figure(points: pd.DataFrame) -> Figure:
    """Draw reconstruction errors against structural similarity (columns kind, error, ssim), a colour and a mark a kind.

    Of more than MOST_POINTS points of a kind so many stand for all, evenly taken. Source: Alpdemir 2022, Fig. 5."""
    figure, axes = new_figure()
    for (name, inside), (colour, mark, size) in zip(points.groupby("kind", sort=False), KIND_MARKS, strict=False):
        shown = inside[["error", "ssim"]].to_numpy(float)[_even_ranks(len(inside), MOST_POINTS)]  # (n, 2)
        label = f"{name} ({len(inside)})"
        axes.plot(*shown.T, mark, color=colour, markersize=size, markeredgewidth=0, alpha=0.7, label=label)
    if (points["error"] > 0).all():
        set_logarithmic(axes, "x")
    axes.set(xlabel="mean squared error of the reconstruction", ylabel="structural similarity (SSIM)")
    add_legend(axes, least=1)
    return figure


def pod_figure(curves: pd.DataFrame, counted: pd.DataFrame, *, unit: str = "pixels") -> Figure:
    """Draw the probability of detection over the size, a colour a contrast, between its bounds (columns contrast, size,
    pod, low, high), the shares that were ``counted`` (contrast, size, share) as dots, and a line at nine in ten."""
    figure, axes = new_figure()
    set_logarithmic(axes, "x")
    axes.axhline(0.9, color=INK, alpha=0.5, linewidth=1.2, linestyle=":", label="_nine in ten")
    for colour, (contrast, dots) in zip(cycle(SERIES), counted.groupby("contrast"), strict=False):
        name, curve = f"contrast {contrast:.2g}", curves[np.isclose(curves["contrast"].to_numpy(float), contrast)]
        style: dict[str, Any] = {"color": colour, "markersize": 4.4, "markeredgewidth": 0, "alpha": 0.8}
        axes.plot(dots["size"], dots["share"], "o", label=f"_{name}", **style)
        axes.plot(curve["size"], curve["pod"], color=colour, linewidth=1.7, label=name)  # in the legend without one too
        band = axes.fill_between(curve["size"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        band.set_label("_bounds")
    axes.set(
        xlabel=f"size, {unit}: diameter of a disk of the same area", ylabel="share that is found", ylim=(-0.02, 1.03)
    )
    add_legend(axes, least=1)
    return figure


def projection_figure(points: pd.DataFrame) -> Figure:
    """Draw points (columns x, y, label: 0 normal, 1 defective, else unknown), a colour and a mark a label.

    The axes have no numbers, for those of a projection mean nothing. Of more than MOST_POINTS points of a label so many
    stand for all, evenly taken. Source: Saeedi & Giusti 2022, Fig. 6."""
    figure, axes = new_figure()
    named = points["label"].map({0: "normal", 1: "defective"}).fillna("unknown")
    for name, (colour, mark, size) in MARKS.items():
        inside = points.loc[named == name, ["x", "y"]].to_numpy(float)  # (n, 2)
        if not len(inside):
            continue
        shown = inside[_even_ranks(len(inside), MOST_POINTS)]
        label = f"{name} ({len(inside)})"
        axes.plot(*shown.T, mark, color=colour, markersize=size, markeredgewidth=0, alpha=0.8, label=label)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=INK, alpha=0.25)
    axes.margins(0.06)
    if axes.lines:
        style = LEGEND | {"handlelength": 1.0, "handletextpad": 0.3}
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, fontsize=9, **style)
    return figure


def feature_figure(features: pd.DataFrame, feature: str) -> Figure:
    """Draw ``feature`` of every image as a dot: a row each for normal train, normal test and defective images.

    Columns are split, label (0 normal, 1 defective) and the feature; train is every split but test. Of more than
    MOST_DOTS images of a row, so many stand for all, at even ranks. A bar marks the median of all. The axis is
    logarithmic where the values span more than a factor of 30; values that are not finite are left out."""
    figure, axes = new_figure()
    finite = features[np.isfinite(features[feature].to_numpy(dtype=float))]
    rows = [(name, colour, v) for name, colour, v in _feature_rows(finite, feature) if len(v)]
    values = np.concatenate([v for _, _, v in rows]) if rows else np.zeros(1)
    logarithmic = 0 < 30 * values.min() < values.max()
    if logarithmic:
        set_logarithmic(axes, "x")
    for row, (_, colour, inside) in enumerate(rows):
        dots = _at_even_ranks(inside, MOST_DOTS)
        heights = row + _swarm(*(np.log(v) if logarithmic else v for v in (dots, values)))
        axes.plot(dots, heights, "o", color=colour, markersize=3.4, markeredgewidth=0, alpha=0.85)
        axes.vlines(np.median(inside), row - 0.42, row + 0.42, color=INK, linewidth=1.3)
    axes.set_yticks(range(len(rows)), [f"{name}\n({len(v)})" for name, _, v in rows])
    axes.set_ylim(len(rows) - 0.45, -0.55)  # the first row on top
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(feature, parse_math=False)
    if not logarithmic:
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.locator_params(axis="x", nbins=6)
    return figure


def _curves_figure(curves: Mapping[str, pd.DataFrame], x: str, y: str, names: Sequence[str]) -> Figure:
    """Draw column ``y`` over column ``x`` for every name, both in [0, 1].

    More curves than there are colours have the clearest FEW of these, each solid, dashed and so on."""
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys([*names, *curves]))}
    figure, axes = new_figure((SIZE[0], SIZE[1] + LEGEND_LINE * max(0, len(curves) - 6) / 2))
    colours, width = (SERIES, 1.7) if len(ranks) <= len(SERIES) else (SERIES[:FEW], 1.4)
    for name, curve in curves.items():
        i = ranks[name]
        style = DASHES[i // len(colours) % len(DASHES)]
        axes.plot(curve[x], curve[y], color=colours[i % len(colours)], linestyle=style, linewidth=width, label=name)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    add_legend(axes, least=2)
    return figure


def _edges(values: NDArray) -> NDArray:
    """Return 41 edges over the range of the finite values, or one unit around them where they are all the same."""
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    return np.linspace(low, high, 41) if high > low else np.linspace(low - 0.5, high + 0.5, 41)


def _loss_edges(losses: NDArray) -> tuple[NDArray, bool]:
    """Return 41 edges over the finite ``losses`` and whether they are logarithmic: those above 0 span over a decade."""
    above = losses[losses > 0]
    if not len(above) or losses.min() < 0 or above.max() <= 10 * above.min():
        return _edges(losses), False
    low = max(above.min(), above.max() * 10.0**-LOSS_DECADES)
    return np.geomspace(low, above.max(), 41), True


def _draw_shares(axes: Axes, values: NDArray, edges: NDArray, name: str, colour: str) -> None:
    """Draw a histogram of ``values`` as shares of their number, filled and outlined."""
    style: dict[str, Any] = {"bins": edges, "weights": np.full(len(values), 1 / len(values)), "color": colour}
    axes.hist(values, histtype="stepfilled", alpha=0.35, label=name, **style)
    axes.hist(values, histtype="step", linewidth=1.3, label=f"_{name}", **style)


def _groups(scores: pd.DataFrame) -> list[tuple[tuple[str, str], NDArray]]:
    """Return (name, colour) and scores of each split and label, calibration first, normal before defective."""
    labels = scores["label"] if "label" in scores else pd.Series(np.nan, index=scores.index)
    named = labels.map({0: "normal", 1: "defective"}).fillna("")
    splits = sorted(scores["split"].astype(str).unique(), key=lambda split: (split != "calibration", split))
    groups = []
    extra = cycle([GROUPS["other"], *SERIES[3:]])
    for split in splits:
        for label in ("normal", "defective", ""):
            values = scores["score"][(scores["split"].astype(str) == split) & (named == label)].to_numpy(dtype=float)
            colour = GROUPS["defective"] if label == "defective" else GROUPS.get(split) or next(extra)
            if len(values):
                groups.append(((f"{split}, {label}" if label else split, colour), values))
    return groups


def _feature_rows(features: pd.DataFrame, feature: str) -> list[tuple[str, str, NDArray]]:
    """Return (name, colour, sorted values) of the normal train, normal test and defective images."""
    normal, test = features["label"] == 0, features["split"] == "test"
    kinds = (
        ("normal, train", GROUPS["calibration"], normal & ~test),
        ("normal, test", GROUPS["test"], normal & test),
        ("defective", GROUPS["defective"], features["label"] == 1),
    )
    return [(name, colour, np.sort(features.loc[kind, feature].to_numpy(float))) for name, colour, kind in kinds]


def _at_even_ranks(values: NDArray, most: int) -> NDArray:
    """Return at most ``most`` of the sorted values, the lowest and the highest among them."""
    return values[_even_ranks(len(values), most)]


def _even_ranks(count: int, most: int) -> NDArray[np.intp]:
    """Return at most ``most`` of the ranks below ``count``, at even steps, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def _swarm(dots: NDArray, values: NDArray) -> NDArray:
    """Return heights in [-0.4, 0.4] that keep dots in the same place apart, the places being even over ``values``."""
    width = np.ptp(values) or 1.0
    places = pd.Series(((dots - values.min()) / width * DOT_PLACES).astype(int))
    turns = places.groupby(places).cumcount().to_numpy()
    steps = (turns + 1) // 2 * np.where(turns % 2, 1, -1)  # 0, 1, -1, 2, -2
    return steps * min(0.07, 0.4 / max(1, np.abs(steps).max(initial=0)))


def _draw_thresholds(axes: Axes, thresholds: Mapping[str, float]) -> None:
    """Draw each threshold as a dashed line; the names stand above the chart in rows, so that none covers another."""
    low, high = axes.get_xlim()
    for row, (name, value) in enumerate(thresholds.items()):
        axes.axvline(value, color=INK, linewidth=1.1, linestyle="--", label=f"_{name}")
        right = (value - low) > 0.6 * (high - low)
        axes.annotate(
            f"{name} {value:.4g}",
            (value, 1.015 + 0.065 * row),
            xycoords=axes.get_xaxis_transform(),
            ha="right" if right else "left",
            color=INK,
            fontsize=9,
        )
