"""Where a reconstructor's patches lie, whether they are worth learning, and images as small as it learns from."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from flawline.intake.manifest import rows_of
from flawline.methods.registry import Reconstructor, resolve
from flawline.metrics.suitability import expect_suitability
from flawline.params import SuitabilityParams
from flawline.storage.ragged import RaggedArray
from flawline.training.progress import Progress
from flawline.training.windows import windows_of
from flawline.vision.downsizing import downsize
from flawline.vision.patches import index_patches


def make_index_grid(row: Reconstructor) -> Callable:
    """Return the node that indexes the scoring grid of a reconstructor."""

    def index_grid(images: RaggedArray, masks: RaggedArray, patches: Any) -> pd.DataFrame:
        """Return the dense scoring grid of every image: image, y, x, position, mask_share; no pixel is copied."""
        parts = row.typed(patches=patches)
        resolve(row.check)(images.shapes, **parts)
        return index_patches(images.shapes, masks, size=parts["patches"].size, stride=parts["patches"].stride)

    return index_grid


def make_shrink_images(row: Reconstructor) -> Callable:
    """Return the node that downsizes the images for a reconstructor."""

    def shrink_images(images: RaggedArray, patches: Any, progress: Progress) -> Iterator[NDArray]:
        """Return every image downsized (C, h, w)."""
        parts = row.typed(patches=patches)
        resolve(row.check)(images.shapes, **parts)
        made = (downsize(image, parts["patches"].side) for image in images)
        return progress.track(made, total=len(images), label="downsizing")

    return shrink_images


def make_expect_suitability(row: Reconstructor) -> Callable:
    """Return the node that tells before training whether the material suits a reconstructor."""

    def expect_suitability_of(
        images: RaggedArray, manifest: pd.DataFrame, *, patches: Any, code_length: int, seed: int,
        suitability: SuitabilityParams,
    ) -> dict[str, Any]:  # fmt: skip
        """Return, before training, whether the normal patches suit an autoencoder, as JSON has it."""
        parts = row.typed(patches=patches)
        train, held_out = (windows_of(images, rows_of(manifest, [split]), parts["patches"], seed=seed)
                           for split in ("train", "validation"))  # fmt: skip
        return expect_suitability(
            train.cut(train.first()).numpy(), held_out.cut(held_out.fixed()).numpy(),
            code_length=code_length, params=suitability,
        ).to_dict()  # fmt: skip

    return expect_suitability_of
