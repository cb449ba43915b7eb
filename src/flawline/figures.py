"""Arrays in, pictures out: charts as matplotlib figures, photographs and anomaly maps as (H, W, 3) uint8.

Charts go through ``matplotlib.figure.Figure``, never pyplot, so nothing is shared between calls. They have no
background, and their ink is one colour that `svg` turns into ``currentColor``: a page in dark mode draws them light.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flawline.checks import FlawlineError, check_range, check_shape

if TYPE_CHECKING:  # matplotlib and scipy are imported where they draw: whoever only names a figure need not wait
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#16181d"  # text and axes; becomes currentColor in an SVG
SERIES = (
    "#3b78c2",
    "#d9822b",
    "#2f9e77",
    "#b0578d",
    "#8a8f2d",
    "#4fa8c4",
    "#c0504d",
    "#7b6cc4",
)  # legible on white and on black
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
MARK = (226, 54, 54)  # a region the detector found
TRUTH = (0, 190, 255)  # a defect marked by hand
SIZE = (4.7, 3.3)  # inches
MOST_POINTS = 400  # a label of `projection_figure`, for the same reason
MOST_DOTS = 150  # a row of `feature_figure`: every dot is an element of the SVG
LEGEND_LINE = 0.26  # inches
LOSS_DECADES = 6  # below the highest loss; `patch_loss_figure` draws smaller ones in its first bin
DOT_PLACES = 70  # across the chart; dots in one place stand over each other
_LEGEND: dict[str, Any] = {"frameon": False, "labelcolor": INK, "handlelength": 2.7, "columnspacing": 1.2}
COUNTERS = ("epoch", "stage", "seconds")  # columns of a history that are no series to draw
LEADING = ("train_loss", "validation_loss")  # the losses that every training has
PANEL = 1.5  # inches that a further panel adds to a history


class Region(Protocol):
    """A box in pixels: the upper left corner and the size."""

    @property
    def y(self) -> float: ...
    @property
    def x(self) -> float: ...
    @property
    def height(self) -> float: ...
    @property
    def width(self) -> float: ...


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
    figure, axes = _figure()
    finite = scores[np.isfinite(scores["score"].to_numpy(dtype=float))]
    edges = _edges(np.concatenate([finite["score"].to_numpy(dtype=float), np.array(list(thresholds.values()), float)]))
    for (name, colour), values in _groups(finite):
        _draw_shares(axes, values, edges, f"{name} ({len(values)})", colour)
    axes.set(xlabel="image score, higher is more anomalous", ylabel="share of the group's images")
    axes.set_ylim(bottom=0)
    _legend(axes, least=1, top=len(thresholds))
    _draw_thresholds(axes, thresholds)
    return figure


def patch_loss_figure(losses: pd.DataFrame, *, size: tuple[float, float] = SIZE) -> Figure:
    """Draw the losses of normal patches against those of defective ones, each as shares of its own kind.

    Columns are mask_share (0 normal, above 0 defective) and loss; ``size`` is (width, height) in inches.

    The axis is logarithmic where the losses above zero span more than a decade; the first bin then holds zeros too.
    Losses that are not finite are left out. Source: Schneider 2022, Fig. 6."""
    figure, axes = _figure(size)
    finite = losses[np.isfinite(losses["loss"].to_numpy(dtype=float))]
    edges, logarithmic = _loss_edges(finite["loss"].to_numpy(dtype=float))
    axes.set_xscale("log" if logarithmic else "linear")
    for name, group, kind in (
        ("normal", "test", finite["mask_share"] == 0),
        ("defective", "defective", finite["mask_share"] > 0),
    ):
        if kind.any():
            values = np.clip(finite["loss"][kind].to_numpy(dtype=float), edges[0], edges[-1])
            _draw_shares(axes, values, edges, f"{name} ({len(values)})", GROUPS[group])
    axes.set(xlabel="loss of a patch", ylabel="share of the kind's patches")
    axes.set_ylim(bottom=0)
    _legend(axes, least=1)
    return figure


def history_figure(history: pd.DataFrame) -> Figure:
    """Draw every series of a training's history over its epochs, in panels of which each has an axis of its own.

    A series is every column of numbers but ``epoch``, ``stage`` and ``seconds``. The first panel holds the losses of
    training and validation; then come the losses of further phases, whose scale may be another, and last what is no
    loss, such as a share or an AUROC. A dotted line marks where another stage begins. An axis of losses is logarithmic
    where they span more than a decade."""
    panels = history_panels(history) or {"loss": []}
    figure, axes = _panels(len(panels))
    colours = cycle(SERIES)
    for one, (name, columns) in zip(axes, panels.items(), strict=True):
        _draw_series(one, history, {column: next(colours) for column in columns})
        _mark_stages(one, history)
        one.set_ylabel(name)
        if name.endswith("loss") and _spans_a_decade(history[columns].to_numpy(float)):
            one.set_yscale("log")
        _legend(one, least=1)
    axes[-1].set_xlabel("epoch")
    return figure


def history_panels(history: pd.DataFrame) -> dict[str, list[str]]:
    """Return which series of a history stand together: axis label -> columns, only where there are some."""
    numbers = history.select_dtypes("number").columns
    series = [str(name) for name in numbers if name not in COUNTERS and history[name].notna().any()]
    leading = [name for name in LEADING if name in series]
    losses = [name for name in series if name.endswith("loss") and name not in leading]
    others = [name for name in series if not name.endswith("loss")]
    first, second = (leading, losses) if leading else (losses, [])
    panels = {"loss": first, "other loss": second, others[0].replace("_", " ") if len(others) == 1 else "value": others}
    return {name: columns for name, columns in panels.items() if columns}


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Make a chart of ``count`` panels, one under the other over the same epochs, the first the highest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0], SIZE[1] + PANEL * (count - 1)), layout="constrained")
    ratios = [SIZE[1], *[PANEL] * (count - 1)]
    grid = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=ratios)
    for axes in grid[:, 0]:
        _set_manner(axes)
    return figure, list(grid[:, 0])


def _draw_series(axes: Axes, history: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Draw columns of a history over the epochs; a series of one value is a dot."""
    for name, colour in colours.items():
        values = history[name].astype(float)
        marker = "o" if values.notna().sum() == 1 else None
        axes.plot(history["epoch"], values, color=colour, linewidth=1.6, label=name.replace("_", " "), marker=marker)


