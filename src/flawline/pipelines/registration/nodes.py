"""The manifest's images in one frame and one store."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.intake import registration as intake
from flawline.intake.patch_sets import make_patch_set
from flawline.methods.levelling import teacher
from flawline.params import ComputeParams, IngestionParams, PatchSetParams, RegistrationParams
from flawline.places import IMAGES
from flawline.training.compute import Machine
from flawline.training.progress import Progress


def register(
    raw_folder: Path, manifest: pd.DataFrame, near_duplicates: pd.DataFrame, *, ingestion: IngestionParams,
    registration: RegistrationParams, protocol: str, patch_set: PatchSetParams,
    known_registration: intake.Registered | None, seed: int, compute: ComputeParams, machine: Machine,
    progress: Progress,
) -> tuple[Iterable[NDArray], Iterable[NDArray], pd.DataFrame, pd.DataFrame, dict[str, Tensor]]:  # fmt: skip
    """Return (images (C, H, W), masks (H, W), the manifest's usable part, alignment, aligner): of photographs as
    `flawline.intake.registration.register_images` makes them, or of patches of these in a protocol."""
    whole = intake.register_images(
        manifest, raw_folder, registration,
        max_pixels=ingestion.max_pixels, known=known_registration, track=progress.track,
        teach=teacher(registration.stn, seed=seed, compute=compute, machine=machine, progress=progress),
    )  # fmt: skip
    usable = intake.without_misaligned(manifest, whole.alignment)
    if protocol == IMAGES:
        return *whole.to_store(progress.track), usable, whole.alignment, whole.aligner
    images, masks, patches = make_patch_set(
        whole.images, whole.masks, usable, patch_set, protocol=protocol, near_duplicates=near_duplicates
    )
    cut = progress.track(images, total=len(images), label="cutting patches")
    return cut, masks, patches, whole.alignment, {}  # nothing is left to be done to a patch
