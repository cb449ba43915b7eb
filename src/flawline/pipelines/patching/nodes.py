"""Where a method cuts its patches."""

import pandas as pd

from flawline.methods.maps import check_fits
from flawline.params import PatchParams
from flawline.vision.patches import index_patches
from flawline.vision.ragged import RaggedArray


def index_grid(images: RaggedArray, masks: RaggedArray, patches: PatchParams) -> pd.DataFrame:
    """Return the dense scoring grid of every image: image, y, x, place, mask_share; no pixel is copied."""
    check_fits(images.shapes, patches)
    return index_patches(images.shapes, masks, size=patches.size, stride=patches.stride)
