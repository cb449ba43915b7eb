"""What a study found, and what a reader must know before comparing, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from flawline.metrics.choice import recommend
from flawline.params import flatten
from flawline.report.words import DEVELOPMENT, counted

HEADLINES = {  # metric -> how it is told; of a category, the first that is there
    "oracle_iou": "overlap with the marked defects (oracle IoU)",
    "image_auroc": "image AUROC",
}
TOLD = 4  # methods of a category


def study_found(results: pd.DataFrame, candidates: Sequence[str]) -> list[str]:
    """Return what the study found: the best method of every category, which of ``candidates`` would be chosen (of
    equals the first), and what training costs."""
    methods, categories = results["method"].unique(), results["category"].unique()
    seeds = results["seed"].nunique()
    counts = (
        counted(len(methods), "method", "methods"),
        counted(len(categories), "category", "categories"),
        counted(seeds, "seed", "seeds"),
    )
    headline = f"{counts[0]} on {counts[1]}, {counts[2]}."
    told = [category_found(results[results["category"] == each]) for each in categories]
    return [headline, *told, *recommendation(results, candidates), *training_cost(results)]


def category_found(results: pd.DataFrame) -> str:
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


def recommendation(results: pd.DataFrame, candidates: Sequence[str]) -> list[str]:
    """Return which method the study recommends and what that is worth on a category left out; see `choice.tried`."""
    found = recommend(results, candidates)
    if found is None:
        return []
    method, table = found
    regret = table["regret"].mean()
    return [
        f"Over all categories {method} has the highest mean image AUROC. {DEVELOPMENT} Chosen on all but one, a method "
        f"reaches on average {regret:.3f} less on that one than the best there."
    ]


def training_cost(results: pd.DataFrame) -> list[str]:
    """Return the ratio of the mean training times, where several methods have one."""
    if "train_seconds" not in results:
        return []
    seconds = results.groupby("method", sort=False)["train_seconds"].mean().dropna()
    if len(seconds) < 2:
        return []
    ratios = seconds / seconds.iloc[0]
    return [f"Training takes {' : '.join(f'{ratio:.2f}' for ratio in ratios)} ({' : '.join(seconds.index)})."]


def unequal_settings(methods: Sequence[str], parameters: Mapping[str, Any], alike: tuple[str, ...]) -> list[str]:
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
