"""What a trained reconstructor makes of the images: residual images, latent codes, and whether the material suits."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.intake.manifest import rows_of
from flawline.methods.maps import reconstruction_error
from flawline.methods.one_class import NO_MAP
from flawline.methods.reconstruction import likeness
from flawline.methods.registry import Reconstructor
from flawline.metrics.suitability import black_error, judge_network, patch_mean_error, reach_of
from flawline.params import ComputeParams, SuitabilityParams
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.training.compute import as_asked, keep_memory
from flawline.training.folds import fold_of, fold_weights
from flawline.training.progress import Progress
from flawline.training.windows import windows_of
from flawline.vision.defects.injection import spread

COMPARED = 200  # images of a kind whose similarity is told


def make_reconstruct(row: Reconstructor) -> Callable:
    """Return the node that makes a reconstructor's residual images."""

    def reconstruct(
        images: RaggedArray, manifest: pd.DataFrame, weights: dict[str, Tensor], *, compute: ComputeParams,
        progress: Progress, seed: int = 0, folds: int = 0, fold_networks: dict[str, Tensor] | None = None, **parts: Any,
    ) -> Iterator[NDArray]:  # fmt: skip
        """Return the residual image of every image of the manifest, float16, empty where none is wanted. Where there
        are folds, a training image is reconstructed by the network that did not see it."""
        keep_memory()
        typed, channels = row.typed(**parts), images.shapes[0][0]
        sets = [weights, *(fold_weights(fold_networks or {}, k) for k in range(folds))]
        ready = [row.ready(each, typed, channels=channels, compute=compute) for each in sets]
        wanted, unseen = set(rows_of(manifest, row.residuals_of)), _unseen(manifest, folds, seed)

        def make(i: int) -> NDArray[np.float16]:
            if i not in wanted:
                return NO_MAP
            with as_asked(compute):  # made as they are stored
                return ready[unseen.get(i, 0)].reconstruct(images[i]).residual

        return progress.track(Lazy(len(images), make), total=len(images), label=f"{row.name}: residual images")

    return reconstruct


def _unseen(manifest: pd.DataFrame, folds: int, seed: int) -> dict[int, int]:
    """Return which of the networks (0: that of all images, 1: that of the first fold, ...) did not see an image."""
    rows = rows_of(manifest, ["train"])
    of: Sequence[int] = fold_of(len(rows), folds, seed).tolist() if folds else []
    return {row: fold + 1 for row, fold in zip(rows, of, strict=False)}


def make_encode(row: Reconstructor) -> Callable:
    """Return the node that makes a reconstructor's latent codes."""

    def encode(
        images: RaggedArray, manifest: pd.DataFrame, weights: dict[str, Tensor], *, compute: ComputeParams,
        progress: Progress, **parts: Any,
    ) -> Iterator[NDArray]:  # fmt: skip
        """Return the latent codes (h, w, d) of every image of the manifest, one a patch of the grid; empty where none
        are wanted."""
        ready = row.ready(weights, row.typed(**parts), channels=images.shapes[0][0], compute=compute)
        wanted = set(rows_of(manifest, row.codes_of))

        def make(i: int) -> NDArray[np.float32]:
            if i not in wanted:
                return np.zeros((0, 0, 0), np.float32)
            with as_asked(compute):
                return ready.codes(images[i])

        return progress.track(Lazy(len(images), make), total=len(images), label=f"{row.name}: latent codes")

    return encode


def make_compare(row: Reconstructor) -> Callable:
    """Return the node that compares images with their reconstructions."""

    def compare_reconstructions(
        images: RaggedArray, manifest: pd.DataFrame, weights: dict[str, Tensor], *, pseudo_images: RaggedArray,
        compute: ComputeParams, progress: Progress, **parts: Any,
    ) -> pd.DataFrame:  # fmt: skip
        """Return kind, error and ssim of images and their reconstructions, of each kind so many at the most."""
        keep_memory()
        ready = row.ready(weights, row.typed(**parts), channels=images.shapes[0][0], compute=compute)
        labels = manifest["label"]
        tests = rows_of(manifest, ["test"])
        kinds = {
            "learned from": Lazy.of(images, rows_of(manifest, ["train"])),
            "pseudo-defect": pseudo_images,
            "normal": Lazy.of(images, [i for i in tests if labels.iloc[i] == 0]),
            "defective": Lazy.of(images, [i for i in tests if labels.iloc[i] == 1]),
        }
        some = [(kind, each[i]) for kind, each in kinds.items() for i in spread(len(each), COMPARED)]
        tracked = progress.track(some, total=len(some), label=f"{row.name}: similarity")
        with as_asked(compute):
            return pd.DataFrame([{"kind": kind, **likeness(image, ready)} for kind, image in tracked])

    return compare_reconstructions


def make_judge_suitability(row: Reconstructor) -> Callable:
    """Return the node that tells, of a trained reconstructor, whether the material suits it."""

    def judge_suitability(
        images: RaggedArray, manifest: pd.DataFrame, weights: dict[str, Tensor], *,
        expected_suitability: dict[str, Any], seed: int, suitability: SuitabilityParams, compute: ComputeParams,
        **parts: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the verdict, its reason, the explained share, and ``before``: what was expected before training."""
        typed = row.typed(**parts)
        ready = row.ready(weights, typed, channels=images.shapes[0][0], compute=compute)
        windows = windows_of(images, rows_of(manifest, ["validation"]), typed["patches"], seed=seed)
        held_out = windows.cut(windows.fixed())  # (n, C, s, s)
        seen = held_out.numpy()
        with as_asked(compute):
            error = reconstruction_error(ready.network, held_out, ready.residual)
        verdict, reason, share = judge_network(
            error, patch_mean_error(seen), expected_suitability["verdict"], suitability,
            reach=reach_of(seen), black=black_error(seen),
        )  # fmt: skip
        return {"verdict": verdict, "reason": reason, "explained": share, "before": expected_suitability}

    return judge_suitability
