from collections import Counter, defaultdict

from flawline.metrics.conformal import calibrate_threshold
from flawline.report.feedback_sentences import escapes_in_words, flagged_in_words, overkill_in_words

PROMISE = calibrate_threshold(range(1, 40), target_overkill=0.05)


def counts(**of):
    return defaultdict(Counter, {verdict: Counter(each) for verdict, each in of.items()})


def test_flagged_images_that_are_good_are_counted_with_their_interval():
    said = flagged_in_words(counts(reject={"good": 1, "defective": 3, "": 2}, review={"good": 2}))
    assert said == [
        "1 of 4 images rejected are said to be good: 25 % (exact 95 % interval 0.63 to 81 %); of 2 nobody has said "
        "anything.",
        "2 of 2 images for review are said to be good: 100 % (exact 95 % interval 16 to 100 %).",
    ]


def test_overkill_counts_what_passed_as_good_unless_somebody_said_otherwise():
    said = overkill_in_words(
        counts(**{"reject": {"good": 1, "": 2}, "pass": {"": 18, "good": 1, "defective": 5}}), PROMISE
    )
    assert said[0] == (
        "overkill: at least 5.0 % of 20 good images, 18 of which passed and nobody said otherwise (exact 95 % interval "
        "0.13 to 25 %)."
    )
    assert said[1:] == [PROMISE.promise]


def test_overkill_that_is_more_than_promised_is_told():
    said = overkill_in_words(counts(**{"reject": {"good": 10}, "pass": {"good": 10}}), PROMISE)
    assert said[1] == "overkill: that is more than is promised."


def test_escapes_are_those_that_passed():
    assert escapes_in_words(counts(**{"pass": {"defective": 1}, "review": {"defective": 2}})) == [
        "escapes: 1 of 3 images that are said to be defective had passed."
    ]
    assert escapes_in_words(counts(reject={"good": 1})) == []
