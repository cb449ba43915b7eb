"""What a one-class method makes of images: embeddings, what it learned of normal ones, maps and scores."""

from collections.abc import Callable, Iterator

import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.intake.manifest import rows_of
from flawline.methods.looking import Looks, embed_all
from flawline.methods.maps import image_score
from flawline.methods.registry import OneClass
from flawline.params import ComputeParams, Params
from flawline.pipelines.embedding.nodes import SCORED, scores_of
from flawline.pipelines.hinting import hinted
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.training.compute import as_asked, keep_memory
from flawline.training.progress import Progress

LEARNED = ("train", "validation")  # nothing is stopped early, so no image need be kept for that


def make_embed(spec: OneClass) -> Callable:
    """Return the node that embeds images, ``head`` hinted with the method's own parameters."""

    def embed(
        images: RaggedArray, manifest: pd.DataFrame, head: Params, compute: ComputeParams, progress: Progress,
        differences: RaggedArray | None = None,
    ) -> Iterator[NDArray]:  # fmt: skip
        """Return the embedding of every image of the manifest, in its order."""
        keep_memory()
        model = spec.head(head, spec.views)
        model.check(len(rows_of(manifest, LEARNED)))
        looks = Looks(spec, images, differences, None, range(len(images)))

        def made() -> Iterator[NDArray]:
            with as_asked(compute):
                yield from embed_all(model, looks, batch_size=head.features.batch_size)  # type: ignore[attr-defined]

        return progress.track(made(), total=len(looks), label=f"{spec.name}: embeddings")

    return hinted(embed, head=spec.head_params)


def make_fit(spec: OneClass) -> Callable:
    """Return the node that learns normal images."""

    def fit_one_class(
        images: RaggedArray, manifest: pd.DataFrame, head: Params, seed: int, compute: ComputeParams,
        differences: RaggedArray | None = None, embeddings: RaggedArray | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Return what the head learned of the normal images that are neither calibrated nor tested on."""
        keep_memory()
        looks = Looks(spec, images, differences, embeddings, rows_of(manifest, LEARNED))
        with as_asked(compute):
            return spec.head(head, spec.views).fit(looks, seed=seed)

    return hinted(fit_one_class, head=spec.head_params)


def make_map(spec: OneClass) -> Callable:
    """Return the node that makes the anomaly maps."""

    def map_images(
        images: RaggedArray, manifest: pd.DataFrame, one_class: dict[str, Tensor], head: Params,
        compute: ComputeParams, progress: Progress,
        differences: RaggedArray | None = None, embeddings: RaggedArray | None = None,
    ) -> Iterator[NDArray]:  # fmt: skip
        """Return the maps (H, W) float16 of all images outside train, empty where the method has none."""
        keep_memory()
        looks = Looks(spec, images, differences, embeddings, rows_of(manifest, SCORED))
        model = spec.head(head, spec.views)

        def map_one(k: int) -> NDArray:
            with as_asked(compute):  # the maps are made as they are stored
                return model.score(one_class, looks[k]).map

        maps = Lazy(len(looks), map_one)
        return progress.track(maps, total=len(maps), label=f"{spec.name}: anomaly maps")

    return hinted(map_images, head=spec.head_params)


def make_score(spec: OneClass) -> Callable:
    """Return the node that scores images as a whole."""

    def score_whole(
        images: RaggedArray, manifest: pd.DataFrame, one_class: dict[str, Tensor], maps: RaggedArray, head: Params,
        compute: ComputeParams,
        differences: RaggedArray | None = None, embeddings: RaggedArray | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Return a row for each map: image, split, label, defect, score (higher is more anomalous); and peak, the
        map's largest value, by which regions are told, unless the method has no map."""
        rows = rows_of(manifest, SCORED)
        looks = Looks(spec, images, differences, embeddings, rows)
        model = spec.head(head, spec.views)
        with as_asked(compute):
            scores = [model.score(one_class, look).score for look in looks]
        peaks = {"peak": [image_score(one) for one in maps]} if all(one.size for one in maps) else {}
        return scores_of(manifest.iloc[rows], score=scores, **peaks)

    return hinted(score_whole, head=spec.head_params)
