"""What the page of a run is made of."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from base_params import BASE
from PIL import Image

from flawline.detector.thresholds import Thresholds
from flawline.metrics.conformal import Threshold
from flawline.metrics.reductions import Reduction
from flawline.params import InspectionParams
from flawline.report.run_contents import (
    comparison_table,
    curve_table,
    gather_run_page,
    judged_images,
    method_result,
    project,
    show_alignment,
    split_ends,
    with_more,
    worst_and_best,
)
from flawline.report.run_sentences import run_summary

SUITED = {
    "verdict": "suited", "reason": "most is explained", "explained": 0.9,
    "before": {"verdict": "doubtful", "reason": "few components", "regularity": 0.4, "linear": 0.5},
}  # fmt: skip
NO_SHORTCUT = pd.DataFrame(columns=["question", "feature", "auroc", "direction", "flagged"])
SHORTCUT = pd.DataFrame([("label", "mean", 1.0, "defective ones are darker", True)], columns=NO_SHORTCUT.columns)


def threshold(value):
    return Threshold(value, target_overkill=0.05, promised_overkill=0.05, samples=19, needed=19)


@pytest.fixture
def detector():
    return SimpleNamespace(
        method="cae", reduction=Reduction(BASE.cae.scorer.image_score),
        reconstruct=lambda image, reconstructor: reconstructor(image),
        thresholds=Thresholds(threshold(0.5), threshold(0.3), None), calibration_scores=(0.1, 0.2, 0.95),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("count", "worst", "best"), [(2, [9, 8], [5, 6]), (3, [9, 8, 7], [5, 6]), (9, [9, 8, 7, 6, 5], [])]
)
def test_both_ends_are_taken_and_nothing_twice(count, worst, best):
    assert split_ends([9, 8, 7, 6, 5], count) == (worst, best)


def test_the_worst_and_the_best_are_of_the_test_images(scores):
    assert worst_and_best(scores, 1) == ([5], [2])
    assert worst_and_best(scores, 2) == ([5, 3], [2, 4])


def test_images_are_shown_as_they_are_judged(scores, detector):
    images = [np.full((1, 4, 4), i, np.uint8) for i in range(8)]
    masks = [np.zeros((0, 0), bool)] * 6 + [np.ones((4, 4), bool)] * 2
    maps = [np.full((4, 4), score, np.float16) for score in scores["score"]]
    kept = [2, 3, 4, 5, 6, 7]  # the first two rows of the manifest were learned from
    worst, passed = judged_images([5, 2], scores=scores, images=images, masks=masks, maps=maps, kept=kept,
                                  detector=detector, inspection=InspectionParams(),
                                  reconstructor=lambda image: image // 2)  # fmt: skip
    assert (worst.name, worst.verdict, worst.label, worst.defect) == ("f", "reject", 1, "scratch")
    assert worst.image[0, 0, 0] == 7
    assert worst.reconstruction[0, 0, 0] == 3
    assert worst.mask.all()
    assert [(r.y, r.x, r.height, r.width) for r in worst.regions] == [(0, 0, 4, 4)]
    assert worst.map_threshold == 0.5
    assert (worst.p_value, passed.p_value) == (0.5, 1.0)  # (1 + as high) / 4; 0.1 is as high as itself
    assert (passed.verdict, passed.mask, passed.regions) == ("pass", None, ())


def test_a_result_has_curves_under_their_own_names_and_the_thresholds_that_there_are(scores, verdicts, detector):
    curves = pd.DataFrame({"curve": ["roc", "roc", "pr"], "x": [0.0, 1.0, 0.5], "y": [0.2, 1.0, 0.9]}, index=[5, 6, 7])
    metrics = {"values": {"image_auroc": 0.75}, "absent": {"aupro": "no masks"}}
    result = method_result(
        detector, metrics=metrics, scores=scores, curves=curves, verdicts=verdicts, worst=[], best=[]
    )
    assert result.curves["roc"].to_dict("list") == {"fpr": [0.0, 1.0], "tpr": [0.2, 1.0]}
    assert result.curves["pr"].to_dict("list") == {"recall": [0.5], "precision": [0.9]}
    assert list(result.thresholds) == ["reject", "review"]
    assert (result.metrics, result.absent) == (metrics["values"], metrics["absent"])


@pytest.mark.parametrize("name", ["roc", "pixel_roc", "pr", "pixel_pr", "pro"])
def test_every_curve_has_names_for_its_axes(name):
    assert len(set(curve_table(name, pd.DataFrame({"curve": name, "x": [0.0], "y": [1.0]})))) == 2


def test_training_is_added_to_a_result(method):
    ones = torch.ones(1, 1, 2, 2)
    learned = {
        "history": pd.DataFrame({"epoch": [1], "train_loss": [0.5]}),
        "sample_reconstructions": {"patches": ones, "epoch_00010": 0 * ones, "epoch_00002": ones},
    }
    losses = pd.DataFrame({"image": ["a"], "mask_share": [0.0], "loss": [1.0]})
    made = with_more(method, **learned, patch_losses=losses, suitability=SUITED)
    assert list(made.sample_reconstructions.reconstructions) == [2, 10]
    assert made.sample_reconstructions.reconstructions[10].max() == 0
    assert list(made.patch_losses) == ["mask_share", "loss"]
    assert (made.suitability.verdict, made.suitability.before) == ("suited", "doubtful")
    assert made.projections is None
    assert made.pseudo_gallery is None
    sheet = Image.new("RGB", (5, 4), (1, 2, 3))
    assert with_more(method, **learned, pseudo_gallery=sheet).pseudo_gallery.shape == (4, 5, 3)
    points = pd.DataFrame({"space": ["b", "b", "a"], "x": [1.0, 2, 3], "y": 0.0, "label": 0})
    spaces = with_more(method, **learned, projections=points).projections
    assert {name: table["x"].tolist() for name, table in spaces.items()} == {"b": [1.0, 2.0], "a": [3.0]}
    assert list(spaces) == ["b", "a"]


def test_what_is_found_is_added_with_what_was_counted_and_in_how_many_images(method, found):
    rows = [("a.png", "stain", 0.1, 9.0, 0.1, True, False), ("a.png", "stain", 0.1, 4.0, 0.1, False, False),
            ("b.png", "stain", 0.1, 4.0, 0.1, True, True)]  # fmt: skip
    verdicts = pd.DataFrame(rows, columns=["image", "kind", "aimed", "size", "contrast", "hit", "rejected"])
    known = {"detectability": found.table, "pod_curves": found.curves, "real_rates": found.rates}
    made = with_more(method, **known, sized_verdicts=verdicts, mm_per_pixel=0.1).detectability
    assert (made.images, made.mm_per_pixel) == (1, 0.1)
    assert made.counted["share"].tolist() == [0.0, 1.0]
    assert with_more(method).detectability is None


def test_a_space_of_too_few_images_is_not_projected():
    vectors = [np.array([i, 2.0 * i]) for i in range(5)]
    points = project({"all": vectors, "few": vectors[:3]}, [0, 0, 0, 1, 1], seed=0)
    assert points["space"].tolist() == ["all"] * 5
    assert points["label"].tolist() == [0, 0, 0, 1, 1]
    assert np.isfinite(points[["x", "y"]].to_numpy(float)).all()
    assert list(project({}, [], seed=0)) == ["space", "x", "y", "label"]


def test_methods_are_compared_in_their_order_beside_a_shortcut():
    metrics = {"vae": {"values": {"image_auroc": 0.5}}, "cae": {"values": {"image_auroc": 0.7, "iou": 0.1}}}
    table = comparison_table(metrics, {"cae": SUITED}, SHORTCUT)
    assert table["method"].tolist() == ["vae", "cae"]
    row = table.set_index("method").loc["cae"]
    assert (row["before"], row["suitability"], row["regularity"], row["explained"]) == ("doubtful", "suited", 0.4, 0.9)
    assert table["shortcut"].tolist() == ["label by mean 1.000"] * 2
    assert table["suitability"].isna().tolist() == [True, False]


def test_page_and_summary_say_what_was_found_and_what_to_beware_of(manifest, method, verdicts):
    judged = verdicts.assign(label=[0, 0, 1, 1])
    result = replace(method, verdicts=judged, thresholds={"reject": threshold(0.5)})
    quarantine = pd.DataFrame({"path": ["x.png"], "reason": ["cannot be decoded"]})
    page = gather_run_page(
        [result], category="bolt", seed=3, manifest=manifest.assign(layout="mvtec"), quarantine=quarantine,
        aligned=None, doubts=["Shortcut: mean alone tells."], parameters={"seed": 3, "raw": "bolts"}, run={"run": "7"},
    )  # fmt: skip
    assert page.title == "bolt: what flawline found"
    assert page.found[0] == "cae judged 4 test images: 2 pass, 0 review, 2 reject, 0 not_judged."
    assert page.notes[0].startswith("Shortcut: mean alone tells")
    assert page.notes[1] == "1 files could not be used; they are listed with the reason under Data."
    assert page.settings == {"seed": 3, "raw": "bolts"}
    assert list(page.ids)[:3] == ["category", "seed", "run"]
    assert not len(page.published)  # nobody published anything on bolts
    comparison = pd.DataFrame({"method": ["cae"], "image_auroc": [0.75]})
    lines = run_summary(page, ["Shortcut: mean alone tells."], comparison).splitlines()
    assert lines[0] == "category bolt"
    assert "image_auroc  0.7500" in lines
    assert lines[-1] == "1 file in quarantine."
    assert sum(line.startswith("Shortcut: mean alone") for line in lines) == 1


def test_without_an_aligner_no_alignment_is_shown(manifest):
    assert show_alignment(manifest, pd.DataFrame(), {}, pd.DataFrame()) is None