def _mark_stages(axes: Axes, history: pd.DataFrame) -> None:
    """Draw a dotted line between the last epoch of a stage and the first of the next."""
    if "stage" not in history:
        return
    begins = np.flatnonzero((history["stage"] != history["stage"].shift()).to_numpy())[1:]
    for row in begins:
        place = (history["epoch"].iloc[row - 1] + history["epoch"].iloc[row]) / 2
        axes.axvline(place, color=INK, alpha=0.5, linewidth=1.1, linestyle=":", label="_stage")


def _spans_a_decade(values: NDArray) -> bool:
    """Say whether the finite values are all above zero and the highest is more than ten times the lowest."""
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min())


def projection_figure(points: pd.DataFrame) -> Figure:
    """Draw points (columns x, y, label: 0 normal, 1 defective, else unknown), a colour and a mark a label.

    The axes have no numbers, for those of a projection mean nothing. Of more than MOST_POINTS points of a label so many
    stand for all, evenly taken. Source: Saeedi & Giusti 2022, Fig. 6."""
    figure, axes = _figure()
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
        style = _LEGEND | {"handlelength": 1.0, "handletextpad": 0.3}
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, fontsize=9, **style)
    return figure


def feature_figure(features: pd.DataFrame, feature: str) -> Figure:
    """Draw ``feature`` of every image as a dot: a row each for normal train, normal test and defective images.

    Columns are split, label (0 normal, 1 defective) and the feature; train is every split but test. Of more than
    MOST_DOTS images of a row, so many stand for all, at even ranks. A bar marks the median of all. The axis is
    logarithmic where the values span more than a factor of 30; values that are not finite are left out."""
    figure, axes = _figure()
    finite = features[np.isfinite(features[feature].to_numpy(dtype=float))]
    rows = [(name, colour, v) for name, colour, v in _feature_rows(finite, feature) if len(v)]
    values = np.concatenate([v for _, _, v in rows]) if rows else np.zeros(1)
    logarithmic = 0 < 30 * values.min() < values.max()
    axes.set_xscale("log" if logarithmic else "linear")
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


