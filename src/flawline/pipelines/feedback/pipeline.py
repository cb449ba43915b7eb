"""feedback: decisions on an inspection's verdicts to ``feedback``, the challenge set and good images."""

from kedro.pipeline import Node, Pipeline

from flawline.pipelines.feedback.nodes import read_feedback


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            Node(
                read_feedback,
                name="read_feedback",
                inputs={
                    "decisions_file": "decisions_file",
                    "verdicts_file": "verdicts_file",
                    "new_images": "new_images",
                    "challenge_set": "challenge_set",
                    "learned_digests": "learned_digests",
                    "good_folder": "good_folder",
                    "feedback": "params:feedback",
                },
                outputs=["feedback", "challenge_additions", "good_images", "feedback_summary"],
            ),
        ],
        tags="feedback",
    )
