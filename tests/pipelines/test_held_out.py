"""Cross-conformal calibration: all normal images are learned from, each calibrates by a model that did not see it."""

import numpy as np
import pandas as pd
import pytest
from base_params import BASE
from kedro.io import DatasetError
from PIL import Image

from flawline.detector.judging import Judge
from flawline.intake.manifest import rows_of
from flawline.methods.nearest_neighbour import NearestNeighbour
from flawline.methods.one_class import check_learns
from flawline.params import ComputeParams
from flawline.pipelines.embedding.held_out import calibrating, learned_rows, plan_folds, scored_rows

NO_PAIRS = pd.DataFrame(columns=["image", "duplicate"])


def manifest_of(**counts):
    splits = [split for split, count in counts.items() for _ in range(count)]
    names = [f"{k:03}.png" for k in range(len(splits))]
    return pd.DataFrame({"image": names, "split": splits, "label": 0, "group": None, "sha256": names})


# --- the plan --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("how", "held_out", "planned"),
    [("auto", 18, 48), ("auto", 19, 0), ("cross", 19, 49), ("split", 18, 0)],
)
def test_all_calibrate_where_too_few_are_held_out_or_where_it_is_asked(how, held_out, planned):
    manifest = manifest_of(train=25, validation=5, calibration=held_out, test=9)
    asked = BASE.evaluation.calibration.but(how=how, enough=19)
    folds = plan_folds(manifest, NO_PAIRS, asked, 0)
    assert len(folds) == planned
    if planned:
        assert folds["image"].tolist() == manifest["image"].tolist()[:planned]
        assert folds["fold"].nunique() == asked.folds
        assert learned_rows(manifest, folds) == list(range(planned))
        scored = scored_rows(manifest, folds)
        assert sorted(scored) == list(range(len(manifest)))
        assert scored[-25:] == list(range(25))  # behind those that have a score anyway
        splits = calibrating(manifest.iloc[scored], folds)["split"]
        assert splits.value_counts().to_dict() == {"calibration": planned, "test": 9}


def test_images_that_all_belong_together_cannot_be_held_out_from_each_other():
    manifest = manifest_of(train=3, calibration=1).assign(group="one part")
    assert plan_folds(manifest, NO_PAIRS, BASE.evaluation.calibration.but(how="cross"), 0).empty


# --- the line --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["patch_memory", "nearest_neighbour"])
def test_every_good_image_calibrates_by_a_model_without_it_and_the_detector_learns_all(finished, method):
    cross = {"evaluation.calibration.how": "cross", "evaluation.calibration.folds": 3}
    finished.run(method, **cross)
    names = ("images", "usable_manifest", "folds", *(f"{method}.{each}" for each in (
        "scores", "maps", "held_out", "pseudo_scores", "thresholds", "detector")))  # fmt: skip
    images, manifest, folds, scores, maps, held_out, pseudo, thresholds, detector = finished.load_all(*names, **cross)
    good = manifest[manifest["split"].isin(["train", "validation", "calibration"])]
    calibration = scores[scores["split"] == "calibration"]
    assert set(calibration["image"]) == set(folds["image"]) == set(good["image"])
    assert thresholds["reject"]["samples"] == len(good)
    assert thresholds["reject"]["basis"] == "monotone"
    assert len(scores) == len(maps) == len(manifest)
    assert len(held_out) == len(good) + len(pseudo)

    judge = Judge(detector, compute=ComputeParams(device="cpu", threads=1, engine="torch"))
    row_of = dict(zip(manifest["image"], range(len(manifest)), strict=True))
    for k, image, score in zip(calibration.index, calibration["image"], calibration["score"], strict=True):
        learned = judge.judge_framed(images[row_of[image]]).scored
        assert learned.score < score  # the finished detector has learned it, which lowers the score
        np.testing.assert_array_less(learned.map.mean(), maps[k].mean())
    tests = scores[scores["split"] == "test"]
    for image, score in zip(tests["image"], tests["score"], strict=True):
        assert judge.judge_framed(images[row_of[image]]).scored.score == score
    assert len(rows_of(manifest, ["test"])) == len(tests)
    assert detector.at_overkill(0.3).thresholds.reject.basis == "monotone"


def test_a_model_without_a_fold_that_has_too_few_images_says_so(finished, monkeypatch):
    learn = NearestNeighbour.fit

    def wants_ten(self, inputs, *, seed):
        check_learns(len(inputs), 10, "nearest_neighbour")
        return learn(self, inputs, seed=seed)

    monkeypatch.setattr(NearestNeighbour, "fit", wants_ten)
    few = {"evaluation.calibration.how": "cross", "evaluation.calibration.folds": 2}
    with pytest.raises(DatasetError, match=r"got 7. .* without one of 2 folds, 7 of 14 images: more folds leave more"):
        finished.run("nearest_neighbour", **few)


def test_a_damaged_part_among_the_good_ones_stands_out_and_is_left_out_of_the_next_run(project, tmp_path, capsys):
    generator = np.random.default_rng(0)
    folder = tmp_path / "plates" / "good"
    folder.mkdir(parents=True)
    for number in range(16):
        pixels = generator.normal(150, 4, (64, 64))
        if number == 7:
            pixels[20:40, 20:40] = 20  # a hole, which nobody saw
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    cross = {"category": "plates", "raw": str(folder.parent), "evaluation.calibration.how": "cross"}
    seed = next(seed for seed in range(9) if _calibrates(project, "good/07.png", cross, seed))
    cross["ingestion.splits.seed"] = seed
    project.run("nearest_neighbour", **cross)
    said = capsys.readouterr().out
    assert "good images stands out among the others: good/07.png. If it is not good after all, leave it out" in said
    page = project.newest("08_reporting/plates/seed-0/report.html/*/report.html").read_text()
    assert "Good images that stand out" in page
    table = project.newest("07_model_output/plates/seed-0/nearest_neighbour/suspicious.csv")
    (suspicious, thresholds) = project.load_all("nearest_neighbour.suspicious", "nearest_neighbour.thresholds", **cross)
    assert suspicious["image"].tolist() == ["good/07.png"]
    assert f"good images that stand out: {table.relative_to(project.path)}" in said

    left = cross | {"ingestion.leave_out": str(table)}
    project.run("nearest_neighbour", **left)
    again, quarantine, after = project.load_all(
        "nearest_neighbour.suspicious", "quarantine", "nearest_neighbour.thresholds", **left
    )
    assert again.empty
    assert quarantine["path"].tolist() == ["good/07.png"]
    assert after["reject"]["value"] < thresholds["reject"]["value"]


def _calibrates(project, image, params, seed):
    """Return True if the draw of a seed leaves an image to be learned from, not tested on."""
    project.make("ingestion", "manifest", **params, **{"ingestion.splits.seed": seed})
    (manifest,) = project.load_all("manifest", **params)
    return manifest.set_index("image")["split"][image] != "test"
