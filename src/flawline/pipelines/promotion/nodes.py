"""A registered detector and the champion on the same photographs to a decision, and the sentences that tell it."""

from pathlib import Path
from typing import Any

import pandas as pd

from flawline.detector.challenge_set import ChallengeSet
from flawline.detector.file import Detector
from flawline.detector.judging import Judge
from flawline.detector.promoting import IMAGES, check_pair, compare_challenges, compare_images, decide, name_of
from flawline.intake.folders import check_folder
from flawline.params import ComputeParams, InspectionParams, PromotionParams
from flawline.report.promotion_sentences import promotion_in_words
from flawline.training.compute import keep_memory, workers_of


def judge_challenges_by_both(
    challenge_set: ChallengeSet, candidate: Detector, champion: Detector | None, *, inspection: InspectionParams,
    compute: ComputeParams,
) -> pd.DataFrame:  # fmt: skip
    """Return what candidate and champion say of the challenge set, a row an image; it is judged even where an
    inspection leaves it out."""
    check_pair(candidate, champion)
    ours, theirs = both_judges(candidate, champion, inspection.but(challenge="block"), compute)
    return compare_challenges(challenge_set, ours, theirs, workers=workers_of(compute))


def judge_test_images_by_both(
    manifest: pd.DataFrame, raw_folder: Path, candidate: Detector, champion: Detector | None, *,
    inspection: InspectionParams, compute: ComputeParams,
) -> pd.DataFrame:  # fmt: skip
    """Return what candidate and champion say of the test photographs, a row an image; none without a champion."""
    keep_memory()
    ours, theirs = both_judges(candidate, champion, inspection, compute)
    if theirs is None:
        return pd.DataFrame(columns=list(IMAGES))
    check_folder(raw_folder, param="raw")
    return compare_images(manifest, raw_folder, ours, theirs, workers=workers_of(compute))


def both_judges(
    candidate: Detector, champion: Detector | None, inspection: InspectionParams, compute: ComputeParams
) -> tuple[Judge, Judge | None]:
    """Return candidate and champion at work, with the same settings; None of a champion that there is not."""
    theirs = None if champion is None else Judge(champion, inspection, compute=compute)
    return Judge(candidate, inspection, compute=compute), theirs


def decide_promotion(
    promotion_challenges: pd.DataFrame, promotion_images: pd.DataFrame, candidate: Detector,
    champion: Detector | None, *, promotion: PromotionParams,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Return (the decision with all that it rests on, the same in sentences)."""
    decision = decide(
        promotion_challenges, promotion_images, promotion, candidate=name_of(candidate), champion=name_of(champion)
    )
    said = promotion_in_words(decision, promotion)
    return decision.to_dict() | {"said": said}, said
