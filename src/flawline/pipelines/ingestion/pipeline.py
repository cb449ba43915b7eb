"""ingestion: a raw folder, or an embedded example, to ``manifest`` and ``quarantine``, and a page about the images."""

from kedro.pipeline import Node, Pipeline

from flawline.pipelines.ingestion.nodes import draw_example, ingest, look_for_shortcuts, report_on_data


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
                inputs={
                    "raw_folder": "raw_folder",
                    "category": "params:category",
                    "ingestion": "params:ingestion",
                    "known_measurements": "known_measurements",
                    "challenge_set": "challenge_set",
                    "progress": "progress",
                },
                outputs=["manifest", "quarantine", "measurements", "near_duplicates", "data_notes"],
            ),
            Node(
                look_for_shortcuts,
                name="look_for_shortcuts",
                inputs={"manifest": "manifest", "measurements": "measurements"},
                outputs="shortcuts",
            ),
            Node(
                report_on_data,
                name="report_on_data",
                inputs={
                    "manifest": "manifest",
                    "quarantine": "quarantine",
                    "measurements": "measurements",
                    "near_duplicates": "near_duplicates",
                    "shortcuts": "shortcuts",
                    "data_notes": "data_notes",
                    "raw_folder": "raw_folder",
                    "category": "params:category",
                    "ingestion": "params:ingestion",
                    "run": "run",
                },
                outputs=["data_report", "data_summary"],
            ),
        ],
        tags="ingestion",
    )
