"""What a study found, on one page: the methods' tables beside the published ones, and pictures of every category."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from platform import platform
from typing import Any

import pandas as pd
from kedro.io import DataCatalog
from numpy.typing import NDArray

from flawline import __version__
from flawline.intake.manifest import rows_of
from flawline.methods.published import MEANS, published, published_for, published_notes
from flawline.methods.registry import METHODS, PAPERS, SCORED, effort
from flawline.metrics.choice import tried
from flawline.params import flatten
from flawline.pipelines.reporting.nodes import read_sample_reconstructions, read_suitability
from flawline.report import CategoryShown, PublishedTable, StudyPage, render_study
from flawline.report.words import DEVELOPMENT, counted

HEADLINES = {  # metric -> how it is told; of a category, the first that is there
    "oracle_iou": "overlap with the marked defects (oracle IoU)",
    "image_auroc": "image AUROC",
}
TOLD = 4  # methods of a category
OWN = ("category", "seed", "raw", "images")  # parameters that differ from cell to cell


@dataclass(frozen=True)
class Studied:
    """The results of one category and seed: its catalog, and its parameters as a tree."""

    catalog: DataCatalog
    parameters: Mapping[str, Any]

    @property
    def published(self) -> pd.DataFrame:
        """What was published on these images, if anything was: see `published_for`."""
        layouts = self.catalog.load("manifest")["layout"]
        return published_for(
            self.parameters["category"],
            raw=self.parameters.get("raw"),
            layout=layouts.iloc[0] if len(layouts) else None,
        )


def study_page(title: str, results: pd.DataFrame, studied: Mapping[str, Studied], origin: Mapping[str, str]) -> str:
    """Return the page of a study as HTML.

    ``results`` has a row a category, seed and method; ``studied`` holds, for each category, its first seed."""
    methods = list(results["method"].unique())
    known = [one.published.assign(category=category) for category, one in studied.items()]
    printed = pd.concat(known, ignore_index=True)
    printed = printed[printed["method"].isin(methods)].reset_index(drop=True)
    seeds = sorted(results["seed"].unique())
    parameters = next(iter(studied.values())).parameters
    page = StudyPage(
        title=title,
        found=findings(results),
        results=results,
        published=printed,
        shown=[each for name, one in studied.items() if (each := show_category(name, one.catalog, methods))],
        settings={name: value for name, value in flatten(parameters).items() if name not in OWN},
        ids={
            "categories": ", ".join(studied),
            "seeds": ", ".join(map(str, seeds)),
            **origin,
            "flawline": __version__,
            "machine": platform(),
            "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        },
        notes=notes(results, printed, parameters),
        tables=whole_tables(printed),
        candidates=simple_first(methods),
    )
    return render_study(page)


def whole_tables(printed: pd.DataFrame) -> list[PublishedTable]:
    """Return the whole published tables that the rows ``printed`` (category, source) are of, where these have more
    categories than one and figures of whole images."""
    made = []
    for source, rows in published().groupby("source", sort=False):
        measured = list(dict.fromkeys(printed.loc[printed["source"] == source, "category"]))
        if measured and len(set(rows["category"])) > 1 and rows["image_auroc"].notna().any():
            made.append(PublishedTable(str(source), rows.reset_index(drop=True), measured, MEANS.get(str(source), "")))
    return made


def findings(results: pd.DataFrame) -> list[str]:
    """Return what the study found, in sentences: the best method of every category, and what training costs."""
    methods, categories = results["method"].unique(), results["category"].unique()
    seeds = results["seed"].nunique()
    counts = (
        counted(len(methods), "method", "methods"),
        counted(len(categories), "category", "categories"),
        counted(seeds, "seed", "seeds"),
    )
    headline = f"{counts[0]} on {counts[1]}, {counts[2]}."
    told = [best_of(results[results["category"] == each]) for each in categories]
    return [headline, *told, *chosen(results), *cost(results)]


def best_of(results: pd.DataFrame) -> str:
    """Return how the methods did on one category, the best first."""
    category = results["category"].iloc[0]
    means = {name: results.groupby("method", sort=False)[name].mean() for name in HEADLINES if name in results}
    known = [name for name, values in means.items() if values.notna().any()]
    if not known:
        return f"{category}: nothing could be measured; that needs masks, or good and defective test images."
    metric = next((name for name in known if means[name].notna().all()), known[0])
    ordered = means[metric].dropna().sort_values(ascending=False)
    told = ", ".join(f"{value:.3f} by {method}" for method, value in ordered.head(TOLD).items())
    least = f", down to {ordered.iloc[-1]:.3f} by {ordered.index[-1]}" if len(ordered) > TOLD else ""
    return f"{category}: {HEADLINES[metric]} {told}{least}."


def chosen(results: pd.DataFrame) -> list[str]:
    """Return which method the study recommends and what that is worth on a category left out; see `choice.tried`."""
    found = tried(results, simple_first(results["method"].unique()))
    if found is None:
        return []
    method, table = found
    regret = table["regret"].mean()
    return [
        f"Over all categories {method} has the highest mean image AUROC. {DEVELOPMENT} Chosen on all but one, a method "
        f"reaches on average {regret:.3f} less on that one than the best there."
    ]


def simple_first(methods: Iterable[str]) -> list[str]:
    """Return the methods from simple to complex: those that train no network first, then those that look at one thing;
    of equals a recommendation is the first."""
    return sorted(methods, key=effort)


def cost(results: pd.DataFrame) -> list[str]:
    """Return the ratio of the mean training times, where several methods have one."""
    if "train_seconds" not in results:
        return []
    seconds = results.groupby("method", sort=False)["train_seconds"].mean().dropna()
    if len(seconds) < 2:
        return []
    ratios = seconds / seconds.iloc[0]
    return [f"Training takes {' : '.join(f'{ratio:.2f}' for ratio in ratios)} ({' : '.join(seconds.index)})."]


def notes(results: pd.DataFrame, printed: pd.DataFrame, parameters: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before comparing."""
    methods = set(results["method"].unique())
    papers = [paper for paper in PAPERS.values() if paper.alike]
    shared = {paper.alike: [each for each in paper.methods if each in methods] for paper in papers}
    alike = [note for parts, names in shared.items() for note in unequal(names, parameters, parts)]
    return [*published_notes(printed), *alike, *shortcut_cautions(results)]


