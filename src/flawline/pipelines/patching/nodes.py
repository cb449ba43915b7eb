"""Where a method cuts its patches, and whether they are worth learning."""

from typing import Any

import pandas as pd

from flawline.methods.maps import check_fits
from flawline.methods.training import windows_of
from flawline.metrics.applicability import foresee
from flawline.params import ApplicabilityParams, PatchParams
from flawline.vision.manifest import rows_of
from flawline.vision.patches import index_patches
from flawline.vision.ragged import RaggedArray


def index_grid(images: RaggedArray, masks: RaggedArray, patches: PatchParams) -> pd.DataFrame:
    """Return the dense scoring grid of every image: image, y, x, place, mask_share; no pixel is copied."""
    check_fits(images.shapes, patches)
    return index_patches(images.shapes, masks, size=patches.size, stride=patches.stride)


def look_ahead(
    images: RaggedArray,
    manifest: pd.DataFrame,
    patches: PatchParams,
    code_length: int,
    seed: int,
    applicability: ApplicabilityParams,
) -> dict[str, Any]:
    """Return, before training, whether the normal patches suit an autoencoder: a `Prospect` as JSON has it."""
    check_fits(images.shapes, patches)
    train = windows_of(images, rows_of(manifest, ["train"]), patches, seed=seed)
    held_out = windows_of(images, rows_of(manifest, ["validation"]), patches, seed=seed)
    return foresee(
        train.cut(train.first()).numpy(), held_out.cut(held_out.fixed()).numpy(),
        code_length=code_length, params=applicability,
    ).to_dict()  # fmt: skip
