from base_params import BASE

from flawline.detector.promoting import Decision, Paired
from flawline.report.promotion_sentences import promotion_in_words

PAIRED = Paired(20, 63, 0.9992, 1.0, -0.0024, 0, 1, 1.0)


def told(**changes):
    known = {"candidate": "models:/m/2", "champion": "models:/m/1", "challenges": 0, "blocked": (), "lost": (),
             "paired": PAIRED, "untold": False, "against": ()}  # fmt: skip
    return promotion_in_words(Decision(**(known | changes)), BASE.promotion).splitlines()


def test_a_promotion_says_what_it_rests_on():
    assert told(challenges=3) == [
        "promoted: models:/m/2 is the champion now in the place of models:/m/1.",
        "The challenge set (3 images) speaks for it: nothing is missed that must not be.",
        "On 20 good and 63 defective test photographs its AUROC is 0.9992, the champion's 1.0000; with 95 % confidence "
        "the difference is at least -0.0024, above -0.02: it is no worse.",
        "It alone is wrong on 0 photographs, the champion alone on 1 (exact McNemar test that it is worse: p = 1.000): "
        "that its verdicts are worse is not shown.",
    ]


def test_a_refusal_says_everything_that_speaks_against_it():
    worse = Paired(20, 63, 0.9, 1.0, -0.15, 9, 1, 0.0107)
    lines = told(
        paired=worse,
        challenges=9,
        blocked=tuple("abcdefg"),
        lost=("h",),
        against=("blocked", "lost", "ranking", "verdicts"),
    )
    assert lines == [
        "not promoted: models:/m/2; models:/m/1 stays the champion.",
        "It misses 7 images of the challenge set that a detector must judge as wanted, or does not judge them: a, b, "
        "c, d, e and 2 more.",
        "It judges 1 image of the challenge set otherwise than wanted that the champion judges as wanted: h.",
        "On 20 good and 63 defective test photographs its AUROC is 0.9000, the champion's 1.0000; with 95 % confidence "
        "the difference is at least -0.1500, and a loss of 0.02 or more cannot be ruled out.",
        "It alone is wrong on 9 photographs, the champion alone on 1 (exact McNemar test that it is worse: p = 0.011): "
        "its verdicts are worse, since p is below 0.05.",
    ]


def test_without_test_photographs_it_is_told_why_and_what_to_do():
    lines = told(paired=None, against=("untested",))
    assert lines[1] == "There is no challenge set."
    assert lines[2].startswith(
        "It was not compared with the champion on test photographs: wanted at least 2 good and 2"
    )
    assert lines[3] == "To promote it without that comparison: promotion.without_test=true."
    assert len(told(paired=None)) == 3
    assert "does not say which photographs it learned from" in told(paired=None, untold=True)[2]


def test_the_first_champion_is_compared_with_nothing():
    assert told(champion="", paired=None) == [
        "promoted: models:/m/2 is the champion now.",
        "There is no challenge set.",
        "There was no champion to compare it with.",
    ]
    assert told(champion="", paired=None, against=("blocked",))[0].endswith("; there is still no champion.")
