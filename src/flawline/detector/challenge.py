"""Whether a detector still judges the images of a challenge set as a person wants them judged."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from flawline.checks import FlawlineError
from flawline.detector.challenge_set import WANTED, Challenge, ChallengeSet
from flawline.detector.judging import Judge, Judgement, not_judged
from flawline.intake.decoding import UnreadableImageError
from flawline.training.compute import side_by_side

# What came of an image: as wanted; missed now and when it was taken in; judged as wanted before and no longer; not
# judged, so that nothing is known.
AS_WANTED, MISSED, REGRESSED, NOT_JUDGED = "as_wanted", "missed", "regressed", "not_judged"
BLOCKING = (REGRESSED, NOT_JUDGED)
COLUMNS = ("image", "sha256", "wanted", "taken_in_as", "verdict", "outcome", "reason", "score", "threshold", "p_value",
           "learned", "why")  # fmt: skip
SHOWN = 5  # images that are told one by one


def judge_challenges(challenges: ChallengeSet, judge: Judge, *, workers: int = 1) -> pd.DataFrame:
    """Judge every image of a challenge set; return a row an image of COLUMNS, none where the settings say that it is
    off. Of the images that the detector has ``learned`` from, a verdict proves nothing."""
    asked = () if judge.inspection.challenge == "off" else challenges.challenges
    if asked:
        judge.check()  # before several threads ask for the scorer

    def one(challenge: Challenge) -> dict[str, Any]:
        learned = judge.detector.has_learned(challenge.sha256)
        return _row(challenge, _judged(challenges, challenge, judge), learned=learned)

    rows = side_by_side(one, asked, workers=workers)
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def _judged(challenges: ChallengeSet, challenge: Challenge, judge: Judge) -> Judgement:
    try:
        content, page = challenges.read(challenge)
    except UnreadableImageError as error:
        return not_judged(str(error)).judgement
    return judge.judge_file(content, page).judgement


def _row(challenge: Challenge, said: Judgement, *, learned: bool) -> dict[str, Any]:
    return {
        "image": challenge.image, "sha256": challenge.sha256, "wanted": challenge.wanted,
        "taken_in_as": challenge.verdict, "verdict": said.verdict, "outcome": outcome_of(challenge, said.verdict),
        "reason": said.reason, "score": said.score, "threshold": said.threshold, "p_value": said.p_value,
        "learned": learned, "why": challenge.why,
    }  # fmt: skip


def outcome_of(challenge: Challenge, verdict: str) -> str:
    """Return what a verdict means for an image of the challenge set."""
    if verdict == "not_judged":
        return NOT_JUDGED
    if challenge.is_met(verdict):
        return AS_WANTED
    return REGRESSED if challenge.held else MISSED


def check_challenges(results: pd.DataFrame, mode: str | None) -> None:
    """Raise FlawlineError if the challenge set blocks the inspection: an image is judged otherwise than it was, or not
    at all. ``mode`` is the parameter inspection.challenge."""
    wrong = list(_blocking(results))
    if wrong and mode not in ("warn", "off"):
        more = [f"and {len(wrong) - SHOWN} more"] * (len(wrong) > SHOWN)
        raise FlawlineError(
            "\n".join(["the detector no longer judges the challenge set as wanted, so no new image is judged:",
                       *(f"  {line}" for line in [*wrong[:SHOWN], *more]),
                       "Take the detector from before (detector=champion, or a version), make a better one, correct "
                       "the challenge set, or go on all the same: --params inspection.challenge=warn"])
        )  # fmt: skip


def challenge_in_words(results: pd.DataFrame) -> list[str]:
    """Return what came of a challenge set, in sentences; none where there is none."""
    if results.empty:
        return []
    met = int((results["outcome"] == AS_WANTED).sum())
    wrong, missed = list(_blocking(results)), results[results["outcome"] == MISSED]
    lines = [f"challenge set: {met} of {len(results)} images are judged as wanted."]
    lines += [f"challenge set: {line}" for line in wrong[:SHOWN]]
    if len(missed):
        names = ", ".join(missed["image"][:SHOWN])
        lines.append(f"challenge set: {len(missed)} missed, as when they were taken in: {names}.")
    learned = results[results["learned"]]
    if len(learned):
        lines.append(
            f"challenge set: the detector learned from {len(learned)} of it ({', '.join(learned['image'][:SHOWN])}), "
            f"of which a verdict proves nothing; make the detector again, which leaves them out."
        )
    return lines


def _blocking(results: pd.DataFrame) -> Iterator[str]:
    for row in results[results["outcome"].isin(BLOCKING)].to_dict("records"):
        wanted = " or ".join(WANTED[row["wanted"]])
        yield f"{row['image']}: wanted {wanted}, got {row['verdict']} ({row['reason']})"
