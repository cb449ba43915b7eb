import numpy as np
import pandas as pd
import pytest
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.detector.evaluating import (
    calibrated_on,
    compare_reductions,
    metrics_by_share,
    outlier_metrics,
    reconstruction_metrics,
    training_metrics,
    with_outlier,
)
from flawline.detector.thresholds import Thresholds
from flawline.params import ImageScoreParams


@pytest.fixture
def maps():
    """Maps (2, 2) of a calibration image, two good ones and two defective ones: one peak, and a weak, wide one."""
    values = [[0, 0, 0, 1], [2, 0, 0, 0], [0, 0, 0, 1], [5, 0, 0, 0], [1.5, 1.5, 1.5, 1.5]]
    return [np.array(each, np.float16).reshape(2, 2) for each in values]


def table(*labels):
    split = ["calibration", *["test"] * len(labels)]
    return pd.DataFrame({"image": list("abcde")[: len(split)], "split": split, "label": [0, *labels]})


def test_reductions_are_compared_by_the_test_images(maps):
    ways = [
        ImageScoreParams(reduction="maximum", share=0.5),
        ImageScoreParams(reduction="top_share", share=0.5),
        ImageScoreParams(reduction="region_mass", share=0.25),  # above 1, as the calibration image says
    ]
    found = compare_reductions(table(0, 0, 1, 1), maps, ways)
    assert found["image_auroc"].tolist() == [0.75, 1.0, 1.0]
    assert found[["reduction", "share"]].to_numpy().tolist() == [
        ["maximum", 0.5], ["top_share", 0.5], ["region_mass", 0.25],
    ]  # fmt: skip


def test_without_defective_test_images_there_is_nothing_to_compare(maps):
    with pytest.raises(FlawlineError, match="reductions cannot be compared: image_auroc needs normal and defective"):
        compare_reductions(table(0, 0), maps, [ImageScoreParams(reduction="maximum", share=0.5)])


# --- pseudo-defects, and patches by what of them is marked -----------------------------------------------------------
def patch_scores():
    rows = [("calibration", 0, 0.0, 1.0), ("calibration", 0, 0.0, 2.0), ("test", 0, 0.0, 1.5), ("test", 0, 0.0, 2.5),
            ("test", 1, 0.01, 1.0), ("test", 1, 0.05, 2.0), ("test", 1, 0.5, 3.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["split", "label", "mask_share", "score"])
    table["image"] = [f"{k}.png" for k in table.index]
    return table.drop(columns="mask_share"), table.drop(columns="score")


def test_auroc_is_told_by_the_share_of_a_patch_that_is_marked():
    scores, manifest = patch_scores()
    assert metrics_by_share(scores, manifest) == {"image_auroc_from_2": 0.75, "image_auroc_from_10": 1.0}
    assert metrics_by_share(scores, manifest.drop(columns="mask_share")) == {}


def test_outlier_threshold_is_measured_on_test_images_with_its_interval():
    scores, _ = patch_scores()
    levels = with_outlier(calibrated_on(scores, BASE.evaluation), scores, [1.5, 4.0], 0.999)
    assert levels.outlier.value == pytest.approx(1.999)
    told = outlier_metrics(scores[scores["split"] == "test"], levels.outlier)
    assert told["pseudo_detection_rate"] == 0.5
    assert told["outlier_overkill_rate"] == 0.5
    assert told["outlier_overkill_rate_low"] < 0.5 < told["outlier_overkill_rate_high"]
    assert told["outlier_escape_rate"] == pytest.approx(1 / 3)
    assert outlier_metrics(scores, None) == {}
    assert Thresholds.from_dict(levels.to_dict()) == levels


# --- how a network reconstructs --------------------------------------------------------------------------------------
def test_reconstruction_is_told_of_good_test_images_in_grey_levels():
    similarity = pd.DataFrame(
        {"kind": ["learned from", "normal", "normal", "defective"], "error": [9.0, 1 / 255**2, 3 / 255**2, 9.0],
         "ssim": [0.0, 0.8, 0.9, 0.0]}
    )  # fmt: skip
    told = reconstruction_metrics(similarity)
    assert told == pytest.approx({"reconstruction_mse": 2.0, "reconstruction_ssim": 0.85})
    assert reconstruction_metrics(similarity[similarity["kind"] != "normal"]) == {}
    history = pd.DataFrame({"seconds": [1.0, 2.0]})
    assert training_metrics(history, None, similarity) == {"train_seconds": 3.0} | told
    assert training_metrics(history, None) == {"train_seconds": 3.0}
