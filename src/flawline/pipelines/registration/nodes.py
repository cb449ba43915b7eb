"""The manifest's images in one frame and one store."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from numpy.typing import NDArray

from flawline.methods.progress import Progress
from flawline.params import IngestionParams, RegistrationParams
from flawline.vision.layouts import check_folder
from flawline.vision.ragged import Lazy
from flawline.vision.registration import cuts_ends, find_alignment, registered_images, registered_masks


def register(
    raw_folder: Path,
    manifest: pd.DataFrame,
    progress: Progress,
    ingestion: IngestionParams,
    registration: RegistrationParams,
) -> tuple[Iterator[NDArray], Lazy, pd.DataFrame]:
    """Return (images (C, H, W), masks (H, W), alignment); images and masks are decoded as they are stored."""
    check_folder(raw_folder)
    limit = ingestion.max_pixels
    cut = cuts_ends(manifest, registration.trim_ends)
    alignment = find_alignment(manifest, raw_folder, cut=cut, max_pixels=limit)
    images = registered_images(manifest, raw_folder, alignment, color=registration.color, max_pixels=limit)
    masks = registered_masks(manifest, raw_folder, alignment, max_pixels=limit)
    return progress.track(images, total=len(images), label="registering"), masks, alignment
