"""What a study found, on one page: the methods' tables beside the published ones, and pictures of every category."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from platform import platform
from typing import Any

import pandas as pd
from kedro.io import DataCatalog

from flawline import __version__
from flawline.methods.published import published_for
from flawline.params import flatten
from flawline.pipelines.embedding.nodes import SCORED
from flawline.pipelines.reporting.nodes import read_applicability, read_sketches
from flawline.report import CategoryShown, StudyPage, render_study
from flawline.vision.manifest import rows_of

SAME = ("patches", "train")  # what methods must share to be compared: Schneider 2022, section 3
LIKELIEST = ("oracle_iou", "image_auroc")  # what the headline of a category tells, the first that is there
PUBLISHED_NOTE = (
    "Published figures were measured on the authors' own images, which are not public: ours are of the same kind, not "
    "the same. Compare the order of the methods, not the last digit."
)


def study_page(
    title: str,
    results: pd.DataFrame,
    catalogs: Mapping[str, DataCatalog],
    parameters: Mapping[str, Any],
    run: Mapping[str, str],
) -> str:
    """Return the page of a study as HTML.

    ``results`` has a row a category, seed and method; ``catalogs`` holds, for each category, that of its first seed."""
    methods = list(results["method"].unique())
    known = [published_for(category).assign(category=category) for category in catalogs]
    published = pd.concat(known, ignore_index=True)
    published = published[published["method"].isin(methods)].reset_index(drop=True)
    seeds = sorted(results["seed"].unique())
    page = StudyPage(
        title=title,
        found=findings(results),
        results=results,
        published=published,
        shown=[each for name, catalog in catalogs.items() if (each := show_category(name, catalog, methods))],
        settings=flatten(parameters),
        ids={
            "categories": ", ".join(catalogs),
            "seeds": ", ".join(map(str, seeds)),
            **run,
            "flawline": __version__,
            "machine": platform(),
            "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        },
        notes=notes(results, published, parameters),
    )
    return render_study(page)


def findings(results: pd.DataFrame) -> list[str]:
    """Return what the study found, in sentences: the best method of every category, and what training costs."""
    methods, categories = results["method"].unique(), results["category"].unique()
    seeds = results["seed"].nunique()
    counted = f"{count(len(methods), 'method')} on {count(len(categories), 'category')}, {count(seeds, 'seed')}."
    return [counted, *(best_of(results[results["category"] == each]) for each in categories), *cost(results)]


def count(number: int, noun: str) -> str:
    """Return a number with its noun in the plural where it needs it."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def best_of(results: pd.DataFrame) -> str:
    """Return how the methods did on one category, the best first."""
    category = results["category"].iloc[0]
    metric = next((name for name in LIKELIEST if name in results and results[name].notna().any()), None)
    if metric is None:
        return f"{category}: no defective test image, so nothing could be measured."
    means = results.groupby("method", sort=False)[metric].mean().sort_values(ascending=False)
    named = {"oracle_iou": "overlap with the marked defects (oracle IoU)", "image_auroc": "image AUROC"}[metric]
    return f"{category}: {named} " + ", ".join(f"{value:.3f} by {method}" for method, value in means.items()) + "."


def cost(results: pd.DataFrame) -> list[str]:
    """Return the ratio of the methods' training times, where there are several methods; categories weigh alike."""
    methods = list(results["method"].unique())
    if len(methods) < 2 or "train_seconds" not in results:
        return []
    seconds = results.pivot_table(index=["category", "seed"], columns="method", values="train_seconds")[methods]
    ratios = seconds.div(seconds[methods[0]], axis=0).mean()
    return [f"Training takes {' : '.join(f'{ratio:.2f}' for ratio in ratios)} ({' : '.join(methods)})."]


def notes(results: pd.DataFrame, published: pd.DataFrame, parameters: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know before comparing."""
    said = [PUBLISHED_NOTE] if len(published) else []
    return [*said, *unequal(list(results["method"].unique()), parameters), *shortcut_cautions(results)]


def unequal(methods: Sequence[str], parameters: Mapping[str, Any]) -> list[str]:
    """Say which methods were cut or trained otherwise than the first."""
    settings = [{key: value for key, value in flatten(parameters[method]).items() if key.startswith(SAME)}
                for method in methods]  # fmt: skip
    differing = {
        method: [key for key, value in own.items() if value != settings[0].get(key)]
        for method, own in zip(methods[1:], settings[1:], strict=True)
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
    """Return the pictures of a category: its first defective test image whose mask is known; None without one."""
    manifest, masks = catalog.load("manifest"), catalog.load("masks")
    kept = rows_of(manifest, SCORED)
    defective = [k for k, row in enumerate(kept)
                 if manifest["split"].iloc[row] == "test" and masks[row].size and masks[row].any()]  # fmt: skip
    if not defective:
        return None
    k, row = defective[0], kept[defective[0]]
    maps = {method: catalog.load(f"{method}.maps")[k] for method in methods}
    limits = {m: catalog.load(f"{m}.metrics")["values"].get("oracle_pixel_threshold", float("inf")) for m in methods}
    return CategoryShown(
        category=category,
        name=manifest["image"].iloc[row],
        image=catalog.load("images")[row],
        mask=masks[row],
        maps=maps,
        flagged={method: maps[method] > limits[method] for method in methods},
        patch_losses={method: catalog.load(f"{method}.patch_losses")[["mask_share", "loss"]] for method in methods},
        sketches={method: read_sketches(catalog.load(f"{method}.sketches")) for method in methods},
        applicability={method: read_applicability(catalog.load(f"{method}.applicability")) for method in methods},
    )
