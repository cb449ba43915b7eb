"""What is said of a drift: what changed, since which image, what to do; or how little the silence means."""

import pandas as pd

from flawline.metrics.drift import SCORE
from flawline.metrics.drift_causes import FOCUS, FRAMING, LIGHT, PARTS, PRODUCT, Cause, find_causes
from flawline.report.words import number

FIGURES = {  # figure -> (lower, higher, what it is)
    "shadows": ("darker shadows", "brighter shadows", "the grey level that a twentieth of the pixels are darker than"),
    "highlights": ("darker highlights", "brighter highlights", "the grey level that a twentieth are brighter than"),
    "tonal_range": ("less contrast", "more contrast", "from shadows to highlights, relative to their sum"),
    "focus": ("blurrier", "sharper or noisier", "differences of near pixels relative to those of farther ones"),
    "across": ("farther left", "farther right", "the middle of what differs from the border, as a share of the width"),
    "down": ("farther up", "farther down", "the middle of what differs from the border, as a share of the height"),
    "size": ("smaller", "larger", "the spread of what differs from the border, as a share of the sides"),
    "scale": ("a coarser structure", "a finer structure", "the mean frequency of the coarse structure, log2"),
    SCORE: ("lower scores", "higher scores", "the anomaly score"),
}
STAYS = "If it is to stay so, make a detector from good images like these."
CAUSES = {  # cause -> (what changed, what to do)
    LIGHT: ("the light is another", "Check the lamps, the exposure and stray light."),
    FOCUS: ("the focus is another", "Check that the lens is clean and in focus, and how far away the camera is."),
    FRAMING: (
        "the framing is another",
        "Check the camera's mount and distance, and where the parts lie.",
    ),
    PRODUCT: (
        "this seems to be another product, or light and framing changed at once",
        "Check that these images and this detector belong together.",
    ),
    PARTS: ("the parts look different, or many are defective", f"Look at those that were rejected. {STAYS}"),
}
PROMISE = "Until then no verdict on these images is to be relied on: the promise below is for images without a drift."


def drift_sentences(drift: pd.DataFrame) -> list[str]:
    """Return what is said first of images that drift: for each cause since when, by what it is told and what to do;
    nothing of others."""
    causes, rows = find_causes(drift), drift.set_index("figure")
    said = [sentence for cause in causes for sentence in (_since(cause, rows), _details(cause, rows))]
    return [*said, f"{STAYS} {PROMISE}"] if {cause.name for cause in causes} - {PARTS} else said


def _since(cause: Cause, rows: pd.DataFrame) -> str:
    first = rows.loc[list(cause.figures)].sort_values("since", kind="stable").iloc[0]
    return f"Drift since image {cause.since} ({first['since_image']}): {CAUSES[cause.name][0]}."


def _details(cause: Cause, rows: pd.DataFrame) -> str:
    found = "; ".join(_range(name, rows.loc[name]) for name in cause.figures)
    more = ", ".join(_words(name, rows.loc[name]) for name in cause.explains)
    return f"Since then: {found}{f'; with it {more}' if more else ''}. {CAUSES[cause.name][1]}"


def _range(name: str, row: pd.Series) -> str:
    low, high, usual_low, usual_high = (
        number(row[each]) for each in ("found_low", "found_high", "training_low", "training_high")
    )
    return f"{_words(name, row)}, {low} to {high} where training images have {usual_low} to {usual_high}"


def _words(name: str, row: pd.Series) -> str:
    return FIGURES[name][row["direction"] == "higher"]


def silence(drift: pd.DataFrame) -> list[str]:
    """Return what the silence means of images of which no drift is told: how many it takes to tell one."""
    if drift.empty or drift["drifts"].any():
        return []
    kinds = (("light, focus and framing", drift["figure"] != SCORE), ("scores", drift["figure"] == SCORE))
    return [_silent(kind, drift[which]) for kind, which in kinds if which.any()]


def _silent(kind: str, rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    images, training = f"{row['images']} image{'' if row['images'] == 1 else 's'}", row["training_images"]
    if pd.isna(row["least_images"]):
        return f"Whether {kind} drift cannot be told: as inspection.drift is set, {training} good images are too few."
    if row["images"] < row["least_images"]:
        return f"Whether {kind} drift cannot be told by {images}: it takes at least {row['least_images']}."
    return f"No drift of {kind} was found in {images}; it takes at least {row['least_images']} to tell one."
