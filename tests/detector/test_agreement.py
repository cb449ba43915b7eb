"""Whether what was said of the same images differs."""

from dataclasses import replace

import pytest

from flawline.detector.agreement import disagreement, said_of_kept
from flawline.detector.judging import Judge, Judgement

# The fixture's detector is calibrated on 0.01 to 0.99: 0.95 rejects, 0.9 is for review, scores may be off by 0.00098.


def said(*scores, verdict="pass"):
    return [Judgement(verdict, "", score) for score in scores]


def test_the_same_is_no_disagreement_and_neither_are_last_digits(detector):
    assert disagreement(detector, said(0.2, 0.4), said(0.2, 0.4)) is None
    assert disagreement(detector, said(0.2, 0.4), said(0.2009, 0.4)) is None


def test_scores_are_off_by_more_than_is_allowed(detector):
    told = disagreement(detector, said(0.2, 0.4), said(0.2, 0.402))
    assert told == "scores are off by up to 0.002 (0.00098 are allowed)"


def test_another_verdict_is_told_whatever_the_scores(detector):
    told = disagreement(detector, said(0.2, 0.94999), [*said(0.2), *said(0.95001, verdict="reject")])
    assert told == "1 of 2 verdicts are others (reject in place of pass)"
    unread = [Judgement("not_judged", "is damaged")]
    assert disagreement(detector, said(0.2), unread) == "1 of 1 verdicts are others (not_judged in place of pass)"


def test_the_image_that_set_the_threshold_may_fall_on_either_side(detector):
    limit = detector.thresholds.reject.value
    assert disagreement(detector, said(limit), said(limit + 1e-6, verdict="reject")) is None
    assert "scores are off" in disagreement(detector, said(limit), said(limit + 0.01, verdict="reject"))


def test_as_many_are_compared_as_were_said(detector):
    with pytest.raises(ValueError, match="shorter"):
        disagreement(detector, said(0.2, 0.4), said(0.2))


def test_a_detector_that_keeps_no_images_says_nothing(detector):
    assert said_of_kept(Judge(replace(detector, checked_scores=()))) == []
