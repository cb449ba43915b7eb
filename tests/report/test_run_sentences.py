"""What a run says it found, of one method and of several."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from flawline.report import MethodResult, Suitability
from flawline.report.run_sentences import choice_in_words, finds_in_words, run_cautions, run_found

PROMISE = "19 calibration images promise at most 5 % overkill."


def result(method, verdicts, *, suited="suited"):
    table = pd.DataFrame({"label": [0, 0, 1][: len(verdicts)], "verdict": verdicts})
    threshold = SimpleNamespace(value=0.1, promise=PROMISE, kept=True)
    return MethodResult(
        method, {}, pd.DataFrame(), verdicts=table, thresholds={"reject": threshold},
        suitability=Suitability(suited, f"{method} explains little.", "suited", ""),
    )  # fmt: skip


def test_one_method_is_told_at_length():
    assert run_found([result("cae", ["pass", "reject", "review"])]) == [
        "cae judged 3 test images: 1 pass, 1 review, 1 reject, 0 not_judged.",
        "1 of 1 defective parts were caught, 1 of them sent to review (exact 95 % interval 2.5 to 100 %).",
        "1 of 2 good parts were rejected (exact 95 % interval 1.3 to 99 %).",
        PROMISE,
    ]


def test_several_methods_get_a_line_each_and_a_common_promise_once():
    several = [result("cae", ["pass", "pass", "reject"]), result("vae", ["reject", "pass", "pass"], suited="unsuited")]
    assert run_found(several) == [
        "2 methods judged 3 test images.",
        "cae: 1 of 1 defective parts were caught (exact 95 % interval 2.5 to 100 %). 0 of 2 good parts were rejected "
        "(exact 95 % interval 0 to 84 %).",
        "vae: 0 of 1 defective parts were caught (exact 95 % interval 0 to 98 %). 1 of 2 good parts were rejected "
        "(exact 95 % interval 1.3 to 99 %).",
        PROMISE,
        "By what vae learned, this material is unsuited for it: vae explains little.",
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_without_a_test_image_nothing_was_judged(count):
    told = run_found([result(name, []) for name in ("cae", "vae")[:count]])
    assert told[0] in ("cae had no test image to judge.", "2 methods judged no test image.")
    assert PROMISE in told


def test_only_methods_that_were_calibrated_fold_by_fold_are_told_to_learn_from_all_good_images():
    """However many patches calibrate, cut from however few photographs."""
    photographs = pd.DataFrame({"split": ["train", "calibration", "test"], "label": [0, 0, 1]})
    patches = pd.DataFrame({"split": ["calibration"] * 200})
    bases = {"cae": "split", "patch_memory": "cross", "nearest_neighbour": "monotone"}
    results = [
        SimpleNamespace(method=name, scores=patches, thresholds={"reject": SimpleNamespace(kept=True, basis=basis)})
        for name, basis in bases.items()
    ]
    (told,) = run_cautions(photographs, pd.DataFrame(), None, results)
    assert told.startswith("To patch_memory, nearest_neighbour the splits train, validation and calibration are one")
    assert run_cautions(photographs, pd.DataFrame(), None, results[:1]) == []


@pytest.mark.parametrize(
    ("best", "said"),
    [
        (0.9, None),
        (0.55, "No candidate tells them well, so the choice says little: look at what it misses."),
        (1.0, "Several find them all: of these the simplest was taken, and harder defects may tell them apart."),
    ],
)
def test_a_choice_is_told_with_what_it_stands_on(best, said):
    row = {"candidate": "wide", "image_score": "maximum", "least_seen": 32.0, "chosen": True, "auroc": best,
           "detected": 0.6}  # fmt: skip
    other = row | {"candidate": "other", "chosen": False, "reason": ""}
    choice = pd.DataFrame([other, row | {"reason": "the best"}])
    told = choice_in_words(SimpleNamespace(method="auto", choice=choice))
    assert told[0] == (
        "auto chose wide with the image score 'maximum', of 2 candidates the best. It tells pseudo-defects from good "
        f"images that it did not learn from with an AUROC of {best:.3f}, and finds 60% of them at the review threshold."
    )
    assert told[1:] == ([] if said is None else [said])


def test_sizes_that_are_surely_found_are_one_sentence(found):
    assert finds_in_words(found) == [
        "Nine in ten pseudo-defects in 5 good images are found, with 95 % confidence: stain from 12 px at contrast 0.2."
    ]
    (said,) = finds_in_words(replace(found, mm_per_pixel=0.05))
    assert said.endswith("stain from 0.6 mm at contrast 0.2.")
    everywhere = found.table.assign(a90_95=[np.inf, 0.0])
    assert finds_in_words(replace(found, table=everywhere))[0].endswith("stain from 4 px at contrast 0.2.")
    nowhere = found.table.assign(a90_95=np.inf)
    assert finds_in_words(replace(found, table=nowhere))[0].endswith("stain of no size up to 40 px.")
    untold = found.table.assign(a90_95=np.nan)
    assert finds_in_words(replace(found, table=untold))[0].endswith(
        "of stain no size can be told (20 of 40 were found)."
    )
    assert finds_in_words(replace(found, table=found.table.head(0))) == finds_in_words(None) == []


def test_each_of_several_methods_tells_what_it_finds(found):
    several = [replace(result(name, ["pass", "reject"]), detectability=found) for name in ("cae", "vae")]
    told = [line for line in run_found(several) if "pseudo-defects" in line]
    assert [line.split(":")[0] for line in told] == ["cae", "vae"]
    assert finds_in_words(found)[0] in run_found(several[:1])
