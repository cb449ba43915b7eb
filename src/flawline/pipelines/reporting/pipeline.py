"""reporting: the results of one or several methods to ``comparison``, ``report`` and ``summary``."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.reporting.nodes import gather_result, make_compare, make_report


def create_pipeline(specs: Sequence[Method]) -> Pipeline:
    names = [spec.name for spec in specs]
    together = [
        Node(
            make_compare(names),
            name="compare",
            inputs=[
                "shortcuts",
                *(f"{name}.metrics" for name in names),
                *(f"{name}.applicability" for name in names),
            ],
            outputs="comparison",
        ),
        Node(
            make_report,
            name="report",
            inputs=[
                "params:category",
                "params:seed",
                "manifest",
                "quarantine",
                "shortcuts",
                "comparison",
                "run",
                "parameters",
                *(f"{name}.result" for name in names),
            ],
            outputs=["report", "summary"],
        ),
    ]
    return Pipeline([*(_gather(spec) for spec in specs), Pipeline(together)], tags="reporting")


def _gather(spec: Method) -> Pipeline:
    own = ("scores", "maps", "metrics", "curves", "history", "verdicts", "patch_losses", "sketches", "applicability",
           "detector")  # fmt: skip
    shared = ("manifest", "images", "masks")
    return Pipeline(
        [
            Node(
                gather_result,
                name="gather_result",
                inputs={
                    **{name: name for name in (*shared, *own)},
                    "inspection": "params:inspection",
                    "reporting": "params:reporting",
                },
                outputs="result",
            )
        ],
        namespace=spec.name,
        inputs=set(shared),
        parameters={"params:inspection", "params:reporting"},
    )
