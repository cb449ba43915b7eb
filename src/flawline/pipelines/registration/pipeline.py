"""registration: raw images to memory-mapped ``images`` and ``masks``, and how each was ``alignment`` aligned."""

from kedro.pipeline import Node, Pipeline

from flawline.pipelines.registration.nodes import register


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            Node(
                register,
                name="register",
                inputs={
                    "raw_folder": "raw_folder",
                    "manifest": "manifest",
                    "progress": "progress",
                    "ingestion": "params:ingestion",
                    "registration": "params:registration",
                    "known_registration": "known_registration",
                },
                outputs=["images", "masks", "alignment"],
            ),
        ],
        tags="registration",
    )
