"""Whether a detector may take the place of the champion, which judges now: both are put to the same photographs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from flawline.checks import FlawlineError
from flawline.detector.challenge import AS_WANTED, BLOCKING, judge_challenges
from flawline.detector.challenge_set import WANTED, ChallengeSet
from flawline.detector.file import Detector
from flawline.detector.judging import Judge, Judgement, not_judged
from flawline.intake.decoding import UnreadableImageError, read_bytes
from flawline.intake.manifest import locate
from flawline.metrics.delong import least_gain, placements
from flawline.metrics.mcnemar import p_worse
from flawline.params import PromotionParams
from flawline.storage.digests import content_digest
from flawline.training.compute import side_by_side

CANDIDATE, CHAMPION = SIDES = ("candidate", "champion")
IMAGES = ("image", "sha256", "label", "learned", "candidate_score", "candidate_verdict", "candidate_reason",
          "champion_score", "champion_verdict", "champion_reason")  # fmt: skip
UNKNOWN = "unknown"  # by whom a photograph was learned from that the candidate does not tell of
RIGHT = {0: WANTED["pass"], 1: WANTED["not_pass"]}  # label -> the verdicts that are right, as in the challenge set
LEAST = 2  # images of each label, without which the AUROC has no scatter
# What speaks against a promotion.
BLOCKED, LOST, UNTESTED, RANKING, VERDICTS = "blocked", "lost", "untested", "ranking", "verdicts"


@dataclass(frozen=True)
class Paired:
    """Two detectors on the same test photographs: how many good and defective ones both scored, the AUROC of each,
    the lower bound of the candidate's minus the champion's, and on how many photographs the candidate alone is wrong
    (``worse``) and the champion alone is (``better``), with the p-value of that."""

    good: int
    defective: int
    candidate_auroc: float
    champion_auroc: float
    least_gain: float
    worse: int
    better: int
    p_value: float


@dataclass(frozen=True)
class Decision:
    """What was found of a candidate: of ``challenges`` images of the challenge set those that block it, and those that
    only the champion judges as wanted; the comparison on test photographs, None if there is none; and ``against``, what
    speaks against a promotion. ``champion`` is empty if there was none."""

    candidate: str
    champion: str
    challenges: int
    blocked: tuple[str, ...]
    lost: tuple[str, ...]
    paired: Paired | None
    untold: bool  # the candidate does not say what it learned from
    against: tuple[str, ...]

    @property
    def promoted(self) -> bool:
        return not self.against

    def to_dict(self) -> dict[str, Any]:
        return {"promoted": self.promoted, **asdict(self)}


def check_pair(candidate: Detector, champion: Detector | None) -> None:
    """Raise FlawlineError if the candidate is the champion already."""
    if champion is not None and name_of(candidate) == name_of(champion):
        raise FlawlineError(
            f"{name_of(candidate)} is the champion already. Make a detector first, or name another version: detector=3"
        )


def name_of(detector: Detector | None) -> str:
    """Return the version that a registered detector is; empty of none."""
    return detector.source.version if detector is not None and detector.source is not None else ""


def compare_challenges(
    challenges: ChallengeSet, candidate: Judge, champion: Judge | None, *, workers: int = 1
) -> pd.DataFrame:
    """Return what the candidate says of each image of the challenge set, as `judge_challenges` does, and what the
    champion does: champion_verdict and champion_outcome, empty where there is none."""
    results = judge_challenges(challenges, candidate, workers=workers)
    known = None if champion is None else judge_challenges(challenges, champion, workers=workers)
    for name in ("verdict", "outcome"):
        results[f"champion_{name}"] = "" if known is None else known[name]
    return results


def compare_images(
    manifest: pd.DataFrame, folder: Path, candidate: Judge, champion: Judge, *, workers: int = 1
) -> pd.DataFrame:
    """Judge the test photographs of a manifest, which lie below ``folder``, by both detectors; return a row an image of
    IMAGES. Of those that one of them has ``learned`` from, nothing is asked."""
    judges = dict(zip(SIDES, (candidate, champion), strict=True))
    for judge in judges.values():
        judge.check()  # before several threads ask for the scorer

    def one(row: dict[str, Any]) -> dict[str, Any]:
        known = {name: row[name] for name in ("image", "sha256", "label")} | {"learned": _learned_by(row, judges)}
        said = {} if known["learned"] else {side: _said(row, folder, judge) for side, judge in judges.items()}
        return known | {
            f"{side}_{name}": getattr(said.get(side), name, None if name == "score" else "")
            for side in SIDES for name in ("score", "verdict", "reason")
        }  # fmt: skip

    tests = manifest[manifest["split"] == "test"].to_dict("records")
    return pd.DataFrame(list(side_by_side(one, tests, workers=workers)), columns=list(IMAGES))


def _learned_by(row: dict[str, Any], judges: dict[str, Judge]) -> str:
    """Return who learned from a photograph. A champion that does not tell is asked all the same: what it learned from
    would flatter it, and so not the candidate."""
    if not judges[CANDIDATE].detector.learned:
        return UNKNOWN
    return " and ".join(side for side in SIDES if judges[side].detector.has_learned(row["sha256"]))


def _said(row: dict[str, Any], folder: Path, judge: Judge) -> Judgement:
    path, page = locate(folder, row["image"])
    try:
        content = read_bytes(path)
    except UnreadableImageError as error:
        return not_judged(str(error)).judgement
    if content_digest(content) != row["sha256"]:
        return not_judged("was changed since the images were read in").judgement
    return judge.judge_file(content, page).judgement


def paired(images: pd.DataFrame) -> Paired | None:
    """Compare two detectors on a table of IMAGES; None unless both scored at least LEAST good and defective ones. An
    image that one does not judge has no part in the AUROC, and is wrong for that one."""
    judged = images[images["learned"] == ""]
    scores = [f"{side}_score" for side in SIDES]
    scored = judged[judged[scores].notna().all(axis=1)]
    good, defective = (scored[scored["label"] == label] for label in RIGHT)
    if min(len(good), len(defective)) < LEAST:
        return None
    ours, theirs = (placements(good[each].astype(float), defective[each].astype(float)) for each in scores)
    worse, better = _discordant(judged)
    return Paired(len(good), len(defective), float(ours[0].mean()), float(theirs[0].mean()), least_gain(ours, theirs),
                  worse, better, p_worse(worse, better))  # fmt: skip


def _discordant(judged: pd.DataFrame) -> tuple[int, int]:
    """Return on how many images the candidate alone is wrong, and on how many the champion alone is."""
    ours, theirs = (
        [
            verdict in RIGHT[int(label)]
            for label, verdict in zip(judged["label"], judged[f"{side}_verdict"], strict=True)
        ]
        for side in SIDES
    )
    pairs = list(zip(ours, theirs, strict=True))
    return pairs.count((False, True)), pairs.count((True, False))


def decide(
    challenges: pd.DataFrame, images: pd.DataFrame, params: PromotionParams, *, candidate: str, champion: str
) -> Decision:
    """Decide by what both said of the challenge set and of the test photographs, tables as `compare_challenges` and
    `compare_images` return them. Without a champion the challenge set alone decides."""
    blocked = challenges["outcome"].isin(BLOCKING)
    lost = (challenges["champion_outcome"] == AS_WANTED) & (challenges["outcome"] != AS_WANTED) & ~blocked
    found = paired(images) if champion else None
    reasons = {
        BLOCKED: bool(blocked.any()),
        LOST: bool(lost.any()),
        UNTESTED: bool(champion) and found is None and not params.without_test,
        RANKING: found is not None and found.least_gain <= -params.margin,
        VERDICTS: found is not None and found.p_value < params.significance,
    }
    return Decision(
        candidate, champion, len(challenges), tuple(challenges.loc[blocked, "image"]),
        tuple(challenges.loc[lost, "image"]), found, bool((images["learned"] == UNKNOWN).any()),
        tuple(name for name, holds in reasons.items() if holds),
    )  # fmt: skip
