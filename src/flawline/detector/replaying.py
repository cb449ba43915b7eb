"""Verdicts made again of the same photographs by the same detector, and compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.detector.engine_check import allowed_difference
from flawline.detector.file import Detector, load_detector
from flawline.detector.judging import Judge, Judgement
from flawline.intake.decoding import UnreadableImageError, read_bytes
from flawline.intake.manifest import locate
from flawline.params import ComputeParams, InspectionParams
from flawline.storage.digests import content_digest
from flawline.training.compute import keep_memory, side_by_side, workers_of

NO_DIGEST = "could not be read when it was inspected, so there is nothing to compare it with"


@dataclass(frozen=True)
class Replayed:
    """A row that was judged again: in what it is ``other``, or why it was ``left`` out; both empty if it is the
    same."""

    row: Mapping[str, str]
    other: str = ""
    left: str = ""


def replay_judge(facts: Mapping[str, Any], file: Path | None, compute: ComputeParams) -> Judge:
    """Return the judge of a record's facts, with the detector of ``file``; None: of where it lay. Raise
    FlawlineError if that is not the detector that judged."""
    known = facts["detector"]
    if not known:
        raise FlawlineError("the record names no detector, so nothing can be replayed")
    path = file or Path(known["file"])
    if not path.is_file():
        raise FlawlineError(
            f"no detector at {path}; wanted the one with the SHA-256 {known['sha256']}: give it as --detector FILE"
        )
    detector = load_detector(path)
    _check_digest(detector, known)
    judge = Judge(detector, _settings(facts), compute=compute)
    judge.check()
    return judge


def _check_digest(detector: Detector, known: Mapping[str, str]) -> None:
    if detector.source is None or detector.source.sha256 != known["sha256"]:
        raise FlawlineError(
            f"the detector is another than the one that judged: wanted the SHA-256 {known['sha256']} (version "
            f"{known['version'] or 'unknown'}), got {detector.source and detector.source.sha256}"
        )


def _settings(facts: Mapping[str, Any]) -> InspectionParams:
    try:
        return InspectionParams.model_validate(facts["inspection"])
    except ValidationError as error:
        raise FlawlineError(f"the settings in the record are not those of this version of flawline: {error}") from None


def replay(rows: Sequence[Mapping[str, str]], folder: Path, judge: Judge, compute: ComputeParams) -> Iterator[Replayed]:
    """Yield what comes of each row, in their order, of the photographs below ``folder``."""
    keep_memory()
    return side_by_side(partial(_replay_row, folder=folder, judge=judge), rows, workers=workers_of(compute))


def _replay_row(row: Mapping[str, str], *, folder: Path, judge: Judge) -> Replayed:
    if not row["sha256"]:
        return Replayed(row, left=NO_DIGEST)
    path, page = locate(folder, row["image"])
    try:
        content = read_bytes(path)
    except UnreadableImageError as error:
        return Replayed(row, f"the photograph {error}" if path.exists() else "the photograph is gone")
    if (found := content_digest(content)) != row["sha256"]:
        return Replayed(row, f"the photograph was changed: wanted the SHA-256 {row['sha256']}, got {found}")
    return Replayed(row, "; ".join(differences(row, judge.judge_file(content, page).judgement, judge)))


def differences(row: Mapping[str, str], said: Judgement, judge: Judge) -> list[str]:
    """Return in what a row is another than what is said now: its verdict, its score beyond what two engines may differ
    by, its threshold. As between engines, a score that is itself a threshold may fall on either side."""
    score, found = _number(row["score"]), []
    if row["verdict"] != said.verdict and not judge.thresholds.is_one(score):
        found.append(f"the verdict was {row['verdict']}, is {said.verdict} ({said.reason})")
    if not _near(score, said.score, allowed_difference(judge.detector)):
        found.append(f"the score was {score}, is {said.score} ({allowed_difference(judge.detector):.3g} are allowed)")
    if row["verdict"] == said.verdict and _number(row["threshold"]) != said.threshold:
        found.append(f"the threshold was {row['threshold'] or 'none'}, is {said.threshold}")
    return found


def _near(one: float | None, other: float | None, allowed: float) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= allowed


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # none, or no number any more
        return None
