"""The manifest's images in one frame and one store."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from numpy.typing import NDArray

from flawline.methods.progress import Progress
from flawline.params import IngestionParams, RegistrationParams
from flawline.vision.layouts import check_folder
from flawline.vision.ragged import Keyed
from flawline.vision.registration import (
    Registered,
    cuts_ends,
    find_alignment,
    registered_images,
    registered_masks,
    registration_key,
)


def register(
    raw_folder: Path,
    manifest: pd.DataFrame,
    progress: Progress,
    ingestion: IngestionParams,
    registration: RegistrationParams,
    known_registration: Registered | None,
) -> tuple[Iterable[NDArray], Iterable[NDArray], pd.DataFrame]:
    """Return (images (C, H, W), masks (H, W), alignment); images and masks are decoded as they are stored, and not at
    all where the same ones are stored already."""
    check_folder(raw_folder)
    limit = ingestion.max_pixels
    if known_registration is not None:
        known = known_registration
        key = registration_key(manifest, known.alignment, registration, limit)
        if known.is_made_from(key):
            return known.images, known.masks, known.alignment
    cut = cuts_ends(manifest, registration.trim_ends)
    alignment = find_alignment(manifest, raw_folder, cut=cut, max_pixels=limit)
    images = registered_images(manifest, raw_folder, alignment, color=registration.color, max_pixels=limit)
    masks = registered_masks(manifest, raw_folder, alignment, max_pixels=limit)
    key = registration_key(manifest, alignment, registration, limit)
    tracked = progress.track(images, total=len(images), label="registering")
    return Keyed(tracked, key), Keyed(masks, key), alignment
