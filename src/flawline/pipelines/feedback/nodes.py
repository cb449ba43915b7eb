"""What people said of inspected images to counts beside the promise, good images to learn from, and the challenge
set."""

from pathlib import Path

import pandas as pd

from flawline.checks import FlawlineError
from flawline.detector.challenge_set import Addition, ChallengeSet
from flawline.detector.feedback import read_decisions, read_judged, take_feedback
from flawline.params import FeedbackParams
from flawline.report.feedback_sentences import feedback_in_words


def read_feedback(
    decisions_file: Path | None, verdicts_file: Path, new_images: Path | None, *, challenge_set: ChallengeSet,
    learned_digests: frozenset[str], good_folder: Path, feedback: FeedbackParams,
) -> tuple[pd.DataFrame, list[Addition], list[Addition], str]:  # fmt: skip
    """Return (a row a decision, images for the challenge set, good images, what came of it as a few lines of text)."""
    if decisions_file is None:
        raise FlawlineError("feedback needs a table of decisions: give it as --params decisions=FILE,category=NAME")
    judged = read_judged(verdicts_file)
    found = take_feedback(
        read_decisions(decisions_file), judged, folder=new_images, challenges=challenge_set, learned=learned_digests,
        into_challenge=feedback.challenge,
    )  # fmt: skip
    said = feedback_in_words(found, judged, folders=(str(good_folder), str(challenge_set.folder)))
    return found.table, found.challenges, found.good, said
