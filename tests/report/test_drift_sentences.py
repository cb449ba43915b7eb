import numpy as np
import pandas as pd
import pytest

from flawline.metrics.drift import SCORE, find_drift
from flawline.metrics.drift_causes import CAUSES as NAMES
from flawline.report.drift_sentences import CAUSES, FIGURES, drift_sentences, silence
from flawline.vision.appearance import FIGURES as MEASURED

GOOD = np.linspace(1, 2, 200)
STILL = [1.5] * 20


def drift(good=GOOD, **values):
    found = find_drift(values, dict.fromkeys(values, good), false_alarms=0.01, odd_share=0.1)
    return found.assign(
        **{f"{each}_image": found[each].map("{}.png".format, "ignore") for each in ("since", "told_at")}
    )


def test_every_figure_and_every_cause_has_its_words():
    assert set(FIGURES) == {*MEASURED, SCORE}
    assert tuple(CAUSES) == NAMES


def test_a_drift_says_what_since_when_from_what_to_what_and_what_to_do():
    said = drift_sentences(drift(highlights=[1.5] * 12 + [0.5] * 8, score=STILL))
    assert said == [
        "Drift since image 13 (13.png): the light is another.",
        "Since then: darker highlights, 0.5 to 0.5 where training images have 1.05 to 1.95. Check the lamps, the "
        "exposure and stray light.",
        "If it is to stay so, make a detector from good images like these. Until then no verdict on these images is to "
        "be relied on: the promise below is for images without a drift.",
    ]


def test_what_a_cause_explains_is_named_with_it():
    _, said, _ = drift_sentences(drift(size=[3.0] * 20, focus=[0.5] * 20, score=[9.0] * 20))
    assert "; with it blurrier, higher scores. Check" in said


def test_scores_alone_leave_the_verdicts_as_they_are():
    first, said = drift_sentences(drift(focus=STILL, score=[9.0] * 20))
    assert first == "Drift since image 1 (1.png): the parts look different, or many are defective."
    assert "relied" not in said


@pytest.mark.parametrize(
    ("good", "images", "said"),
    [
        (GOOD, 20, "No drift of light, focus and framing was found in 20 images; it takes at least 5 to tell one."),
        (GOOD, 3, "Whether light, focus and framing drift cannot be told by 3 images: it takes at least 5."),
        (GOOD, 1, "Whether light, focus and framing drift cannot be told by 1 image: it takes at least 5."),
        (
            [1.0],
            9,
            "Whether light, focus and framing drift cannot be told: as inspection.drift is set, 1 good images "
            "are too few.",
        ),
    ],
)
def test_silence_says_how_little_it_means(good, images, said):
    table = drift(good, focus=[1.5] * images, score=[1.5] * images)
    assert silence(table) == [said, said.replace("light, focus and framing", "scores")]


def test_nothing_is_said_of_what_was_not_looked_at_and_silence_not_of_a_drift():
    assert silence(pd.DataFrame(columns=drift(focus=STILL).columns)) == []
    assert drift_sentences(drift(focus=STILL)) == []
    assert silence(drift(focus=[9.0] * 20)) == []
