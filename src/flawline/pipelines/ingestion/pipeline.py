"""ingestion: a raw folder, or an embedded example, to ``manifest`` and ``quarantine``."""

from kedro.pipeline import Node, Pipeline

from flawline.pipelines.ingestion.nodes import draw_example, ingest


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            Node(
                draw_example,
                name="draw_example",
                inputs={"category": "params:category", "raw": "params:raw", "examples": "params:examples"},
                outputs="raw_folder",
            ),
            Node(
                ingest,
                name="ingest",
                inputs={"raw_folder": "raw_folder", "ingestion": "params:ingestion"},
                outputs=["manifest", "quarantine"],
            ),
        ],
        tags="ingestion",
    )
