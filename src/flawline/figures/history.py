"""The chart of a training: whatever series its history has."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.figures.style import AROUND, INK, SERIES, SIZE, add_legend, set_logarithmic, set_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COUNTERS = ("epoch", "stage", "seconds")  # columns of a history that are no series to draw
LEADING = ("train_loss", "validation_loss")  # the losses that every training has
PANEL = 1.5  # inches that a further panel adds to a history


def history_figure(history: pd.DataFrame) -> Figure:
    """Draw every series of a training's history over its epochs, in panels of which each has an axis of its own.

    A series is every column of numbers but ``epoch``, ``stage`` and ``seconds``. The first panel holds the losses of
    training and validation; then come the losses of further phases, whose scale may be another, and last what is no
    loss, such as a share or an AUROC. A dotted line marks where another stage begins, and names it. An axis of losses
    is logarithmic where they span more than a decade."""
    panels = history_panels(history) or {"loss": []}
    figure, axes = _panels(len(panels))
    colours = cycle(SERIES)
    for one, (name, columns) in zip(axes, panels.items(), strict=True):
        _draw_series(one, history, {column: next(colours) for column in columns})
        _mark_stages(one, history)
        one.set_ylabel(name)
        if name.endswith("loss") and _spans_a_decade(history[columns].to_numpy(float)):
            set_logarithmic(one, "y")
        add_legend(one, least=1)
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

    figure = Figure(figsize=(SIZE[0], SIZE[1] + PANEL * (count - 1)))
    figure.subplots_adjust(**AROUND, hspace=0.3)
    ratios = [SIZE[1], *[PANEL] * (count - 1)]
    grid = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=ratios)
    for axes in grid[:, 0]:
        set_style(axes)
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
        stage = f" {history['stage'].iloc[row]}"
        axes.annotate(stage, (place, 0.98), xycoords=axes.get_xaxis_transform(), va="top", color=INK, fontsize=8)


def _spans_a_decade(values: NDArray) -> bool:
    """Say whether the finite values are all above zero and the highest is more than ten times the lowest."""
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min())