def to_rgb8(image: NDArray, *, white: float | None = None) -> NDArray[np.uint8]:
    """Turn an image (C, H, W) of uint8, uint16 or float in [0, 1] into (H, W, 3) uint8.

    One or two channels are shown grey from the first, of more than three the first three as colour. ``white`` is the
    share of the full scale shown as white; by default `white_level`.
    """
    check_shape("image", image, ("C", "H", "W"))
    white = white_level(image) if white is None else white
    channels = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)  # (3, H, W)
    if channels.dtype != np.uint8 or white != 1:
        shares = channels.astype(np.float32) / (full_scale(image.dtype) * white)
        channels = np.rint(np.clip(np.nan_to_num(shares), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(channels.transpose(1, 2, 0))  # (H, W, 3)


def full_scale(dtype: np.dtype) -> float:
    """Return the value of a saturated pixel: 255, 65535, or 1 for floats."""
    if dtype in (np.uint8, np.uint16):
        return float(np.iinfo(dtype).max)
    if np.issubdtype(dtype, np.floating):
        return 1.0
    raise FlawlineError(f"image must be uint8, uint16 or float, got {dtype}")


def white_level(image: NDArray) -> float:
    """Return the share of the full scale to show as white: 1, but for uint16 the bit depth the image seems to have.

    A 12-bit camera's image stored in 16 bits would be black otherwise.
    """
    if image.dtype != np.uint16:
        return 1.0
    bits = max(8, int(image.max(initial=0)).bit_length())
    return (2**bits - 1) / 65535


def heat(anomaly_map: NDArray, *, top: float) -> NDArray[np.uint8]:
    """Colour a map (H, W) from 0 (black) to ``top`` and above (pale yellow) as (H, W, 3) uint8; not-a-number is grey.

    The colour map is inferno: its lightness rises evenly, so it also reads in grey print.
    """
    check_shape("anomaly_map", anomaly_map, ("H", "W"))
    if not top > 0:
        raise FlawlineError(f"top must be > 0, got {top}")
    import matplotlib

    colours = matplotlib.colormaps["inferno"].with_extremes(bad="0.5")
    shares = np.clip(anomaly_map.astype(np.float32) / top, 0, 1)
    return colours(shares, bytes=True)[..., :3]  # (H, W, 3)


def overlay(
    image: NDArray,
    anomaly_map: NDArray,
    threshold: float,
    regions: Iterable[Region],
    *,
    mask: NDArray | None = None,
    white: float | None = None,
) -> NDArray[np.uint8]:
    """Draw on the image (C, H, W) what the detector saw, as (H, W, 3) uint8.

    Pixels whose map (H, W) exceeds ``threshold`` are tinted, each region is boxed just outside its border, and the
    defect marked by hand (``mask``, (H, W) bool) is outlined in blue. Every other pixel is the photograph's.
    """
    from scipy.ndimage import binary_dilation

    check_shape("anomaly_map", anomaly_map, image.shape[1:])
    picture = to_rgb8(image, white=white)  # (H, W, 3)
    beyond = anomaly_map > threshold
    picture[beyond] = np.rint(0.55 * picture[beyond] + 0.45 * np.array(MARK)).astype(np.uint8)
    line = max(1, round(max(beyond.shape) / 240))
    if mask is not None:
        check_shape("mask", mask, image.shape[1:])
        picture[binary_dilation(mask, iterations=line) & ~mask.astype(bool)] = TRUTH
    return _draw_boxes(picture, regions, line)


def svg(figure: Figure) -> str:
    """Return the figure as one ``<svg>`` element: text stays text, the ink is the page's, no date, no size."""
    import matplotlib

    buffer = io.StringIO()
    # The backend reads these two from the settings only; the context puts them back.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "flawline"}):
        figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.05)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<!--.*?-->|(?<=\n) +", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' (d|x|y|transform)="[^"]*"', _round_down, drawing)
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing)  # ids of groups repeat from figure to figure
    drawing = re.sub(r'(<svg [^>]*?) width="[^"]*pt"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg [^>]*?) height="[^"]*pt"', r"\1", drawing, count=1)
    # Markers and clip paths are referred to by ids, which must differ from figure to figure too.
    own = hashlib.sha256(drawing.encode()).hexdigest()[:8]
    drawing = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{own}-", drawing)
    return drawing.replace(INK, "currentColor").strip()


def _round_down(attribute: re.Match[str]) -> str:
    """Cut the numbers of an SVG's attribute to two decimals: a hundredth of a point is nothing to see."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture (H, W, 3) uint8 as PNG."""
    return _encoded(picture, format="PNG", optimize=True)


def mask_png(mask: NDArray) -> bytes:
    """Encode a mask (H, W) as PNG of one bit a pixel, white where it is true; sharp, as JPEG is not."""
    check_shape("mask", mask, ("H", "W"))
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(bool)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def jpeg(picture: NDArray[np.uint8], *, quality: int = 85) -> bytes:
    """Encode a picture (H, W, 3) uint8 as JPEG with its colours at full resolution, so that thin red lines stay red."""
    options: dict[str, Any] = {"format": "JPEG", "quality": quality, "subsampling": 0}
    encoded = _encoded(picture, **options)
    # Pillow's buffer for what it optimizes has a byte a pixel, or 64 KiB: too small for coloured noise.
    fits = len(encoded) < max(2**16, picture.shape[0] * picture.shape[1])
    return _encoded(picture, optimize=True, **options) if fits else encoded


def data_uri(encoded: bytes) -> str:
    """Return PNG or JPEG bytes as a ``data:`` address, the picture itself in the page."""
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"


def _figure(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """Make an empty chart in the page's manner."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    _set_manner(axes)
    return figure, axes


def _set_manner(axes: Axes) -> None:
    """Give axes the page's manner: no frame, light grid, one ink."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=INK, alpha=0.4)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.tick_params(which="minor", colors=INK, labelsize=8, length=2)  # of a logarithmic axis
    axes.grid(color=INK, alpha=0.1, linewidth=0.7)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9.5)


def _curves_figure(curves: Mapping[str, pd.DataFrame], x: str, y: str, names: Sequence[str]) -> Figure:
    """Draw column ``y`` over column ``x`` for every name, both in [0, 1].

    More curves than there are colours have the clearest FEW of these, each solid, dashed and so on."""
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys([*names, *curves]))}
    figure, axes = _figure((SIZE[0], SIZE[1] + LEGEND_LINE * max(0, len(curves) - 6) / 2))
    colours, width = (SERIES, 1.7) if len(ranks) <= len(SERIES) else (SERIES[:FEW], 1.4)
    for name, curve in curves.items():
        i = ranks[name]
        style = DASHES[i // len(colours) % len(DASHES)]
        axes.plot(curve[x], curve[y], color=colours[i % len(colours)], linestyle=style, linewidth=width, label=name)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    _legend(axes, least=2)
    return figure


def _legend(axes: Axes, *, least: int, top: int = 0) -> None:
    """Put the legend above the chart, over ``top`` lines of labels; none for fewer than ``least`` series."""
    shown, names = axes.get_legend_handles_labels()
    if len(names) < least:
        return
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=_colour(s), linestyle=_style(s), linewidth=1.8) for s in shown]
    longest = max(map(len, names))
    columns = min(len(names), 3 if longest < 16 or (longest < 22 and len(names) < 7) else 2)
    corner = (-0.02, 1.0 + 0.065 * top)
    axes.legend(lines, names, loc="lower left", bbox_to_anchor=corner, ncols=columns, fontsize=9, **_LEGEND)


def _colour(series: Any) -> Any:
    """Return the colour of a line, or the opaque face colour of a histogram."""
    return series.get_color() if hasattr(series, "get_color") else series.get_facecolor()[:3]


def _style(series: Any) -> Any:
    """Return the dashes of a line; a histogram's are solid."""
    return series.get_linestyle() if hasattr(series, "get_color") else "-"


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


def _draw_boxes(picture: NDArray[np.uint8], regions: Iterable[Region], line: int) -> NDArray[np.uint8]:
    """Box each region with ``line`` pixels outside its border."""
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    for region in regions:
        y, x = round(region.y) - line, round(region.x) - line
        below, right = round(region.y + region.height) + line - 1, round(region.x + region.width) + line - 1
        draw.rectangle((x, y, max(x, right), max(y, below)), outline=MARK, width=line)
    return np.array(canvas)


def _encoded(picture: NDArray[np.uint8], **options: Any) -> bytes:
    """Encode a picture (H, W, 3) with Pillow's options."""
    check_shape("picture", picture, ("H", "W", 3))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, **options)
    return buffer.getvalue()
