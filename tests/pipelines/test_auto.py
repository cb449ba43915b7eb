"""The line of a method that is chosen: the choice with its evidence, the detector of what was chosen."""

from base_params import BASE

from flawline.detector.judging import Judge
from flawline.params import ComputeParams
from flawline.pipelines.embedding.choosing import choice_key

FEW = {"auto.choice.least": 60}
TWIN = {"auto.candidates.patch_memory_wide.change.search_radius": 1}  # as patch_memory, so that one is not tried
CLOSE = TWIN | {"auto.choice.side": 32, "inspection.min_area": 900.0}  # of 30 pixels across: seen as they are


def test_the_chosen_method_is_learned_calibrated_and_kept_and_its_evidence_told(finished):
    finished.run("auto", **CLOSE)
    names = ("images", "usable_manifest", *(f"auto.{each}" for each in (
        "choice", "chosen_scorer", "scores", "detector", "unfinished_choice")), "report", "summary")  # fmt: skip
    images, manifest, choice, scorer, scores, detector, unfinished, page, summary = finished.load_all(*names, **CLOSE)
    assert not unfinished.path.exists()
    assert choice["chosen"].sum() == 1
    chosen = choice[choice["chosen"]].iloc[0]
    assert scorer["method"] == chosen["method"] == detector.params["scorer"]["method"]
    tried = choice[choice["candidate"] != "patch_memory_wide"]
    assert tried["auroc"].between(0, 1).all()
    assert tried.set_index("candidate")["least_seen"].isna()["patch_memory_free"]
    assert choice["reason"].iloc[1] == "on these images the same as patch_memory"
    assert choice[["auroc", "least_seen"]].iloc[1].isna().all()
    assert "Why this method" in page
    assert f"{chosen['candidate']} (chosen)" in page
    assert f"auto chose {chosen['candidate']} with the image score '{chosen['image_score']}'" in summary

    judge = Judge(detector, compute=ComputeParams(device="cpu", threads=1, engine="torch"))
    row_of = dict(zip(manifest["image"], range(len(manifest)), strict=True))
    for image, score in scores.loc[scores["split"] == "test", ["image", "score"]].to_numpy():
        assert judge.judge_framed(images[row_of[image]]).scored.score == score

    runs = finished.mlflow_runs()  # each candidate has one, below that of the method
    (method,) = [run for run in runs if run.data.tags.get("method") == "auto"]
    logged = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == method.info.run_id]
    assert sorted(run.data.params["candidate"] for run in logged) == sorted(choice["candidate"])
    assert all(run.info.status == "FINISHED" for run in logged)
    told = {run.data.params["candidate"]: run.data.metrics["auroc"] for run in logged if "auroc" in run.data.metrics}
    assert told == dict(zip(tried["candidate"], tried["auroc"], strict=True))


def test_of_too_few_images_the_usual_method_is_taken_and_that_is_said(finished):
    finished.run("auto", **FEW)
    (choice, summary) = finished.load_all("auto.choice", "summary", **FEW)
    assert choice["candidate"].tolist() == ["patch_memory"]
    assert "good images are too few to choose by: at least 60 are needed." in summary


def test_a_choice_is_known_by_all_that_shapes_its_scores_and_by_nothing_else():
    def key(auto=BASE.auto, **others):
        return choice_key("images", [0, 1], auto, **{"seed": 0, "folds": [0, 1]} | others)

    assert key(BASE.auto.but(choice={"seconds": 9.0, "noise": 0.5, "image_score_noise": 2.0})) == key()
    fewer = {name: each for name, each in dict(BASE.auto.candidates).items() if name != "patch_memory"}
    changed = [BASE.auto.but(choice={"defects": 90}), BASE.auto.but(candidates=fewer)]
    assert len({key(), *map(key, changed), key(seed=1), key(folds=[1, 0])}) == 5
