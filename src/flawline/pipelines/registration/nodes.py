"""The manifest's images in one frame and one store."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.intake import registration as intake
from flawline.intake.patch_sets import make_patch_set
from flawline.methods.alignment_choice import COLUMNS, Judge, choose_alignment, chosen_alignment
from flawline.methods.levelling import teacher
from flawline.params import (
    ComputeParams,
    DefectInjectionParams,
    IngestionParams,
    PatchMemoryFreeParams,
    PatchMemoryParams,
    PatchSetParams,
    RegistrationParams,
)
from flawline.places import IMAGES
from flawline.training.compute import Machine, pick_runtime, workers_of
from flawline.training.progress import Progress


def choose(
    raw_folder: Path, manifest: pd.DataFrame, *, ingestion: IngestionParams, registration: RegistrationParams,
    scorer: Any, free_scorer: Any, defect_injection: DefectInjectionParams, compute: ComputeParams, progress: Progress,
) -> pd.DataFrame:  # fmt: skip
    """Return what each alignment is worth on normal training images, and which is chosen; empty where one was named."""
    if registration.align != "auto":
        return pd.DataFrame(columns=list(COLUMNS))
    images, names = intake.training_photographs(manifest, raw_folder, max_pixels=ingestion.max_pixels)
    memories = PatchMemoryParams.model_validate(scorer), PatchMemoryFreeParams.model_validate(free_scorer)
    judge = Judge(*memories, defect_injection, registration.seed, pick_runtime(compute), workers_of(compute))
    return choose_alignment(images, registration, judge, names=names, track=progress.track)


def register(
    raw_folder: Path, manifest: pd.DataFrame, near_duplicates: pd.DataFrame, *, ingestion: IngestionParams,
    registration: RegistrationParams, protocol: str, patch_set: PatchSetParams,
    known_registration: intake.Registered | None, alignment_choice: pd.DataFrame,
    compute: ComputeParams, machine: Machine, progress: Progress,
) -> tuple[Iterable[NDArray], Iterable[NDArray], pd.DataFrame, pd.DataFrame, dict[str, Tensor]]:  # fmt: skip
    """Return (images (C, H, W), masks (H, W), the manifest's usable part, alignment, aligner): of photographs as
    `flawline.intake.registration.register_images` makes them, or of patches of these in a protocol."""
    registration = chosen_alignment(registration, alignment_choice)
    whole = intake.register_images(
        manifest, raw_folder, registration,
        max_pixels=ingestion.max_pixels, known=known_registration, track=progress.track,
        teach=teacher(registration.stn, seed=registration.seed, compute=compute, machine=machine, progress=progress),
    )  # fmt: skip
    usable = intake.without_misaligned(manifest, whole.alignment)
    if protocol == IMAGES:
        return *whole.to_store(progress.track), usable, whole.alignment, whole.aligner
    images, masks, patches = make_patch_set(
        whole.images, whole.masks, usable, patch_set, protocol=protocol, near_duplicates=near_duplicates
    )
    cut = progress.track(images, total=len(images), label="cutting patches")
    return cut, masks, patches, whole.alignment, {}  # nothing is left to be done to a patch
