"""The page of an inspection: a picture beside every image that was rejected or is to be reviewed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from flawline.figures import drift_figure, histogram_figure
from flawline.report import tables
from flawline.report.contents import InspectionPage
from flawline.report.drift_sentences import FIGURES
from flawline.report.grid import inspection_grid
from flawline.report.html import chart, fill
from flawline.report.pictures import LISTED, Picture, picture, shrink_pixels


def render_inspection(page: InspectionPage) -> str:
    """Return the report of an inspection as one HTML document."""
    flagged, unjudged, passed = (page.verdicts.iloc[rows] for rows in tables.by_urgency(page.verdicts))
    listed = flagged.head(LISTED)
    counted = tables.verdict_counts("", page.verdicts)
    return fill(
        "inspection.html",
        page=page,
        grid=inspection_grid(page),
        verdicts=[counted] if counted else [],
        charts=_score_charts(page.verdicts),
        drift=_drift_rows(page.drift),
        drift_charts=_drift_charts(page.drift, page.figures),
        listed=[_listed(row, page.pictures) for row in listed.to_dict("records")],
        more_flagged=len(flagged) - len(listed),
        unjudged=unjudged.head(tables.SHOWN_VERDICTS).to_dict("records"),
        unjudged_count=len(unjudged),
        passed=passed.head(tables.SHOWN_VERDICTS).to_dict("records"),
        passed_count=len(passed),
    )


def _listed(row: dict[Any, Any], pictures: Mapping[str, NDArray]) -> dict[Any, Any]:
    """Return a row of the verdicts with its picture; None where the page was given none."""
    return {**row, "picture": _small(pictures[row["image"]]) if row["image"] in pictures else None}


def _small(pixels: NDArray) -> Picture:
    return picture("what was found", shrink_pixels(pixels))


def _drift_rows(drift: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the rows of the drift's table, those that drift first, with what each figure is."""
    rows = drift.sort_values("drifts", ascending=False, kind="stable").to_dict("records") if len(drift) else []
    return [row | {"words": FIGURES[row["figure"]]} for row in rows]


def _drift_charts(drift: pd.DataFrame, figures: pd.DataFrame) -> list[dict[str, Any]]:
    """Draw what drifts of the images in their order, before the range of those that were learned from."""
    rows = drift[drift["drifts"]].to_dict("records") if len(drift) else []
    return [
        chart(FIGURES[row["figure"]][row["direction"] == "higher"],
              drift_figure(figures[row["figure"]].to_numpy(), name=row["figure"], since=row["since"],
                           usual=(row["training_low"], row["training_high"])))
        for row in rows
    ]  # fmt: skip


def _score_charts(verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """Draw the scores of the inspected images and the threshold, where there is one for all."""
    scored = verdicts[verdicts["score"].notna()]
    if scored.empty:
        return []
    limits = list(scored["threshold"].dropna().unique()) if "threshold" in scored else []
    named = {"threshold": float(limits[0])} if len(limits) == 1 else {}
    return [chart("Image scores", histogram_figure(scored[["score"]].assign(split="inspected"), named))]
