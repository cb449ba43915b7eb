"""Whether a detector says the same wherever it is asked: by each engine, and as a model that was stored and loaded."""

from collections.abc import Sequence

from flawline.detector.engine_check import allowed_difference, kept_images
from flawline.detector.file import Detector
from flawline.detector.judging import Judge, Judgement


def said_of_kept(judge: Judge) -> list[Judgement]:
    """Return what is said of each image that a detector keeps. Raise FlawlineError if its engine scores them
    otherwise than the one that the detector was calibrated with."""
    return [judge.judge_framed(image).judgement for image in kept_images(judge.detector)]


def disagreement(detector: Detector, wanted: Sequence[Judgement], found: Sequence[Judgement]) -> str | None:
    """Return in words how what was said of the same images differs; None if it does not.

    Scores may be off by what is allowed of engines. The verdict on an image whose score is a threshold may then be
    another, since it set the threshold itself."""
    pairs = list(zip(wanted, found, strict=True))
    others = [
        (one, two) for one, two in pairs if one.verdict != two.verdict and not detector.thresholds.is_one(one.score)
    ]
    if others:
        one, two = others[0]
        return f"{len(others)} of {len(pairs)} verdicts are others ({two.verdict} in place of {one.verdict})"
    off = max((abs(one.score - two.score) for one, two in pairs if one.score is not None and two.score is not None),
              default=0.0)  # fmt: skip
    allowed = allowed_difference(detector)
    return f"scores are off by up to {off:.3g} ({allowed:.3g} are allowed)" if off > allowed else None
