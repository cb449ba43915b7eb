"""Images and weights to anomaly maps and image scores."""

from collections.abc import Callable, Iterator

import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.methods.compute import keep_memory
from flawline.methods.maps import anomaly_map, image_score, load_model
from flawline.methods.progress import Progress
from flawline.methods.registry import Method
from flawline.params import ComputeParams, MapParams, Params, PatchParams
from flawline.vision.manifest import rows_of
from flawline.vision.ragged import Lazy, RaggedArray

SCORED = ("validation", "calibration", "test")  # what the network did not learn from


def make_map(spec: Method) -> Callable:
    """Return the mapping node of a method, ``model`` hinted with that method's own parameters."""

    def map_images(
        images: RaggedArray,
        manifest: pd.DataFrame,
        patch_index: pd.DataFrame,
        weights: dict[str, Tensor],
        patches: PatchParams,
        model: Params,
        map: MapParams,
        compute: ComputeParams,
        progress: Progress,
    ) -> Iterator[NDArray]:
        """Return the anomaly maps (H, W) float16 of all images outside train, in the manifest's order."""
        keep_memory()
        network = load_model(spec.build(model, channels=images.shapes[0][0], size=patches.size), weights, compute)
        grids = {i: grid[["y", "x"]].to_numpy() for i, grid in patch_index.groupby("image")}
        rows = rows_of(manifest, SCORED)
        maps = Lazy(
            len(rows),
            lambda k: anomaly_map(
                network, images[rows[k]], grids[rows[k]], patches, map.smoothing, residual=spec.residual
            ),
        )
        return progress.track(maps, total=len(maps), label="anomaly maps")

    map_images.__annotations__["model"] = spec.model_params
    return map_images


def score_images(maps: RaggedArray, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each map: image, split, label, defect, score (higher is more anomalous)."""
    rows = manifest.iloc[rows_of(manifest, SCORED)]
    scores = [image_score(anomaly) for anomaly in maps]
    return rows[["image", "split", "label", "defect"]].assign(score=scores).reset_index(drop=True)
