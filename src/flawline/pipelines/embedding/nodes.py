"""What a method's scorer makes of the images: embeddings, what it learned of normal ones, maps and scores."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.detector.evaluating import reduced, reduction_of, scores_of
from flawline.detector.making import kept_params
from flawline.detector.scoring import ImageScorer
from flawline.intake.manifest import rows_of
from flawline.intake.registration import frames_seen
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.maps import within
from flawline.methods.registry import LEARNED, Method
from flawline.params import ComputeParams
from flawline.pipelines.embedding.held_out import calibrating, learned_rows, scored_rows
from flawline.storage.ragged import Noted, RaggedArray
from flawline.storage.tensors import packed
from flawline.training.compute import as_asked, keep_memory, pick_runtime, side_by_side, workers_of
from flawline.training.progress import Progress
from flawline.vision.patches import window_means


def make_embed(spec: Method) -> Callable:
    """Return the node that embeds images for a method's scorer."""

    def embed(
        images: RaggedArray, manifest: pd.DataFrame, *, scorer: Any, compute: ComputeParams, progress: Progress,
        residuals: RaggedArray | None = None,
    ) -> Iterator[NDArray]:  # fmt: skip
        """Return the embedding of every image of the manifest, in its order."""
        keep_memory()
        model = spec.make_scorer(scorer, runtime=pick_runtime(compute))
        model.check(len(rows_of(manifest, LEARNED)))
        inputs = InputSequence(spec.views, images, range(len(images)), residuals)

        made = embed_all(model, inputs, batch_size=model.features.batch_size, workers=workers_of(compute))
        return progress.track(made, total=len(inputs), label=f"{spec.name}: embeddings")

    return embed


