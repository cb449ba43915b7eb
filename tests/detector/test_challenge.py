"""What a detector says of a challenge set, and what blocks."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flawline.checks import FlawlineError
from flawline.detector.challenge import COLUMNS, challenge_in_words, check_challenges, judge_challenges, outcome_of
from flawline.detector.challenge_set import Addition, Challenge, ChallengeSet, add_challenges
from flawline.detector.judging import Judge
from flawline.params import InspectionParams
from flawline.storage.digests import content_digest


def png(size=(24, 28), grey=100):
    file = io.BytesIO()
    Image.fromarray(np.full(size, grey, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def challenges(tmp_path):
    """Three images: one of the detector's size, one of another, one that is no image."""

    def taken(name, content, wanted, verdict):
        path = tmp_path / name
        path.write_bytes(content)
        return Addition(path, Challenge(name, content_digest(content), wanted, verdict))

    contents = {"part.png": png(), "small.png": png((5, 5)), "text.png": b"no image"}
    return add_challenges(
        tmp_path / "set", [taken(name, each, "not_pass", "reject") for name, each in contents.items()]
    )


def test_the_set_is_judged_as_any_image_is_and_what_is_not_judged_is_never_as_wanted(challenges, detector):
    judge = Judge(replace(detector, learned=(challenges.challenges[1].sha256[:16],)), InspectionParams())
    results = judge_challenges(challenges, judge)
    assert results.columns.tolist() == list(COLUMNS)
    known = judge.judge_file(png()).judgement
    assert (results["verdict"][0], results["score"][0]) == (known.verdict, known.score)
    assert results["outcome"].tolist() == ["regressed" if known.verdict == "pass" else "as_wanted", *["not_judged"] * 2]
    assert results["reason"][1] == "has 5 x 5 pixels; the detector learned from 24 x 28 to 32 x 28"
    assert results["learned"].tolist() == [False, True, False]


def test_a_set_that_is_off_or_not_there_is_not_judged(challenges, detector):
    for found, mode in ((challenges, "off"), (ChallengeSet(challenges.folder), "block")):
        results = judge_challenges(found, Judge(detector, InspectionParams(challenge=mode)))
        assert results.empty
        check_challenges(results, mode)
        assert challenge_in_words(results) == []


@pytest.mark.parametrize(
    ("wanted", "before", "verdict", "outcome"),
    [("not_pass", "reject", "review", "as_wanted"), ("not_pass", "review", "pass", "regressed"),
     ("not_pass", "pass", "pass", "missed"), ("not_pass", "pass", "reject", "as_wanted"),
     ("pass", "", "reject", "regressed"), ("pass", "reject", "review", "missed"),
     ("not_reject", "pass", "review", "as_wanted"), ("pass", "reject", "not_judged", "not_judged")],
)  # fmt: skip
def test_an_image_blocks_once_a_detector_was_right_on_it(wanted, before, verdict, outcome):
    assert outcome_of(Challenge("a.png", "0" * 64, wanted, before), verdict) == outcome


def row(image, outcome, *, verdict="pass", learned=False):
    known = {"image": image, "wanted": "not_pass", "verdict": verdict, "outcome": outcome, "reason": "below"}
    return dict.fromkeys(COLUMNS) | known | {"learned": learned}


def test_what_blocks_is_told_with_what_was_wanted_and_what_came():
    results = pd.DataFrame([row("a.png", "as_wanted"), row("b.png", "regressed"), row("c.png", "missed")])
    for mode in ("block", None):
        with pytest.raises(FlawlineError, match=r"  b.png: wanted review or reject, got pass \(below\)\n"):
            check_challenges(results, mode)
    check_challenges(results, "warn")
    check_challenges(results.drop(1), "block")


def test_all_that_came_of_a_set_is_told_in_sentences():
    results = pd.DataFrame([row("a.png", "as_wanted", learned=True), row("b.png", "regressed"), row("c.png", "missed")])
    assert challenge_in_words(results) == [
        "challenge set: 1 of 3 images are judged as wanted.",
        "challenge set: b.png: wanted review or reject, got pass (below)",
        "challenge set: 1 missed, as when they were taken in: c.png.",
        "challenge set: the detector learned from 1 of it (a.png), of which a verdict proves nothing; make the "
        "detector again, which leaves them out.",
    ]