def unequal(methods: Sequence[str], parameters: Mapping[str, Any], alike: tuple[str, ...]) -> list[str]:
    """Say which of some methods differ from the first in ``alike``, what they must share to be compared."""
    if not methods:
        return []
    first, *settings = [{key: value for key, value in flatten(parameters[method]).items() if key.startswith(alike)}
                        for method in methods]  # fmt: skip
    differing = {
        method: [key for key in sorted(own.keys() | first.keys()) if own.get(key) != first.get(key)]
        for method, own in zip(methods[1:], settings, strict=True)
    }
    return [f"{method} differs from {methods[0]} in {', '.join(keys)}: the comparison is not of the methods alone."
            for method, keys in differing.items() if keys]  # fmt: skip


def shortcut_cautions(results: pd.DataFrame) -> list[str]:
    """Return a sentence for each category whose data have a shortcut."""
    known = results.dropna(subset="shortcut") if "shortcut" in results else results.head(0)
    told = {row["category"]: row["shortcut"] for row in known.to_dict("records") if row["shortcut"]}
    return [f"{category}: its figures may measure a shortcut in the data ({shortcut}); see its page."
            for category, shortcut in told.items()]  # fmt: skip


def show_category(category: str, catalog: DataCatalog, methods: Sequence[str]) -> CategoryShown | None:
    """Return the pictures of a category: its first defective test image whose mask is known, else its first test
    image; None without a test image."""
    manifest, masks = catalog.load("usable_manifest"), catalog.load("masks")
    kept = rows_of(manifest, SCORED)
    tests = [k for k, row in enumerate(kept) if manifest["split"].iloc[row] == "test"]
    if not tests:
        return None
    marked = [k for k in tests if masks[kept[k]].size and masks[kept[k]].any()]
    k = (marked or tests)[0]
    row = kept[k]
    rows = {method: METHODS[method] for method in methods}
    mapping, drawing = ([name for name, spec in rows.items() if getattr(spec, what)] for what in ("raw_maps", "trains"))
    losing, judged = ([name for name, spec in rows.items() if getattr(spec, what)]
                      for what in ("has_patch_losses", "suitability"))  # fmt: skip
    maps = {method: one for method in methods if (one := catalog.load(f"{method}.maps")[k]).size}
    raw_maps = {method: catalog.load(f"{method}.residuals")[row] for method in mapping}
    metrics = {method: catalog.load(f"{method}.metrics")["values"] for method in methods}
    return CategoryShown(
        category=category,
        name=manifest["image"].iloc[row],
        image=catalog.load("images")[row],
        mask=masks[row] if marked else None,
        maps=maps,
        flagged=beyond(maps, metrics, "oracle_pixel_threshold"),
        raw_maps=raw_maps,
        raw_flagged=beyond(raw_maps, metrics, "raw_oracle_pixel_threshold"),
        patch_losses={method: catalog.load(f"{method}.patch_losses")[["mask_share", "loss"]] for method in losing},
        sample_reconstructions={
            method: read_sample_reconstructions(catalog.load(f"{method}.sample_reconstructions")) for method in drawing
        },
        suitability={method: read_suitability(catalog.load(f"{method}.suitability")) for method in judged},
    )


def beyond(
    maps: Mapping[str, NDArray], metrics: Mapping[str, Mapping[str, float]], threshold: str
) -> dict[str, NDArray]:
    """Return, of the methods whose metrics have ``threshold``, which pixels (H, W) of the map lie beyond it."""
    return {method: one > metrics[method][threshold] for method, one in maps.items() if threshold in metrics[method]}
