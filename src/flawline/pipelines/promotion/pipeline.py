"""promotion: a registered detector, the champion and photographs of known label to a decision, ``promotion``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method
from flawline.pipelines.promotion.nodes import decide_promotion, judge_challenges_by_both, judge_test_images_by_both


def create_pipeline(spec: Method) -> Pipeline:
    """Return the promotion of a method's detector."""
    both = {"candidate": f"{spec.name}.candidate", "champion": f"{spec.name}.champion"}
    judging = both | {"inspection": "params:inspection", "compute": "params:compute"}
    return Pipeline(
        [
            Node(
                judge_challenges_by_both,
                name="judge_challenges_by_both",
                inputs=judging | {"challenge_set": "challenge_set"},
                outputs="promotion_challenges",
            ),
            Node(
                judge_test_images_by_both,
                name="judge_test_images_by_both",
                inputs=judging | {"manifest": "manifest", "raw_folder": "raw_folder"},
                outputs="promotion_images",
            ),
            Node(
                decide_promotion,
                name="decide_promotion",
                inputs=both
                | {
                    "promotion_challenges": "promotion_challenges",
                    "promotion_images": "promotion_images",
                    "promotion": "params:promotion",
                },
                outputs=["promotion", "promotion_summary"],
            ),
        ],
        tags="promotion",
    )
