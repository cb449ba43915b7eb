"""Arrays and tables in, pictures out: charts as matplotlib figures, photographs and anomaly maps as (H, W, 3) uint8."""

from flawline.figures.charts import (
    MOST_DOTS,
    drift_figure,
    feature_figure,
    histogram_figure,
    patch_loss_figure,
    pod_figure,
    pr_figure,
    pro_figure,
    projection_figure,
    roc_figure,
    similarity_figure,
)
from flawline.figures.encoding import data_uri, jpeg, mask_png, png, webp
from flawline.figures.gallery import SheetRow, contact_sheet
from flawline.figures.history import history_figure, history_panels
from flawline.figures.photographs import Region, full_scale, heat, overlay, scale_top, to_rgb8, white_level
from flawline.figures.style import svg
from flawline.figures.thumbnails import thumbnail, thumbnail_size

__all__ = [
    "MOST_DOTS",
    "Region",
    "SheetRow",
    "contact_sheet",
    "data_uri",
    "drift_figure",
    "feature_figure",
    "full_scale",
    "heat",
    "histogram_figure",
    "history_figure",
    "history_panels",
    "jpeg",
    "mask_png",
    "overlay",
    "patch_loss_figure",
    "png",
    "pod_figure",
    "pr_figure",
    "pro_figure",
    "projection_figure",
    "roc_figure",
    "scale_top",
    "similarity_figure",
    "svg",
    "thumbnail",
    "thumbnail_size",
    "to_rgb8",
    "webp",
    "white_level",
]
