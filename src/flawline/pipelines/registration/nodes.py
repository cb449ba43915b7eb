"""The manifest's images in one frame and one store."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.intake.layouts import check_folder
from flawline.intake.registration import (
    Registered,
    cuts_ends,
    find_alignment,
    fit_registration,
    registered_images,
    registered_masks,
    registration_key,
)
from flawline.params import IngestionParams, RegistrationParams
from flawline.storage.ragged import Keyed
from flawline.training.progress import Progress


def register(
    raw_folder: Path,
    manifest: pd.DataFrame,
    progress: Progress,
    ingestion: IngestionParams,
    registration: RegistrationParams,
    known_registration: Registered | None,
) -> tuple[Iterable[NDArray], Iterable[NDArray], pd.DataFrame, dict[str, Tensor]]:
    """Return (images (C, H, W), masks (H, W), alignment, aligner); images and masks are decoded as they are stored,
    and not at all where the same ones are stored already. The aligner is empty where nothing is aligned."""
    check_folder(raw_folder)
    limit, known = ingestion.max_pixels, known_registration
    if known is not None:
        key = registration_key(manifest, known.alignment, registration, max_pixels=limit, aligner=known.aligner)
        if known.is_made_from(key):
            return known.images, known.masks, known.alignment, known.aligner
    aligner, found = fit_registration(manifest, raw_folder, registration, max_pixels=limit, track=progress.track)
    alignment = find_alignment(
        manifest, raw_folder, cut=cuts_ends(manifest, registration.trim_ends), max_pixels=limit,
        aligner=aligner, known=found, track=progress.track,
    )  # fmt: skip
    images = registered_images(
        manifest, raw_folder, alignment, color=registration.color, max_pixels=limit, aligner=aligner
    )
    masks = registered_masks(manifest, raw_folder, alignment, max_pixels=limit, aligner=aligner)
    tensors = aligner.to_tensors() if aligner else {}
    key = registration_key(manifest, alignment, registration, max_pixels=limit, aligner=tensors)
    tracked = progress.track(images, total=len(images), label="registering")
    return Keyed(tracked, key), Keyed(masks, key), alignment, tensors
