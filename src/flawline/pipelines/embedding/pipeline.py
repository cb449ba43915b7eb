"""embedding: images and what a method learned to its ``maps`` and ``scores``; of an autoencoder also ``residuals``,
``patch_losses`` and ``suitability``, of a one-class method ``embeddings`` and the ``one_class`` model."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Autoencoder, Method, OneClass
from flawline.pipelines.embedding import one_class
from flawline.pipelines.embedding.nodes import make_judge, make_map, score_images, score_patches, smooth_maps


def create_pipeline(spec: Method) -> Pipeline:
    return _of_autoencoder(spec) if isinstance(spec, Autoencoder) else _of_one_class(spec)


def _of_one_class(spec: OneClass) -> Pipeline:
    seen = {"images": "images"}
    seen |= {"differences": "differences"} if spec.redrawer else {}
    look = seen | ({"embeddings": "embeddings"} if spec.embeds else {})
    shared = {"head": "params:head", "compute": "params:compute"}
    embed = Node(
        one_class.make_embed(spec),
        name="embed",
        inputs={**seen, **shared, "manifest": "usable_manifest", "progress": "progress"},
        outputs="embeddings",
    )
    fit = Node(
        one_class.make_fit(spec),
        name="fit_one_class",
        inputs={**look, **shared, "manifest": "usable_manifest", "seed": "params:seed"},
        outputs="one_class",
    )
    draw = Node(
        one_class.make_map(spec),
        name="map_images",
        inputs={**look, **shared, "manifest": "usable_manifest", "one_class": "one_class", "progress": "progress"},
        outputs="maps",
    )
    by_map = Node(
        score_images, name="score_images", inputs={"maps": "maps", "manifest": "usable_manifest"}, outputs="scores"
    )
    whole = Node(
        one_class.make_score(spec),
        name="score_images",
        inputs={**look, **shared, "manifest": "usable_manifest", "one_class": "one_class", "maps": "maps"},
        outputs="scores",
    )
    inputs = {"images": "images", "usable_manifest": "usable_manifest", "progress": "progress"}
    if spec.redrawer:
        inputs["differences"] = f"{spec.redrawer}.differences"
    return Pipeline(
        [*([embed] if spec.embeds else []), fit, draw, by_map if spec.by_map else whole],
        namespace=spec.name,
        inputs=inputs,
        parameters={"params:compute", "params:seed"},
        tags="embedding",
    )


def _of_autoencoder(spec: Autoencoder) -> Pipeline:
    return Pipeline(
        [
            Node(
                make_map(spec),
                name="map_images",
                inputs={
                    "images": "images",
                    "manifest": "usable_manifest",
                    "patch_index": "patch_index",
                    "weights": "weights",
                    "patches": "params:patches",
                    "model": "params:model",
                    "compute": "params:compute",
                    "progress": "progress",
                },
                outputs="residuals",
            ),
            Node(
                smooth_maps,
                name="smooth_maps",
                inputs={"residuals": "residuals", "map": "params:map"},
                outputs="maps",
            ),
            Node(
                score_images,
                name="score_images",
                inputs={"maps": "maps", "manifest": "usable_manifest"},
                outputs="scores",
            ),
            Node(
                score_patches,
                name="score_patches",
                inputs={
                    "residuals": "residuals",
                    "masks": "masks",
                    "manifest": "usable_manifest",
                    "patch_index": "patch_index",
                    "patches": "params:patches",
                },
                outputs="patch_losses",
            ),
            Node(
                make_judge(spec),
                name="judge_suitability",
                inputs={
                    "images": "images",
                    "manifest": "usable_manifest",
                    "weights": "weights",
                    "expected_suitability": "expected_suitability",
                    "patches": "params:patches",
                    "model": "params:model",
                    "seed": "params:seed",
                    "suitability": "params:suitability",
                    "compute": "params:compute",
                },
                outputs="suitability",
            ),
        ],
        namespace=spec.name,
        inputs={"images", "masks", "usable_manifest", "progress"},
        parameters={"params:compute", "params:seed", "params:suitability"},
        tags="embedding",
    )
