"""reporting: the results of one or several methods to ``comparison``, ``report`` and ``summary``, and the
``model_card`` of each."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.reporting.nodes import (
    add_beside,
    gather_result,
    make_card,
    make_compare,
    make_report,
    project_spaces,
)

PAGE = ("manifest", "quarantine", "alignment", "aligner", "alignment_choice", "shortcuts", "data_notes", "comparison",
        "run", "parameters")  # fmt: skip
FINDS = ("detectability", "pod_curves", "sized_verdicts", "real_rates")


def create_pipeline(specs: Sequence[Method]) -> Pipeline:
    names = [spec.name for spec in specs]
    suited = [spec.name for spec in specs if spec.suitability]
    together = [
        Node(
            make_compare(names, suited),
            name="compare",
            inputs=[
                "shortcuts",
                *(f"{name}.metrics" for name in names),
                *(f"{name}.suitability" for name in suited),
            ],
            outputs="comparison",
        ),
        Node(
            make_report,
            name="report",
            inputs={
                "category": "params:category",
                "seed": "params:seed",
                **{name: name for name in PAGE},
                **{f"result_of_{name}": f"{name}.result" for name in names},
            },
            outputs=["report", "summary"],
        ),
    ]
    return Pipeline([*(_gather(spec) for spec in specs), Pipeline(together)], tags="reporting")


def _gather(spec: Method) -> Pipeline:
    own = ("scores", "maps", "metrics", "curves", "verdicts", "suspicious", "operating_points", "detector")
    shared = ("images", "masks")
    return Pipeline(
        [
            Node(
                gather_result,
                name="gather_result",
                inputs={
                    **{name: name for name in (*shared, *own)},
                    "manifest": "usable_manifest",
                    "inspection": "params:inspection",
                    "reporting": "params:reporting",
                    "compute": "params:compute",
                },
                outputs="gathered",
            ),
            *_added(spec),
            Node(
                make_card,
                name="make_card",
                inputs={
                    **{name: name for name in ("result", "detectability", "detector", "run")},
                    "manifest": "usable_manifest",
                    "reporting": "params:reporting",
                },
                outputs="model_card",
            ),
        ],
        namespace=spec.name,
        inputs={*shared, "usable_manifest", "run"},
        parameters={
            "params:inspection",
            "params:inspection.mm_per_pixel",
            "params:reporting",
            "params:compute",
            *(["params:seed"] if spec.codes else []),
        },
    )


def _added(spec: Method) -> list[Node]:
    """Return the nodes that add to a result what a method has beside its scores."""
    has = {
        "history": spec.trains,
        "sample_reconstructions": spec.trains,
        "patch_losses": spec.has_patch_losses,
        "suitability": spec.suitability,
        "projections": spec.codes,
        "pseudo_gallery": spec.damages,
        "similarity": spec.similarity,
        "choice": spec.chooses,
        "found_by_kind": spec.chooses,
    }
    own = [*FINDS, *(name for name, there in has.items() if there)]
    inputs = {"result": "gathered", **{name: name for name in own}, "mm_per_pixel": "params:inspection.mm_per_pixel"}
    return [*_projected(spec), Node(add_beside, name="add_beside", inputs=inputs, outputs="result")]


def _projected(spec: Method) -> list[Node]:
    if not spec.codes:
        return []
    inputs = {"codes": "codes", "embeddings": "embeddings", "manifest": "usable_manifest", "seed": "params:seed"}
    return [Node(project_spaces, name="project_spaces", inputs=inputs, outputs="projections")]