def make_fit(spec: Method) -> Callable:
    """Return the node in which a method's scorer learns normal images."""

    def fit_one_class(
        images: RaggedArray, manifest: pd.DataFrame, *, scorer: Any, seed: int, compute: ComputeParams,
        residuals: RaggedArray | None = None, embeddings: RaggedArray | None = None,
        folds: pd.DataFrame | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Return what the scorer learned of the normal images that are neither calibrated nor tested on; with
        ``folds``, of all that are not tested on."""
        keep_memory()
        inputs = InputSequence(spec.views, images, learned_rows(manifest, folds), residuals, embeddings)
        with as_asked(compute):
            return spec.make_scorer(scorer, runtime=pick_runtime(compute)).fit(inputs, seed=seed)

    return fit_one_class


def make_score(spec: Method) -> Callable:
    """Return the node that scores images: each once, map and score from one call."""

    def score_images(
        images: RaggedArray, manifest: pd.DataFrame, alignment: pd.DataFrame, *, aligner: dict[str, Tensor],
        scorer: Any, compute: ComputeParams, progress: Progress, one_class: dict[str, Tensor] | None = None,
        residuals: RaggedArray | None = None, embeddings: RaggedArray | None = None,
        folds: pd.DataFrame | None = None, held_out: RaggedArray | None = None,
    ) -> Iterator[Noted]:  # fmt: skip
        """Return the maps (H, W) float16 of all images outside train, with ``folds`` of those in it too; empty where
        the method has none, and lowest where the frame reaches beyond the photograph; each with its image's score where
        that is not made from the map. What was ``held_out`` is taken from there."""
        keep_memory()
        rows, known = scored_rows(manifest, folds), places_of(held_out, "image")
        weights = packed({"one_class": one_class or {}})
        model = ImageScorer(spec, {"scorer": scorer}, weights, channels=images.shapes[0][0], compute=compute)
        names, seen = manifest["image"].iloc[rows].tolist(), frames_seen(manifest, alignment, aligner)

        def make(k: int) -> Noted:
            if held_out is not None and names[k] in known:
                place = known[names[k]]
                return Noted(held_out[place], {} if spec.by_map else {"score": held_out.notes[place]["score"]})
            stored = {"residual": residuals, "embedding": embeddings}
            given = {name: each[rows[k]] for name, each in stored.items() if each is not None}
            scored, _ = model.score(images[rows[k]], **given)
            return Noted(within(scored.map, seen(names[k])), {} if spec.by_map else {"score": scored.score})

        made = side_by_side(make, range(len(rows)), workers=workers_of(compute))  # made as they are stored
        return progress.track(made, total=len(rows), label=f"{spec.name}: anomaly maps")

    return score_images


def make_tabulate(spec: Method) -> Callable:
    """Return the node that puts the scores in a table."""

    def tabulate_scores(
        maps: RaggedArray, manifest: pd.DataFrame, scorer: Any, folds: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Return a row for each map: image, split, label, defect, score (higher is more anomalous); and map_maximum,
        by which regions are told, where that is not the score and there is a map. Images in ``folds`` have the split
        calibration."""
        rows = calibrating(manifest.iloc[scored_rows(manifest, folds)], folds)
        reduction = reduction_of(spec, scorer, maps, rows["split"])
        if reduction is not None:
            return scores_of(rows, **reduced(maps, reduction))
        maxima = {"map_maximum": [float(one.max()) for one in maps]} if all(one.size for one in maps) else {}
        return scores_of(rows, score=[note["score"] for note in maps.notes], **maxima)

    return tabulate_scores


def make_score_pseudo(spec: Method) -> Callable:
    """Return the node that scores pseudo-defects."""

    def score_pseudo_defects(
        pseudo_images: RaggedArray, pseudo_defects: pd.DataFrame, manifest: pd.DataFrame, alignment: pd.DataFrame,
        maps: RaggedArray, scores: pd.DataFrame, *, aligner: dict[str, Tensor], scorer: Any, compute: ComputeParams,
        progress: Progress, one_class: dict[str, Tensor] | None = None, weights: dict[str, Tensor] | None = None,
        held_out: RaggedArray | None = None, **parts: Any,
    ) -> pd.DataFrame:  # fmt: skip
        """Return a row for each pseudo-defective image: the image that it was made of, kind, score. ``maps`` are those
        of the images in ``scores``, of which a reduction may have learned. What was ``held_out`` is taken from
        there."""
        keep_memory()
        params = kept_params(spec, scorer, parts)
        tensors = packed({"one_class": one_class or {}, "reconstructor": weights or {}})
        model = ImageScorer(spec, params, tensors, channels=pseudo_images.shapes[0][0], compute=compute)
        reduction, known = reduction_of(spec, scorer, maps, scores["split"]), places_of(held_out, "pseudo")
        seen, found = frames_seen(manifest, alignment, aligner), []
        tracked = progress.track(pseudo_images, total=len(pseudo_images), label=f"{spec.name}: pseudo-defects")
        with as_asked(compute):
            for k, (image, name) in enumerate(zip(tracked, pseudo_defects["image"], strict=True)):
                if held_out is not None and k in known:
                    anomaly, score = held_out[known[k]], held_out.notes[known[k]].get("score", np.nan)
                else:
                    scored, _ = model.score(image)
                    anomaly, score = within(scored.map, seen(name)), scored.score
                found.append(score if reduction is None else reduction(anomaly))
        return pseudo_defects[["image", "kind"]].assign(score=found)

    return score_pseudo_defects


def places_of(held_out: RaggedArray | None, key: str) -> dict[Any, int]:
    """Return where in a store the arrays lie that are noted with ``key``, by its value."""
    notes = [] if held_out is None else held_out.notes
    return {note[key]: place for place, note in enumerate(notes) if key in note}


def make_score_patches(spec: Method) -> Callable:
    """Return the node that scores the patches of the test images by their residual maps."""

    def score_patches(
        residuals: RaggedArray, masks: RaggedArray, manifest: pd.DataFrame, *, patch_index: pd.DataFrame, patches: Any
    ) -> pd.DataFrame:
        """Return a row for each patch of the test images' grid: image, y, x, mask_share, loss (the residual map's mean
        over the patch), as Schneider 2022, Fig. 6 has it. Defective images without a mask are left out: where they are
        normal is not known."""
        size = spec.own_reconstructor.typed(patches=patches)["patches"].size  # type: ignore[union-attr]
        known = [row for row in rows_of(manifest, ["test"]) if manifest["label"].iloc[row] == 0 or masks[row].size]
        tests = patch_index[patch_index["image"].isin(known)]
        losses = [window_means(residuals[row], grid[["y", "x"]].to_numpy(), size)
                  for row, grid in tests.groupby("image", sort=False)]  # fmt: skip
        table = tests[["image", "y", "x", "mask_share"]].reset_index(drop=True)
        return table.assign(loss=np.concatenate(losses) if losses else np.zeros(0))

    return score_patches
