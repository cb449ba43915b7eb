"""registration: raw images to memory-mapped ``images`` and ``masks``, how each was aligned (``alignment``), and what
aligns others like them (``aligner``); and ``usable_manifest``, the manifest without what could not be aligned."""

from kedro.pipeline import Node, Pipeline

from flawline.intake.registration import without_misaligned
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
                outputs=["images", "masks", "alignment", "aligner"],
            ),
            Node(
                without_misaligned,
                name="drop_misaligned",
                inputs={"manifest": "manifest", "alignment": "alignment"},
                outputs="usable_manifest",
            ),
        ],
        tags="registration",
    )
