"""A raw folder to a manifest, and what a person should know of the images before trusting any figure on them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from flawline.detector.challenge_set import ChallengeSet
from flawline.intake.examples import EXAMPLES, ExampleImage
from flawline.intake.manifest import ingest_folder
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
    raw_folder: Path, ingestion: IngestionParams, *, category: str, known_measurements: Measurements | None,
    challenge_set: ChallengeSet, progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame, Measurements, pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Read every file of the raw folder; return (manifest, quarantine, measurements, near_duplicates, data_notes)."""
    keep_memory()

    def track(items: Iterable[Any], total: int) -> Iterator[Any]:
        return progress.track(items, total=total, label="reading")

    return ingest_folder(
        raw_folder, ingestion, category=category, challenges=challenge_set.digests, known=known_measurements,
        track=track,
    )  # fmt: skip


def look_for_shortcuts(manifest: pd.DataFrame, measurements: Measurements) -> pd.DataFrame:
    """Return how well single figures (brightness, size, ...) tell defective from good and test from training."""
    return find_shortcuts(features_of(manifest, measurements.table))


def report_on_data(
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    measurements: Measurements,
    near_duplicates: pd.DataFrame,
    *,
    shortcuts: pd.DataFrame,
    data_notes: pd.DataFrame,
    raw_folder: Path,
    category: str,
    ingestion: IngestionParams,
    run: Mapping[str, str],
) -> tuple[str, str]:
    """Return (the page as HTML, what was found as a few lines of text)."""
    page = gather_data_page(
        manifest, quarantine, measurements, near_duplicates,
        shortcuts=shortcuts, notes=data_notes, folder=raw_folder, category=category, ingestion=ingestion, run=run,
    )  # fmt: skip
    return render_data_page(page), data_summary(page)
