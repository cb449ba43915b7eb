"""The whole line, from a raw folder to the page: stage by stage, from the middle, again, on other data."""

import json

import numpy as np
import pandas as pd
import torch

DATA = "ingestion,registration,defect_injection"
STAGES = (
    "ingestion",
    "registration",
    "defect_injection",
    "patching",
    "training",
    "embedding",
    "evaluation",
    "reporting",
)
TABLES = ("cae.scores", "cae.history", "comparison", "cae.verdicts", "cae.patch_losses")
SAME = (*TABLES, "cae.weights", "cae.maps")
CLOCK = ["seconds", "train_seconds"]  # no two runs take the same
RAW = ("raw_image_auroc", "raw_pixel_auroc", "raw_aupro", "raw_A", "raw_iou", "raw_oracle_A", "raw_oracle_iou",
       "raw_oracle_pixel_threshold")  # fmt: skip
RESULTS = "07_model_output/chess/seed-0/cae/"


def assert_same_results(project, other, *, seed=0):
    one, two = (dict(zip(SAME, each.load_all(*SAME, seed=seed), strict=True)) for each in (project, other))
    for name in TABLES:
        tables = [found[name].drop(columns=CLOCK, errors="ignore") for found in (one, two)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert_same_weights(one["cae.weights"], two["cae.weights"])
    assert one["cae.maps"].digest == two["cae.maps"].digest


def assert_same_weights(weights, others):
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_stages_one_by_one_make_what_the_whole_line_makes(project, finished_once):
    for stage in STAGES:
        project.run(stage)
    assert_same_results(project, finished_once)


def test_from_nodes_goes_on_with_what_is_stored(finished, finished_once):
    for path in (finished.path / "data" / RESULTS).iterdir():
        if path.is_file() and not path.name.startswith("suitability"):  # no map is needed for that one
            path.unlink()
    finished.run(options={"from_nodes": ["cae.reconstruct"]})
    assert_same_results(finished, finished_once)


def test_the_main_job_is_the_recommended_method(project):
    project.run("__default__")
    assert project.load("comparison")["method"].tolist() == ["auto"]
    assert project.load("auto.metrics")["values"]["image_auroc"] == 1.0
    own = ("auto.pseudo_scores", "auto.thresholds")
    made, scored, thresholds = project.load_all("pseudo_defects", *own)
    assert scored["image"].tolist() == made["image"].tolist()  # of these the pseudo-supervised threshold tells
    assert thresholds["outlier"]["pseudo_defects"] == len(made) > 0


def test_another_seed_makes_other_weights_from_the_same_data(finished):
    finished.run("patching,training,embedding", seed=1)
    (weights, scores), (others, other_scores) = (
        finished.load_all("cae.weights", "cae.scores", seed=seed) for seed in (0, 1)
    )
    assert any(not torch.equal(weights[name], others[name]) for name in weights)
    assert scores["image"].tolist() == other_scores["image"].tolist()
    assert not np.allclose(scores["score"], other_scores["score"], rtol=1e-9)


def test_pseudo_defects_lie_in_copies_of_the_normal_calibration_images(finished_once):
    manifest, made = finished_once.load("manifest"), finished_once.load("pseudo_defects")
    calibration = manifest.loc[manifest["split"] == "calibration", "image"]
    assert set(made["image"]) == set(calibration)
    masks = finished_once.load("pseudo_masks")
    assert len(made) == len(masks) == 2 * len(calibration)
    assert all(mask.any() for mask in masks)


def test_good_images_only_run_whole_and_say_what_cannot_be_known(project, tmp_path, photographs, capsys):
    photographs(tmp_path / "good-parts" / "good", 8)
    project.run(category="nuts", raw=str(tmp_path / "good-parts"))
    metrics, losses = project.load_all("cae.metrics", "cae.patch_losses", category="nuts")
    for name in ("image_auroc", "pixel_auroc", "aupro", *RAW):
        assert name not in metrics["values"]
        assert "defective" in metrics["absent"][name]
    assert len(losses) > 0  # of good test images
    page = project.newest("08_reporting/nuts/seed-0/report.html/*/report.html").read_text()
    assert "There is no defective image" in page
    assert "category nuts" in capsys.readouterr().out


def test_own_folder_with_masks_and_a_broken_file_runs_whole(project, parts, capsys):
    (parts / "good" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    project.run(category="parts", raw=str(parts))
    metrics = project.load("cae.metrics", category="parts")["values"]
    assert {"image_auroc", "pixel_auroc", "aupro", "A", "iou", "oracle_iou"} <= metrics.keys()
    assert metrics["defectives"] == 2
    assert project.load("quarantine", category="parts")["path"].tolist() == ["good/broken.png"]
    assert "good/broken.png" in project.newest("08_reporting/parts/seed-0/report.html/*/report.html").read_text()
    said = capsys.readouterr().out
    assert "1 file in quarantine." in said
    assert "page: data/08_reporting/parts/seed-0/report.html/" in said


def test_only_missing_outputs_makes_what_is_missing(finished, finished_once):
    (finished.path / "data" / RESULTS / "scores.csv").unlink()
    finished.run(options={"only_missing_outputs": True})
    assert_same_results(finished, finished_once)


def test_every_result_has_a_stamp_with_the_run_that_made_it(finished_once):
    from flawline.hooks.lineage import read_stamp, where

    parent = next(run for run in finished_once.mlflow_runs() if "mlflow.parentRunId" not in run.data.tags)
    for name in ("cae.weights", "cae.maps", "cae.scores", "images", "manifest", "comparison"):
        assert read_stamp(where(finished_once.catalog().get(name)))["run"] == parent.info.run_id, name


def test_threads_make_what_one_thread_makes_and_their_stamps_name_the_run(finished, finished_once):
    from kedro.runner import ThreadRunner

    finished.run("embedding,evaluation", options={"runner": ThreadRunner(max_workers=2)})
    assert_same_results(finished, finished_once)
    stamp = finished.path / "data" / RESULTS / "scores.csv.stamp.json"
    assert json.loads(stamp.read_text())["run"] in {run.info.run_id for run in finished.mlflow_runs()}
