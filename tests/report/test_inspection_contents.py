from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flawline.detector.challenge import COLUMNS
from flawline.detector.file import Source
from flawline.metrics.drift import find_drift
from flawline.params import InspectionParams
from flawline.report.inspection_contents import (
    gather_inspection_page,
    inspection_found,
    inspection_summary,
    listed_images,
    pictures_of,
)

NO_CHALLENGES = pd.DataFrame(columns=list(COLUMNS))
QUIET = find_drift({}, {}, false_alarms=0.01, odd_share=0.1)
PROMISE = "at most 1 good part in 20 goes beyond it"


@pytest.fixture
def detector():
    return SimpleNamespace(
        category="bottle", method="cae", params={"map": {"stride": 4}}, about={"weights": "1234"},
        source=Source("detector", "ab12", "2026"),
        thresholds=SimpleNamespace(
            reject=SimpleNamespace(value=0.5, promise=PROMISE), review=SimpleNamespace(value=0.4), by_cost=None
        ),
    )  # fmt: skip


@pytest.fixture
def verdicts():
    rows = [("a", 0.1, "pass"), ("b", 0.6, "review"), ("c", 0.7, "reject"), ("d", np.nan, "not_judged"),
            ("e", 0.9, "reject"), ("f", 0.95, "review"), ("g", 0.2, "pass")]  # fmt: skip
    return pd.DataFrame(rows, columns=["image", "score", "verdict"], index=range(10, 17)).assign(
        reason="is empty", engine=["torch 2", "openvino 1", "torch 2", "torch 2", np.nan, "", "torch 2"]
    )


def test_rejected_images_are_listed_before_those_to_review_the_highest_score_first(verdicts):
    assert verdicts["image"].iloc[listed_images(verdicts)].tolist() == ["e", "c", "f", "b"]
    many = pd.concat([verdicts] * 100, ignore_index=True)
    assert len(listed_images(many)) == 200


def test_sentences_count_the_verdicts_and_name_what_was_not_judged(verdicts, detector):
    assert inspection_found(verdicts, detector) == [
        "7 images: 2 pass, 2 review, 2 reject, 1 not_judged.", "not judged: d is empty",
        "2 of 6 judged images were rejected: 33 % (exact 95 % interval 4.3 to 78 %).", PROMISE
    ]  # fmt: skip
    eight = pd.concat([verdicts.iloc[[3]]] * 8)
    *_, more, _ = found = inspection_found(eight, detector)
    assert len(found) == 1 + 5 + 1 + 1
    assert more == "not judged: 3 more, each with its reason in the verdicts"


def test_the_page_holds_what_came_and_the_summary_its_sentences(verdicts, detector):
    page = gather_inspection_page(
        verdicts, detector, inspection=InspectionParams(min_area=3), folder="monday", run={"run": "7"},
        pictures={"c": None}, challenges=NO_CHALLENGES, drift=QUIET, figures=pd.DataFrame(),
    )  # fmt: skip
    assert page.title == "bottle: 7 images judged"
    assert (page.settings["map.stride"], page.settings["inspection.min_area"]) == (4, 3)
    assert {"folder": "monday", "method": "cae", "run": "7", "weights": "1234"}.items() <= page.ids.items()
    assert page.ids["judged by"] == "openvino 1, torch 2"
    assert page.ids["detector"] == "2026, SHA-256 ab12"
    assert (
        "judged by"
        not in gather_inspection_page(
            verdicts.assign(engine=""),
            detector,
            inspection=InspectionParams(),
            folder="monday",
            run={},
            pictures={},
            challenges=NO_CHALLENGES,
            drift=QUIET,
            figures=pd.DataFrame(),
        ).ids
    )
    assert page.pictures == {"c": None}
    assert page.thresholds == {"reject": 0.5, "review": 0.4}
    assert inspection_summary(page).startswith("category bottle\n7 images: 2 pass")


def test_what_came_of_the_challenge_set_stands_behind_the_verdicts(verdicts, detector):
    came = pd.DataFrame([dict.fromkeys(COLUMNS, "") | {"image": "a", "outcome": "as_wanted", "learned": False}])
    found = gather_inspection_page(
        verdicts, detector, inspection=InspectionParams(), folder="monday", run={}, pictures={}, challenges=came,
        drift=QUIET, figures=pd.DataFrame(),
    ).found  # fmt: skip
    assert found[found.index(PROMISE) + 1] == "challenge set: 1 of 1 images are judged as wanted."


def test_pictures_are_those_of_the_listed_images_and_read_when_they_are_asked_for(verdicts, tmp_path):
    files = {name: tmp_path / f"{name}.png" for name in "abcdefg"}
    pictures = pictures_of(verdicts, files)
    assert list(pictures) == ["e", "c", "f", "b"]  # none of the files is there yet
    Image.fromarray(np.full((4, 6, 3), 7, np.uint8)).save(files["c"])
    assert pictures["c"].shape == (4, 6, 3)
    assert "a" not in pictures
    with pytest.raises(FileNotFoundError):
        pictures["e"]


def test_what_drifts_is_said_first_and_a_silence_last(verdicts, detector):
    def found(values):
        drift = find_drift({"focus": values}, {"focus": np.arange(100.0)}, false_alarms=0.01, odd_share=0.1)
        named = drift.assign(since_image="a.png", told_at_image="b.png")
        return gather_inspection_page(
            verdicts, detector, inspection=InspectionParams(), folder="monday", run={}, pictures={},
            challenges=NO_CHALLENGES, drift=named,
            figures=pd.DataFrame({"focus": values}),
        ).found  # fmt: skip

    assert found([-1.0] * 20)[0].startswith("Drift since image 1 (a.png): the focus is another")
    assert found([50.0] * 20)[0].startswith("7 images: ")
    assert found([50.0] * 20)[-1] == (
        "No drift of light, focus and framing was found in 20 images; it takes at least 5 to tell one."
    )
