"""The page of a study: pictures of every category, then the methods' means beside what was published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.figures import heat, patch_loss_figure, to_rgb8, white_level
from flawline.figures.thumbnails import STRIP
from flawline.metrics.choice import recommend
from flawline.report import tables, words
from flawline.report.contents import CategoryShown, StudyPage, Suitability
from flawline.report.html import chart, fill
from flawline.report.pictures import (
    Picture,
    black_and_white,
    page_size,
    picture,
    sample_columns,
    shrink_image,
    shrink_peaks,
)
from flawline.report.study_tables import places_group, published_table, spread, spread_of, study_groups, used_columns

CHOSEN = "image_auroc"  # what methods are chosen by
SHARES = (0.75, 0.5, 0.375, 0.25, 0.18)  # of the size of a strip's picture
LONGEST = 1_300_000  # characters of all photographs and maps: beyond it they shrink, or the page grows past 3 MB
CHART = (3.7, 2.8)  # inches: three in a row
PATCH = 64  # pixels of a patch's longest side
MANY = 9  # beyond so many methods in all categories one patch is shown instead of two
Stacks = list[tuple[str, list[Picture]]]  # a name and the pictures that belong to it


@dataclass(frozen=True)
class SuitabilityRow:
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
        columns=used_columns(page),
        suits=_suits(page, categories),
        choice=_choice(page),
        places=places_group(page.results, page.placed),
        tables=[published_table(table, page.results) for table in page.tables],
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


def _suits(page: StudyPage, categories: Sequence[str]) -> list[SuitabilityRow]:
    """Return a row a category and method that it was asked of whether it suits."""
    found = _said(page.results)
    found |= {(one.category, method): verdict for one in page.shown for method, verdict in one.suitability.items()}
    if not found:
        return []
    asked = {method for _, method in found}
    pairs = [*zip(page.results["category"], page.results["method"], strict=True), *found]
    ran = [pair for pair in dict.fromkeys(pairs) if pair[1] in asked]
    return [
        SuitabilityRow(category, method, found.get((category, method)), _image_auroc(page.results, category, method))
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
    return tables.decimals(spread_of(rows, "image_auroc").mean)


def _choice(page: StudyPage) -> dict[str, Any] | None:
    """Return which method would be chosen, and what the choice is worth on a category that it was not made on."""
    found = recommend(page.results, page.candidates, CHOSEN)
    if found is None:
        return None
    method, table = found
    text = {name: [tables.decimals(v) for v in table[name]] for name in ("figure", "best", "regret")}
    regret = tables.decimals(spread(table["regret"]).mean)
    return {"method": method, "rows": table.assign(**text).to_dict("records"), "regret": regret}


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
