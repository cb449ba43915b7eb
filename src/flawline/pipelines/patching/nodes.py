"""Where a method cuts its patches, and whether they are worth learning."""

from typing import Any

import pandas as pd

from flawline.intake.manifest import rows_of
from flawline.methods.maps import check_fits
from flawline.metrics.suitability import expect_suitability
from flawline.params import PatchParams, SuitabilityParams
from flawline.storage.ragged import RaggedArray
from flawline.training.windows import windows_of
from flawline.vision.patches import index_patches


def index_grid(images: RaggedArray, masks: RaggedArray, patches: PatchParams) -> pd.DataFrame:
    """Return the dense scoring grid of every image: image, y, x, place, mask_share; no pixel is copied."""
    check_fits(images.shapes, patches)
    return index_patches(images.shapes, masks, size=patches.size, stride=patches.stride)


def expect_suitability_of(
    images: RaggedArray,
    manifest: pd.DataFrame,
    patches: PatchParams,
    code_length: int,
    seed: int,
    suitability: SuitabilityParams,
) -> dict[str, Any]:
    """Return, before training, whether the normal patches suit an autoencoder, as JSON has it."""
    check_fits(images.shapes, patches)
    train = windows_of(images, rows_of(manifest, ["train"]), patches, seed=seed)
    held_out = windows_of(images, rows_of(manifest, ["validation"]), patches, seed=seed)
    return expect_suitability(
        train.cut(train.first()).numpy(), held_out.cut(held_out.fixed()).numpy(),
        code_length=code_length, params=suitability,
    ).to_dict()  # fmt: skip
