"""One pipeline over categories and seeds, resumed where something is missing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kedro.framework.startup import bootstrap_project
from PIL import Image

from flawline.checks import FlawlineError
from flawline.hooks.tracking import close_interrupted
from flawline.params import validate_parameters
from flawline.study import doubtful, is_unchanged, mean_and_deviation, run_study

PIPELINE = "schneider2022"


def study(categories, seeds, *, pipeline=PIPELINE, raw=None):
    bootstrap_project(Path.cwd())  # as the command does
    return run_study(pipeline, categories, seeds, raw=raw, env="smoke")


def parents_of(project):
    return [run for run in project.mlflow_runs() if "study" in run.data.tags]


def test_study_runs_what_is_missing_and_gathers_all(finished, capsys):
    results = study(["chess"], [0, 1])
    said = capsys.readouterr().out
    assert "[1/2] chess, seed 0: done before" in said
    assert "[2/2] chess, seed 1: runs" in said
    (parent,) = parents_of(finished)
    assert parent.info.status == "FINISHED"
    (run,) = [run for run in finished.mlflow_runs() if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert run.data.tags["seed"] == "1"
    assert results[["category", "seed"]].to_numpy().tolist() == [["chess", 0], ["chess", 1]]
    assert results.loc[1, "pixel_auroc"] == finished.load("cae.metrics", seed=1)["values"]["pixel_auroc"]

    again = study(["chess"], [0, 1])
    assert capsys.readouterr().out.count("done before") == 2
    pd.testing.assert_frame_equal(again, results)
    assert len(parents_of(finished)) == 1
    folder = finished.path / "data/08_reporting/studies" / PIPELINE
    table = pd.read_csv(folder / "comparison.csv")
    assert table.loc[0, ["category", "method", "seeds"]].tolist() == ["chess", "cae", 2]
    both = results["pixel_auroc"]
    assert table.loc[0, "pixel_auroc_mean"] == pytest.approx(both.mean())
    assert table.loc[0, "pixel_auroc_std"] == pytest.approx(abs(both[0] - both[1]) / 2**0.5)


def test_interrupted_study_goes_on_with_what_is_missing(finished, parts, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flawline.pipelines.training.nodes.fit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            study(["parts"], [0], raw=str(parts.parent))
    close_interrupted()  # as the command does
    assert [run.info.status for run in parents_of(finished)] == ["KILLED"]
    capsys.readouterr()
    results = study(["parts"], [0], raw=str(parts.parent))
    assert "parts, seed 0: runs" in capsys.readouterr().out
    assert results["category"].tolist() == ["parts"]
    assert {run.info.status for run in parents_of(finished)} == {"KILLED", "FINISHED"}


def test_failed_study_is_marked_failed(project, tmp_path):
    with pytest.raises(FlawlineError, match="no folder"):
        study(["bolts"], [0], raw=str(tmp_path / "nowhere"))
    assert [run.info.status for run in parents_of(project)] == ["FAILED"]


def test_changed_parameters_are_run_again(finished, monkeypatch):
    finished.edit("smoke/parameters/smoke.yml", **{"cae.train.epochs": 3})
    seen = []
    monkeypatch.setattr("flawline.study._run_one", lambda *a: seen.append(a[2]) or finished.load("comparison"))
    study(["chess"], [0])
    assert seen == [{"category": "chess", "seed": 0}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pipeline": "schneider2202"}, r"no pipeline 'schneider2202' \(did you mean 'schneider2022'\?\)"),
        ({"pipeline": "training"}, r"no pipeline 'training' that goes from a raw folder to a comparison; there are: "),
        ({"categories": ["../x"]}, r"category must be"),
        ({"categories": []}, r"needs at least one category"),
        ({"seeds": []}, r"needs at least one category and one seed"),
    ],
)
def test_study_that_cannot_be_is_refused_before_anything_runs(project, arguments, message):
    with pytest.raises(FlawlineError, match=message):
        study(**{"categories": ["chess"], "seeds": [0], **arguments})
    assert not list((project.path / "data").iterdir())


def test_mean_and_deviation_by_hand():
    results = pd.DataFrame({"category": "a", "seed": [0, 1], "method": "m", "image_auroc": [0.5, 0.7]})
    (row,) = mean_and_deviation(results).to_dict("records")
    assert row["image_auroc_mean"] == pytest.approx(0.6)
    assert row["image_auroc_std"] == pytest.approx(0.1 * 2**0.5)
    assert row["seeds"] == 2


def test_categories_with_a_shortcut_are_named_and_no_metric_is_lost():
    results = pd.DataFrame(
        {
            "category": ["a", "a", "b"], "seed": [0, 1, 0], "method": "m", "image_auroc": [0.5, 0.7, 0.9],
            "shortcut": ["label by mean 1.000", "label by mean 1.000", float("nan")],
        }
    )  # fmt: skip
    assert doubtful(results) == {"a": "label by mean 1.000"}
    assert doubtful(results.drop(columns="shortcut")) == {}
    assert mean_and_deviation(results)["image_auroc_mean"].tolist() == [pytest.approx(0.6), 0.9]


def test_photographs_added_since_are_run_again(finished, parts, photographs, monkeypatch):
    finished.run("ingestion", category="parts", raw=str(parts))

    def unchanged():
        with finished.session(category="parts", raw=str(parts)) as session:
            context = session.load_context()
            return is_unchanged(context.catalog, validate_parameters(context.config_loader["parameters"]))

    assert unchanged()
    (extra,) = photographs(parts / "good" / "tuesday", 1, seed=5)
    assert not unchanged()
    extra.unlink()
    assert unchanged()
    mask = parts / "ground_truth" / "scratch" / "000_mask.png"
    Image.fromarray(np.eye(48, dtype=np.uint8)).save(mask)
    assert not unchanged()
    for path in (parts / "good").iterdir():
        path.unlink(missing_ok=True) if path.is_file() else None
    assert not unchanged()  # nothing to learn from is left
