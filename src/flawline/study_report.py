"""Collects the stored results of every category and seed of a study and builds its page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from kedro.io import DataCatalog

from flawline.intake.manifest import rows_of
from flawline.methods.published import published_for, published_notes
from flawline.methods.registry import METHODS, PAPERS, SCORED, complexity
from flawline.params import flatten
from flawline.report import CategoryShown, StudyPage, render_study
from flawline.report.origin import origin
from flawline.report.run_contents import read_sample_reconstructions, read_suitability
from flawline.report.study_contents import beyond, image_to_show, whole_tables
from flawline.report.study_sentences import shortcut_cautions, study_found, unequal_settings

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


def study_page(title: str, results: pd.DataFrame, studied: Mapping[str, Studied], run: Mapping[str, str]) -> str:
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
        ids=origin(run, categories=", ".join(studied), seeds=", ".join(map(str, seeds))),
        notes=notes(results, printed, parameters),
        tables=whole_tables(printed),
        candidates=simple_first(methods),
        placed=_placed_by(methods),
    )
    return render_study(page)


def _placed_by(methods: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics by which the paper of all ``methods`` places them; none where it does not."""
    papers = [paper.placed for paper in PAPERS.values() if paper.placed and set(methods) <= set(paper.methods)]
    return papers[0] if papers else ()


def findings(results: pd.DataFrame) -> list[str]:
    """Return what the study found, in sentences; of equal methods the simplest is recommended."""
    return study_found(results, simple_first(results["method"].unique()))


def simple_first(methods: Iterable[str]) -> list[str]:
    """Return the methods from simple to complex: first those without a trained network, then those with fewer views.
    Where a recommendation ties, the earlier one is taken."""
    return sorted(methods, key=complexity)


def notes(results: pd.DataFrame, printed: pd.DataFrame, parameters: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before comparing."""
    methods = set(results["method"].unique())
    papers = [paper for paper in PAPERS.values() if paper.alike]
    shared = {paper.alike: [each for each in paper.methods if each in methods] for paper in papers}
    unequal = [note for parts, names in shared.items() for note in unequal_settings(names, parameters, parts)]
    return [*published_notes(printed), *unequal, *shortcut_cautions(results)]


def show_category(category: str, catalog: DataCatalog, methods: Sequence[str]) -> CategoryShown | None:
    """Return the pictures of a category: its first defective test image whose mask is known, else its first test
    image; None without a test image."""
    manifest, masks = catalog.load("usable_manifest"), catalog.load("masks")
    kept = rows_of(manifest, SCORED)
    found = image_to_show(manifest["split"], kept, masks)
    if found is None:
        return None
    k, marked = found
    row = kept[k]
    mapping, training, losing, judged = (
        [method for method in methods if getattr(METHODS[method], what)]
        for what in ("raw_maps", "trains", "has_patch_losses", "suitability")
    )
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
            method: read_sample_reconstructions(kept)
            for method in training
            if (kept := catalog.load(f"{method}.sample_reconstructions"))  # none of a network that reconstructs nothing
        },
        suitability={method: read_suitability(catalog.load(f"{method}.suitability")) for method in judged},
    )
