"""A raw folder to a manifest, and what a person should know of the images before trusting any figure on them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from flawline.intake.examples import EXAMPLES, ExampleImage
from flawline.intake.layouts import detect_layout, list_raw_files
from flawline.intake.manifest import build_manifest, near_duplicates_of, read_raw_files
from flawline.intake.measuring import Measurements
from flawline.metrics.shortcuts import features_of, find_shortcuts
from flawline.params import ExamplesParams, IngestionParams
from flawline.report import render_data_page
from flawline.report.data_contents import gather_data_page
from flawline.report.data_sentences import data_summary
from flawline.training.compute import keep_memory
from flawline.training.progress import Progress


def draw_example(category: str, raw: str | None, examples: ExamplesParams) -> Iterable[ExampleImage]:
    """Draw the embedded example called ``category``; nothing where the images come from a folder of the user's."""
    return EXAMPLES[category](examples) if raw is None and category in EXAMPLES else []


def ingest(
    raw_folder: Path,
    category: str,
    ingestion: IngestionParams,
    known_measurements: Measurements | None,
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame, Measurements, pd.DataFrame]:
    """Read every file of the raw folder; return (manifest, quarantine, measurements, near_duplicates)."""
    keep_memory()
    layout = detect_layout(raw_folder, ingestion)
    files = list_raw_files(raw_folder, ingestion.model_copy(update={"layout": layout}), category=category)

    def track(items: Iterable[Any], total: int) -> Iterator[Any]:
        return progress.track(items, total=total, label="reading")

    rows, quarantine, measurements = read_raw_files(
        raw_folder, files, max_pixels=ingestion.max_pixels, layout=layout, known=known_measurements, track=track
    )
    near_duplicates = near_duplicates_of(rows, measurements)
    manifest, quarantine = build_manifest(
        rows, quarantine, ingestion.splits, identical=ingestion.identical, near_duplicates=near_duplicates
    )
    return manifest, quarantine, measurements, near_duplicates


def look_for_shortcuts(manifest: pd.DataFrame, measurements: Measurements) -> pd.DataFrame:
    """Return how well single figures (brightness, size, ...) tell defective from good and test from training."""
    return find_shortcuts(features_of(manifest, measurements.table))


def report_on_data(
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    measurements: Measurements,
    near_duplicates: pd.DataFrame,
    shortcuts: pd.DataFrame,
    raw_folder: Path,
    category: str,
    ingestion: IngestionParams,
    run: Mapping[str, str],
) -> tuple[str, str]:
    """Return (the page as HTML, what was found as a few lines of text)."""
    page = gather_data_page(
        manifest, quarantine, measurements, near_duplicates,
        shortcuts=shortcuts, folder=raw_folder, category=category, ingestion=ingestion, run=run,
    )  # fmt: skip
    return render_data_page(page), data_summary(page)
