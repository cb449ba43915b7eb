"""The manner of every chart on a page, and its SVG.

Charts go through ``matplotlib.figure.Figure``, never pyplot, so nothing is shared between calls. They have no
background, and their ink is one colour that `svg` turns into ``currentColor``: a page in dark mode draws them light.
matplotlib is imported where it draws: whoever only names a figure need not wait for it.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Literal

from flawline.storage.digests import content_digest

if TYPE_CHECKING:
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
SIZE = (4.7, 3.3)  # inches
LEGEND: dict[str, Any] = {"frameon": False, "labelcolor": INK, "handlelength": 2.7, "columnspacing": 1.2}
LEGEND_LINE = 0.26  # inches
AROUND = {"left": 0.12, "right": 0.98, "bottom": 0.14, "top": 0.9}  # the axes' place; `cropped` measures their labels
PAD = 3.6  # points around what is drawn
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def svg(figure: Figure) -> str:
    """Return the figure as one ``<svg>`` element: text stays text, the ink is the page's, no date, no size."""
    import matplotlib

    buffer = io.StringIO()
    # The backend reads these two from the settings only; the context puts them back.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "flawline"}):
        figure.savefig(buffer, format="svg", transparent=True, **cropped(figure))
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<!--.*?-->|(?<=\n) +", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' (d|x|y|transform)="[^"]*"', _round_down, drawing)
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing)  # ids of groups repeat from figure to figure
    drawing = re.sub(r'(<svg [^>]*?) width="[^"]*pt"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg [^>]*?) height="[^"]*pt"', r"\1", drawing, count=1)
    # Markers and clip paths are referred to by ids, which must differ from figure to figure too.
    own = content_digest(drawing)[:8]
    drawing = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{own}-", drawing)
    return drawing.replace(INK, "currentColor").strip()


def cropped(figure: Figure) -> dict[str, Any]:
    """Return how ``figure.savefig`` saves all that is drawn and no more: as with "tight", which would draw it twice."""
    return {"bbox_inches": figure.get_tightbbox().padded(PAD / 72)}


def _round_down(attribute: re.Match[str]) -> str:
    """Cut the numbers of an SVG's attribute to two decimals: a hundredth of a point is nothing to see."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def new_figure(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """Make an empty chart in the page's manner."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    figure.subplots_adjust(**AROUND)
    axes = figure.add_subplot()
    set_style(axes)
    return figure, axes


def set_style(axes: Axes) -> None:
    """Give axes the page's manner: no frame, light grid, one ink."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=INK, alpha=0.4)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.tick_params(which="minor", colors=INK, labelsize=8, length=2)  # of a logarithmic axis
    axes.grid(color=INK, alpha=0.1, linewidth=0.7)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9.5)


def set_logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain text as labels: matplotlib's own are typeset, half of a chart's time."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return plain_number(x) if super().__call__(x, pos) else ""

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(Plain())
    axis.set_minor_formatter(Plain(labelOnlyBase=False, minor_thresholds=(2, 0.5)))


def plain_number(x: float) -> str:
    """Return a tick's number as text: 0.002, 10000, 2·10⁻⁵."""
    if 1e-3 <= x <= 1e4:
        return f"{x:g}"
    mantissa, exponent = f"{x:.0e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPT)}"
    return power if mantissa == "1" else f"{mantissa}·{power}"


def add_legend(axes: Axes, *, least: int, top: int = 0) -> None:
    """Put the legend above the chart, over ``top`` lines of labels; none for fewer than ``least`` series."""
    shown, names = axes.get_legend_handles_labels()
    if len(names) < least:
        return
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=_colour(s), linestyle=_style(s), linewidth=1.8) for s in shown]
    longest = max(map(len, names))
    columns = min(len(names), 3 if longest < 16 or (longest < 22 and len(names) < 7) else 2)
    corner = (-0.02, 1.0 + 0.065 * top)
    axes.legend(lines, names, loc="lower left", bbox_to_anchor=corner, ncols=columns, fontsize=9, **LEGEND)


def _colour(series: Any) -> Any:
    """Return the colour of a line, or the opaque face colour of a histogram."""
    return series.get_color() if hasattr(series, "get_color") else series.get_facecolor()[:3]


def _style(series: Any) -> Any:
    """Return the dashes of a line; a histogram's are solid."""
    return series.get_linestyle() if hasattr(series, "get_color") else "-"
