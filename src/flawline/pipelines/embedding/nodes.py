"""Images and weights to anomaly maps and image scores."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.intake.manifest import rows_of
from flawline.methods.maps import image_score, load_model, reconstruction_error, residual_map, smooth
from flawline.methods.registry import Autoencoder
from flawline.metrics.suitability import judge_network, patch_mean_error
from flawline.params import ComputeParams, MapParams, Params, PatchParams, SuitabilityParams
from flawline.pipelines.hinting import hinted
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.training.compute import as_asked, keep_memory
from flawline.training.progress import Progress
from flawline.training.windows import windows_of
from flawline.vision.patches import window_means

SCORED = ("validation", "calibration", "test")  # what the network did not learn from


def load_network(
    spec: Autoencoder, model: Params, images: RaggedArray, patches: PatchParams, weights: dict[str, Tensor],
    compute: ComputeParams,
) -> nn.Module:  # fmt: skip
    """Return a method's trained network for patches of ``images``, where it runs, ready to score."""
    return load_model(spec.build(model, channels=images.shapes[0][0], size=patches.size), weights, compute)


def make_map(spec: Autoencoder) -> Callable:
    """Return the mapping node of a method, ``model`` hinted with that method's own parameters."""

    def map_images(
        images: RaggedArray,
        manifest: pd.DataFrame,
        patch_index: pd.DataFrame,
        weights: dict[str, Tensor],
        patches: PatchParams,
        model: Params,
        compute: ComputeParams,
        progress: Progress,
    ) -> Iterator[NDArray]:
        """Return the raw maps (H, W) float16 of all images outside train, in the manifest's order."""
        keep_memory()
        network = load_network(spec, model, images, patches, weights, compute)
        grids = {i: grid[["y", "x"]].to_numpy() for i, grid in patch_index.groupby("image")}
        rows = rows_of(manifest, SCORED)

        def map_one(k: int) -> NDArray:
            with as_asked(compute):  # the maps are made as they are stored
                return residual_map(network, images[rows[k]], grids[rows[k]], patches, residual=spec.residual)

        maps = Lazy(len(rows), map_one)
        return progress.track(maps, total=len(maps), label="anomaly maps")

    return hinted(map_images, model=spec.model_params)


def smooth_maps(residuals: RaggedArray, map: MapParams) -> Lazy:
    """Return the anomaly maps (H, W) float16: the raw ones, smoothed."""
    return Lazy(len(residuals), lambda k: smooth(residuals[k], map.smoothing))


def score_images(maps: RaggedArray, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each map: image, split, label, defect, score (higher is more anomalous)."""
    rows = manifest.iloc[rows_of(manifest, SCORED)]
    scores = [image_score(anomaly) for anomaly in maps]
    return scores_of(rows, score=scores)


def scores_of(rows: pd.DataFrame, **columns: list[float]) -> pd.DataFrame:
    """Return a row for each of the manifest's ``rows``: image, split, label, defect and ``columns``."""
    return rows[["image", "split", "label", "defect"]].assign(**columns).reset_index(drop=True)


def score_patches(
    residuals: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame, patch_index: pd.DataFrame, patches: PatchParams
) -> pd.DataFrame:
    """Return a row for each patch of the test images' grid: image, y, x, mask_share, loss (the raw map's mean over the
    patch), as Schneider 2022, Fig. 6 has it. Defective images without a mask are left out: where they are normal is
    not known."""
    kept = {row: k for k, row in enumerate(rows_of(manifest, SCORED))}
    known = [row for row in rows_of(manifest, ["test"]) if manifest["label"].iloc[row] == 0 or masks[row].size]
    tests = patch_index[patch_index["image"].isin(known)]
    losses = [window_means(residuals[kept[row]], grid[["y", "x"]].to_numpy(), patches.size)
              for row, grid in tests.groupby("image", sort=False)]  # fmt: skip
    table = tests[["image", "y", "x", "mask_share"]].reset_index(drop=True)
    return table.assign(loss=np.concatenate(losses) if losses else np.zeros(0))


def make_judge(spec: Autoencoder) -> Callable:
    """Return the node that judges a trained network, ``model`` hinted with that method's own parameters."""

    def judge_suitability(
        images: RaggedArray,
        manifest: pd.DataFrame,
        weights: dict[str, Tensor],
        expected_suitability: dict[str, Any],
        patches: PatchParams,
        model: Params,
        seed: int,
        suitability: SuitabilityParams,
        compute: ComputeParams,
    ) -> dict[str, Any]:
        """Return whether the material suits the autoencoder: verdict, reason, explained (share), before (the
        expected_suitability)."""
        network = load_network(spec, model, images, patches, weights, compute)
        windows = windows_of(images, rows_of(manifest, ["validation"]), patches, seed=seed)
        held_out = windows.cut(windows.fixed())
        with as_asked(compute):
            error = reconstruction_error(network, held_out, spec.residual)
        baseline = patch_mean_error(held_out.numpy())
        verdict, reason, share = judge_network(error, baseline, expected_suitability["verdict"], suitability)
        return {"verdict": verdict, "reason": reason, "explained": share, "before": expected_suitability}

    return hinted(judge_suitability, model=spec.model_params)
