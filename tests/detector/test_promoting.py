"""What two detectors said of the same photographs, and what is decided by it."""

import io

import numpy as np
import pandas as pd
import pytest
from base_params import BASE
from PIL import Image
from small_detector import untrained

from flawline.checks import FlawlineError
from flawline.detector.challenge_set import Addition, Challenge, add_challenges
from flawline.detector.file import Source
from flawline.detector.judging import Judge
from flawline.detector.promoting import (
    IMAGES,
    Paired,
    check_pair,
    compare_challenges,
    compare_images,
    decide,
    name_of,
    paired,
)
from flawline.storage.digests import content_digest

PARAMS = BASE.promotion
LOW, HIGH = (
    (0.0, 0.0),
    (1e6, 1e6),
)  # calibration scores of a detector that rejects everything, and of one that passes it


def png(grey):
    file = io.BytesIO()
    Image.fromarray(np.full((24, 28), grey, np.uint8)).save(file, "PNG")
    return file.getvalue()


def judge_of(scores, **more):
    return Judge(untrained((24, 28), (24, 28), scores, target=0.4, review=0.4, **more))


def table(*rows):
    """Return a table of IMAGES from (label, candidate's score and verdict, champion's score and verdict)."""
    found = [dict.fromkeys(IMAGES, "") | {"image": str(k), "label": label, "candidate_score": score,
             "candidate_verdict": verdict, "champion_score": other, "champion_verdict": theirs}
             for k, (label, score, verdict, other, theirs) in enumerate(rows)]  # fmt: skip
    return pd.DataFrame(found, columns=list(IMAGES)).astype({"candidate_score": float, "champion_score": float})


NO_CHALLENGES = pd.DataFrame(columns=["image", "outcome", "champion_outcome"])


def decided(images, challenges=NO_CHALLENGES, *, champion="b", **changes):
    return decide(challenges, images, PARAMS.but(**changes), candidate="a", champion=champion)


# --- the photographs -------------------------------------------------------------------------------------------------
@pytest.fixture
def manifest(tmp_path):
    """Five test photographs, of which one was changed and one is gone, and one that was learned from."""
    contents = {name: png(40 * k) for k, name in enumerate(["a.png", "b.png", "c.png", "changed.png", "t.png"])}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    rows = [(name, content_digest(content), 0, "test") for name, content in contents.items()]
    rows += [("gone.png", "0" * 64, 1, "test"), ("x.png", "1" * 64, 0, "train")]
    (tmp_path / "changed.png").write_bytes(png(77))
    return pd.DataFrame(rows, columns=["image", "sha256", "label", "split"])


def test_both_are_asked_of_every_test_photograph_that_is_new_to_them(manifest, tmp_path):
    digests = dict(zip(manifest["image"], manifest["sha256"], strict=True))
    candidate = judge_of(LOW, learned=("f" * 16, digests["b.png"][:16]))
    champion = judge_of(HIGH, learned=(digests["b.png"][:16], digests["c.png"][:16]))
    found = compare_images(manifest, tmp_path, candidate, champion).set_index("image")
    assert found.index.tolist() == ["a.png", "b.png", "c.png", "changed.png", "t.png", "gone.png"]
    assert found["learned"].tolist() == ["", "candidate and champion", "champion", "", "", ""]
    said = candidate.judge_file(png(0)).judgement
    assert found.loc["a.png", "candidate_score"] == found.loc["a.png", "champion_score"] == said.score
    assert found.loc["a.png", ["candidate_verdict", "champion_verdict"]].tolist() == ["reject", "pass"]
    assert found.loc["b.png", "candidate_verdict"] == ""
    assert found.loc[["changed.png", "gone.png"], "champion_verdict"].tolist() == ["not_judged"] * 2
    assert found.loc["changed.png", "candidate_reason"] == "was changed since the images were read in"


def test_a_candidate_that_does_not_tell_what_it_learned_from_is_not_compared(manifest, tmp_path):
    found = compare_images(manifest, tmp_path, judge_of(LOW), judge_of(HIGH, learned=("a" * 16,)))
    assert set(found["learned"]) == {"unknown"}
    decision = decided(found)
    assert decision.untold
    assert decision.against == ("untested",)


# --- pairs -----------------------------------------------------------------------------------------------------------
FOUR = [(0, 1.0, "pass", 1.0, "pass"), (0, 2.0, "pass", 2.0, "pass"), (1, 3.0, "reject", 3.0, "reject"),
        (1, 4.0, "review", 4.0, "reject")]  # fmt: skip


