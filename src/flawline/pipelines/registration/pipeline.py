"""registration: raw images to what methods see: memory-mapped ``images`` and ``masks``, photographs or patches of them,
and ``usable_manifest``, a row an image; which alignment was chosen (``alignment_choice``), how each photograph was
aligned (``alignment``), and what aligns others like them (``aligner``)."""

from kedro.pipeline import Node, Pipeline

from flawline.pipelines.registration.nodes import choose, register


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            Node(
                choose,
                name="choose_alignment",
                inputs={
                    "raw_folder": "raw_folder",
                    "manifest": "manifest",
                    "ingestion": "params:ingestion",
                    "registration": "params:registration",
                    "scorer": "params:patch_memory.scorer",
                    "free_scorer": "params:patch_memory_free.scorer",
                    "defect_injection": "params:defect_injection",
                    "compute": "params:compute",
                    "progress": "progress",
                },
                outputs="alignment_choice",
            ),
            Node(
                register,
                name="register",
                inputs={
                    "raw_folder": "raw_folder",
                    "manifest": "manifest",
                    "near_duplicates": "near_duplicates",
                    "progress": "progress",
                    "ingestion": "params:ingestion",
                    "registration": "params:registration",
                    "protocol": "params:protocol",
                    "patch_set": "params:patch_set",
                    "known_registration": "known_registration",
                    "alignment_choice": "alignment_choice",
                    "compute": "params:compute",
                    "machine": "machine",
                },
                outputs=["images", "masks", "usable_manifest", "alignment", "aligner"],
            ),
        ],
        tags="registration",
    )
