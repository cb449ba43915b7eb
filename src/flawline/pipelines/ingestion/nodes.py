"""A raw folder to a manifest."""

from pathlib import Path

import pandas as pd

from flawline.params import ExamplesParams, IngestionParams
from flawline.vision.examples import EXAMPLES, ExampleImage
from flawline.vision.layouts import list_raw_files
from flawline.vision.manifest import build_manifest, read_raw_files


def draw_example(category: str, raw: str | None, examples: ExamplesParams) -> list[ExampleImage]:
    """Draw the embedded example called ``category``; nothing where the images come from a folder of the user's."""
    return list(EXAMPLES[category](examples)) if raw is None and category in EXAMPLES else []


def ingest(raw_folder: Path, ingestion: IngestionParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every file of the raw folder once; return (manifest, quarantine)."""
    files = list_raw_files(raw_folder, layout=ingestion.layout, good=ingestion.good)
    rows, quarantine = read_raw_files(raw_folder, files, max_pixels=ingestion.max_pixels)
    return build_manifest(rows, quarantine, ingestion.splits)