def test_the_same_scores_and_right_verdicts_are_a_promotion():
    """A defect that is for review is none that passes."""
    found = paired(table(*FOUR))
    assert found == Paired(2, 2, 1.0, 1.0, 0.0, 0, 0, 1.0)
    assert decided(table(*FOUR)).promoted


def test_an_image_without_a_score_is_wrong_and_has_no_part_in_the_auroc():
    rows = [
        *FOUR,
        (1, None, "not_judged", 5.0, "reject"),
        (0, 0.5, "review", 0.5, "pass"),
        (0, 0.5, "pass", None, "not_judged"),
    ]
    found = paired(table(*rows))
    assert (found.good, found.defective) == (3, 2)
    assert (found.worse, found.better) == (2, 1)
    assert found.p_value == pytest.approx(0.5)  # two or three of three tosses: 4 of 8


def test_what_one_learned_from_is_left_out():
    images = table(*FOUR, (1, 0.0, "pass", 9.0, "reject"))
    assert paired(images).worse == 1
    images.loc[4, "learned"] = "champion"
    assert paired(images).worse == 0


@pytest.mark.parametrize("rows", [FOUR[:3], FOUR[1:], []])
def test_two_of_each_label_are_needed(rows):
    assert paired(table(*rows)) is None
    assert decided(table(*rows)).against == ("untested",)
    assert decided(table(*rows), without_test=True).promoted


def test_a_loss_that_cannot_be_ruled_out_refuses():
    """One of two defects scores above one of two good images less: 1/4 of the pairs. Of four photographs nothing can
    be ruled out the other way round either; of forty, all alike, a gain of 1/4 is no loss."""
    rows = [(0, 1.0, "pass", 1.0, "pass"), (0, 2.0, "pass", 2.0, "pass"), (1, 1.5, "reject", 3.0, "reject"),
            (1, 4.0, "reject", 4.0, "reject")]  # fmt: skip
    decision = decided(table(*rows))
    assert (decision.paired.candidate_auroc, decision.paired.champion_auroc) == (0.75, 1.0)
    assert decision.against == ("ranking",)
    swapped = [(label, theirs, right, ours, other) for label, ours, other, theirs, right in rows]
    assert decided(table(*swapped)).against == ("ranking",)
    assert decided(table(*swapped * 10)).promoted


def test_five_verdicts_that_are_wrong_alone_refuse_and_four_do_not():
    """1/32 is below .05, 1/16 is not."""
    wrong = (1, 5.0, "pass", 5.0, "reject")
    assert decided(table(*FOUR, *[wrong] * 4)).promoted
    assert decided(table(*FOUR, *[wrong] * 5)).against == ("verdicts",)


def test_without_a_champion_the_challenge_set_alone_decides():
    assert decided(table(), champion="").promoted
    blocking = pd.DataFrame({"image": ["a.png"], "outcome": ["regressed"], "champion_outcome": [""]})
    assert decided(table(), blocking, champion="").against == ("blocked",)


# --- the challenge set -----------------------------------------------------------------------------------------------
def test_what_the_champion_alone_judges_as_wanted_is_lost_and_what_must_be_held_blocks():
    outcomes = [("regressed", "as_wanted"), ("missed", "as_wanted"), ("missed", "missed"), ("as_wanted", "missed"),
                ("not_judged", "not_judged")]  # fmt: skip
    challenges = pd.DataFrame(outcomes, columns=["outcome", "champion_outcome"]).assign(image=list("abcde"))
    decision = decided(table(*FOUR), challenges)
    assert (decision.blocked, decision.lost) == (("a", "e"), ("b",))
    assert decision.against == ("blocked", "lost")
    assert decision.to_dict()["promoted"] is False


def test_both_judge_the_challenge_set(tmp_path):
    (tmp_path / "a.png").write_bytes(png(9))
    taken = Challenge("a.png", content_digest(png(9)), "not_pass", "reject")
    challenges = add_challenges(tmp_path / "set", [Addition(tmp_path / "a.png", taken)])
    found = compare_challenges(challenges, judge_of(HIGH), judge_of(LOW))
    assert (found["outcome"][0], found["champion_outcome"][0]) == ("regressed", "as_wanted")
    alone = compare_challenges(challenges, judge_of(LOW), None)
    assert (alone["outcome"][0], alone["champion_outcome"][0]) == ("as_wanted", "")


def test_the_champion_is_not_promoted_again():
    one, same, other = (untrained((24, 28), (24, 28), LOW, source=Source("f", "0", version)) for version in "112")
    assert name_of(one) == "1"
    assert name_of(None) == ""
    with pytest.raises(FlawlineError, match="1 is the champion already"):
        check_pair(one, same)
    check_pair(one, other)
    check_pair(one, None)
