"""The card of a detector."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from flawline.report.model_card import CardFacts, detectable, model_card


@pytest.fixture
def facts():
    return CardFacts(
        category="bolt",
        counts=pd.DataFrame({"split": ["train", "test"], "normal": [20, 2], "defective": [0, 2]}),
        images="ab12",
        data="cd34",
        settings={"scorer.size": 50, "inspection.min_area": None},
        engine="torch 2.13.0 on cpu",
        weights="",
        ids={"flawline": "0.1.0"},
        detectability=pd.DataFrame(),
    )


@pytest.fixture
def judged(method):
    """The method's result with the thresholds that a run has."""
    limit = SimpleNamespace(value=0.5, promise="At most 5 % of good parts.", kept=True, basis="split")
    metrics = {"image_auroc": 0.75, "escape_rate": 0.5, "escape_rate_low": 0.0126, "escape_rate_high": 0.9874}
    verdicts = method.verdicts.assign(label=[0, 0, 1, 1])
    return replace(method, thresholds={"reject": limit}, metrics=metrics, verdicts=verdicts)


def section(card, title):
    return card.partition(f"## {title}\n\n")[2].partition("\n\n##")[0].splitlines()


def test_the_card_says_what_it_promises_and_what_was_counted_with_exact_intervals(judged, facts):
    card = model_card(judged, facts)
    assert card.startswith("# Detector of bolt, method cae\n")
    assert section(card, "What it promises") == ["- reject, above 0.5: At most 5 % of good parts."]
    measured = section(card, "What it did on test images")
    assert "- 1 of 2 defective parts were caught (exact 95 % interval 1.3 to 99 %)." in measured
    assert "| Image AUROC | 0.7500 |" in measured
    assert "| Escape rate | 0.5000 (exact 95 % interval 1.3 to 99 %) |" in measured
    assert "| Pixel AUROC | not measured: no masks |" in measured
    assert "At most 5 % of good parts." not in "\n".join(measured)  # it is said once


def test_the_card_says_what_the_detector_was_made_of(judged, facts):
    made = section(model_card(judged, replace(facts, weights="it looks through lite0")), "What it was made of")
    assert made == [
        "- train: 20 good, 0 defective",
        "- test: 2 good, 2 defective",
        "- digest of the photographs: cd34",
        "- digest of the stored images: ab12",
        "- engine: torch 2.13.0 on cpu",
        "- it looks through lite0",
    ]
    assert section(model_card(judged, facts), "Settings") == ["- `scorer.size`: 50", "- `inspection.min_area`: null"]


def test_nobody_signed_off_unless_somebody_did(judged, facts):
    assert section(model_card(judged, facts), "Signed off") == ["Not signed off."]
    signed = model_card(judged, replace(facts, signed_off_by="A. Person on 2026-01-31"))
    assert section(signed, "Signed off") == ["Signed off by A. Person on 2026-01-31."]


def test_what_was_not_tried_is_said(judged, facts):
    tried = section(model_card(judged, facts), "What is not known")
    assert "- Real defects were tried of these kinds alone: scratch." in tried
    good = replace(judged, scores=judged.scores.assign(label=0))
    untried = section(model_card(good, facts), "What is not known")
    assert "- No defective image was tested, so nothing here says which real defects it misses." in untried
    assert not any("of these kinds" in line for line in untried)


def test_sizes_that_are_found_are_told_with_those_that_were_tried():
    row = {"kind": "stain", "contrast": 0.1, "defects": 20, "hits": 8, "smallest": 2.5, "largest": 38.0, "note": ""}
    table = pd.DataFrame([
        row | {"a90": 21.16, "a90_95": math.inf},
        row | {"kind": "line", "a90": 0.0, "a90_95": 3.0},
        row | {"hits": 0, "a90": math.nan, "a90_95": math.nan, "note": "none of 20 was found"},
    ])  # fmt: skip
    assert detectable(table)[2:] == [
        "- stain, contrast 0.1: 8 of 20 found, a90 21.2, a90/95 beyond 38, the largest that was tried",
        "- line, contrast 0.1: 8 of 20 found, a90 below 2.5, the smallest that was tried, a90/95 3",
        "- stain, contrast 0.1: 0 of 20 found; none of 20 was found",
    ]
    assert detectable(table.head(0)) == []
