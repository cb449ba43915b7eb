"""The manifest's images in one frame and one store."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.intake import registration as intake
from flawline.params import IngestionParams, RegistrationParams
from flawline.training.progress import Progress


def register(
    raw_folder: Path, manifest: pd.DataFrame, *, ingestion: IngestionParams, registration: RegistrationParams,
    known_registration: intake.Registered | None, progress: Progress,
) -> tuple[Iterable[NDArray], Iterable[NDArray], pd.DataFrame, dict[str, Tensor]]:  # fmt: skip
    """Return (images (C, H, W), masks (H, W), alignment, aligner), as `flawline.intake.registration.register_images`
    makes them."""
    return intake.register_images(
        manifest, raw_folder, registration,
        max_pixels=ingestion.max_pixels, known=known_registration, track=progress.track,
    )  # fmt: skip
