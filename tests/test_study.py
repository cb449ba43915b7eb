"""One pipeline over categories and seeds, resumed where something is missing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from filelock import FileLock
from kedro.framework.startup import bootstrap_project
from PIL import Image

from flawline.checks import FlawlineError
from flawline.cli import cli
from flawline.hooks.tracking import close_interrupted
from flawline.methods.tree import validate_parameters
from flawline.pipeline_registry import register_pipelines
from flawline.study import _runtime_params, mean_and_deviation, run_study
from flawline.study_cluster import parts_of
from flawline.study_sessions import Cell, is_unchanged, never_ended, unfinished

PIPELINE = "cae"  # one method: the main job's, which a finished project has already
PAPER = "schneider2022"


def study(categories, seeds, *, pipeline=PIPELINE, raw=None, **options):
    bootstrap_project(Path.cwd())  # as the command does
    return run_study(pipeline, categories, seeds, raw=raw, env="smoke", **options)


def parents_of(project):
    return [run for run in project.mlflow_runs() if "study" in run.data.tags]


def runs_of(project, parent):
    """Return the runs of a study."""
    below = parent.info.run_id
    return [run for run in project.mlflow_runs() if run.data.tags.get("mlflow.parentRunId") == below]


def break_off(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _little_is_logged(monkeypatch):
    """What MLflow keeps of a single run is tested with the hook that tells it."""
    for name in ("_log_figures", "_log_detector"):
        monkeypatch.setattr(f"flawline.hooks.tracked_run.TrackedRun.{name}", lambda *_: None)


def draw_no_run(monkeypatch):
    """A study is asked for its own page: the pages of its runs are tested with the report."""
    monkeypatch.setattr("flawline.pipelines.reporting.nodes.render_run", lambda *_, **__: "the page of a run")


@pytest.fixture
def asked(monkeypatch):
    """A list of (parameters, nodes) of the runs that a study would start. It starts none."""
    seen = []
    monkeypatch.setattr("flawline.study_sessions.run_one", lambda *a: seen.append((a[2], a[4])))
    return seen


@pytest.mark.slow
def test_interrupted_study_goes_on_with_what_is_missing_and_gathers_all(finished, monkeypatch, capsys):
    asked_for = (["chess", "chess"], [0, 1, 1])  # twice the same is once
    draw_no_run(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("flawline.methods.fitting.fit", break_off)
        with pytest.raises(KeyboardInterrupt):
            study(*asked_for)
    close_interrupted()  # as the command does
    (killed,) = parents_of(finished)
    assert killed.info.status == "KILLED"
    said = capsys.readouterr()
    assert "[1/2] chess, seed 0: done before" in said.out
    assert "[2/2] chess, seed 1: goes on" in said.out  # the images are stored, the training is missing
    assert "cae.train" in said.err

    results = study(*asked_for)
    said = capsys.readouterr()
    assert "[1/2] chess, seed 0: done before" in said.out
    assert "[2/2] chess, seed 1: goes on" in said.out
    assert "cae.train" in said.err
    parent = parents_of(finished)[0]
    assert [run.info.status for run in parents_of(finished)] == ["FINISHED", "KILLED"]
    (run,) = runs_of(finished, parent)
    assert run.data.tags["seed"] == "1"
    assert results[["category", "seed"]].to_numpy().tolist() == [["chess", 0], ["chess", 1]]
    assert results.loc[1, "pixel_auroc"] == finished.load("cae.metrics", seed=1)["values"]["pixel_auroc"]
    folder = finished.path / "data/08_reporting/studies" / f"{PIPELINE}-smoke"
    assert "Table 1" in (folder / "report.html").read_text()
    table = pd.read_csv(folder / "comparison.csv")
    assert table.loc[0, ["category", "method", "seeds"]].tolist() == ["chess", "cae", 2]
    both = results["pixel_auroc"]
    assert table.loc[0, "pixel_auroc_mean"] == pytest.approx(both.mean())
    assert table.loc[0, "pixel_auroc_std"] == pytest.approx(abs(both[0] - both[1]) / 2**0.5)

    before = (folder / "results.csv").read_text()
    monkeypatch.setattr("flawline.study.study_page", lambda *_: "")
    again = CliRunner().invoke(cli, ["study", "cae", "--categories=chess", "--seeds=0,1", "--env=smoke"])
    assert again.exit_code == 0
    assert again.output.count("done before") == 2
    assert "comparison: " in again.output
    assert (folder / "results.csv").read_text() == before
    assert len(parents_of(finished)) == 2


def test_failed_study_is_marked_failed(project, tmp_path):
    with pytest.raises(FlawlineError, match="no folder"):
        study(["bolts"], [0], raw=str(tmp_path / "nowhere"))
    assert [run.info.status for run in parents_of(project)] == ["FAILED"]


def test_what_cannot_be_run_is_told_at_the_end_and_the_rest_is_kept(finished, monkeypatch, capsys):
    def refuse(*_):
        raise FlawlineError("no image will do")

    monkeypatch.setattr("flawline.study_sessions.run_one", refuse)
    with pytest.raises(FlawlineError, match=r"^1 of 2 could not be run:\nchess, seed 1: no image will do$"):
        study(["chess"], [0, 1])
    said = capsys.readouterr()
    assert "chess, seed 1 could not be run: no image will do" in said.err
    assert "comparison: " in said.out
    folder = finished.path / "data/08_reporting/studies" / f"{PIPELINE}-smoke"
    assert pd.read_csv(folder / "results.csv")[["category", "seed"]].to_numpy().tolist() == [["chess", 0]]
    assert "chess, seed 1" in (folder / "report.html").read_text()
    assert [run.info.status for run in parents_of(finished)] == ["FAILED"]


def left(project):
    """Return the nodes that a study would run."""
    bootstrap_project(project.path)  # a test before it may have done so, or none
    return unfinished(project.path, register_pipelines()[PIPELINE], {"category": "chess", "seed": 0}, "smoke")


def test_changed_parameters_are_run_again(finished):
    finished.edit("smoke/parameters/smoke.yml", **{"cae.train.epochs": 3})
    nodes = left(finished)
    assert nodes[0] == "cae.train"
    assert {"cae.score_images", "cae.evaluate", "compare", "report"} <= set(nodes)
    assert not {"ingest", "register", "cae.index_grid"} & set(nodes)  # none of these reads the number of epochs


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


def test_shortcut_and_verdicts_cost_no_metric():
    results = pd.DataFrame({"category": ["a", "a"], "seed": [0, 1], "method": "m", "image_auroc": [0.5, 0.7],
                            "before": "suited", "suitability": "doubtful", "shortcut": float("nan")})  # fmt: skip
    assert mean_and_deviation(results)["image_auroc_mean"].tolist() == [pytest.approx(0.6)]


@pytest.mark.slow
def test_a_papers_study_trains_only_the_methods_that_are_missing(finished, monkeypatch, capsys):
    weights = finished.load("cae.weights")
    with monkeypatch.context() as patch:
        patch.setattr("flawline.pipelines.reporting.nodes.render_run", break_off)  # before the last
        with pytest.raises(KeyboardInterrupt):
            study(["chess"], [0], pipeline=PAPER)
    close_interrupted()
    said = capsys.readouterr()
    assert "[1/1] chess, seed 0: goes on" in said.out
    assert "vae.train" in said.err
    assert "cae.train" not in said.err

    draw_no_run(monkeypatch)
    results = study(["chess"], [0], pipeline=PAPER)
    said = capsys.readouterr()
    assert "8 steps are left" in said.out
    assert ".train" not in said.err
    assert finished.newest("08_reporting/chess/seed-0/report.html/*/report.html").stat().st_size > 0
    assert results["method"].tolist() == ["cae", "vae", "aae"]
    assert weights.keys() == finished.load("cae.weights").keys()
    assert results["train_seconds"].gt(0).all()
    folder = finished.path / "data/08_reporting/studies" / f"{PAPER}-smoke"
    page = (folder / "report.html").read_text()
    for told in ("0.949", "0.800", "1\N{NARROW NO-BREAK SPACE}223", "unsuited", "Schneider 2022, Table 1"):
        assert told in page, told
    parents = parents_of(finished)
    for parent in parents:
        (run,) = runs_of(finished, parent)
        for method in ("cae", "vae", "aae"):  # what an earlier run made is told of this one too
            assert run.data.tags[f"{method}.suitability"] == "unsuited"
            assert run.data.metrics[f"{method}.pixel_auroc"] >= 0
    logged = {each.path for each in finished.client.list_artifacts(parents[0].info.run_id)}
    assert {"report.html", "comparison.csv", "results.csv"} <= logged

    monkeypatch.setattr("flawline.study.study_page", lambda *_: "")
    assert study(["chess"], [0], pipeline=PAPER)["method"].tolist() == ["cae", "vae", "aae"]
    assert "done before" in capsys.readouterr().out


def test_a_study_goes_on_behind_the_last_step_that_is_done(finished):
    finished.newest("07_model_output/chess/seed-0/cae/scores.csv").unlink()
    nodes = left(finished)
    assert "cae.tabulate_scores" in nodes
    assert not {"cae.train", "cae.score_images"} & set(nodes)


def test_embedded_examples_stand_beside_a_folder_of_categories(parts):
    assert _runtime_params("chess", 0, str(parts.parent)) == {"category": "chess", "seed": 0}
    assert _runtime_params("parts", 0, str(parts.parent))["raw"] == str(parts)
    own = parts.parent / "chess"
    own.mkdir()
    assert _runtime_params("chess", 0, str(parts.parent))["raw"] == str(own)


def test_photographs_added_since_are_run_again(registered, photographs):
    parts = registered.path / "parts"
    with registered.session(category="parts", raw=str(parts)) as session:
        context = session.load_context()
        catalog, params = context.catalog, validate_parameters(context.config_loader["parameters"])

    def unchanged():
        return is_unchanged(catalog, params)

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


def test_folder_and_parameters_hold_for_every_run_and_a_name_keeps_the_tables_apart(finished, parts, asked):
    """An own folder that has an example's name is not taken for the example: all of it is run, and the page does not
    set what was published on the example beside it."""
    folder = finished.path / "data/08_reporting/studies"
    usual = folder / f"{PIPELINE}-smoke" / "results.csv"
    usual.parent.mkdir(parents=True)
    usual.write_text("of an earlier study")
    own, changed = parts.rename(parts.with_name("chess")), {"cae": {"scorer": {"smoothing": 1.5}}}
    study(["chess"], [0], raw=str(own.parent), changed=changed, name="ablation")
    assert asked == [(changed | {"category": "chess", "seed": 0, "raw": str(own)}, None)]  # None: all nodes
    page = (folder / "ablation" / "report.html").read_text()
    assert "<dt>parameters</dt><dd>cae.scorer.smoothing=1.5</dd>" in page
    assert "study ablation" in page
    assert "Table 1" not in page
    assert (folder / "ablation" / "results.csv").is_file()
    assert usual.read_text() == "of an earlier study"


def vary(parts):
    """Give the command that runs a method with two values of a parameter."""
    bootstrap_project(Path.cwd())
    asked = ("pca", "--categories=parts", f"--raw={parts.parent}", "--vary=pca.model.components=2,6", "--env=smoke")
    said = CliRunner().invoke(cli, ["study", *asked])
    assert said.exit_code == 0, said.output
    return said.output


@pytest.mark.slow
def test_each_value_that_is_varied_has_a_folder_and_a_row_of_its_own(project, parts, monkeypatch):
    draw_no_run(monkeypatch)
    said = vary(parts)
    assert "[1/2] parts (components 2), seed 0: runs" in said
    assert "[2/2] parts (components 6), seed 0: goes on" in said  # the folder was read; it shares nothing else
    made = {}
    for value in (2, 6):
        variant = f"pca.model.components={value}"
        assert (project.path / f"data/08_reporting/parts/images-{variant}/seed-0/pca_metrics.json").is_dir()
        weights, metrics = project.load_all("pca.weights", "pca.metrics", category="parts", variant=variant)
        made[value] = metrics["values"]["image_auroc"]
        assert weights["components"].shape == (value, 32 * 32)
    assert not (project.path / "data/08_reporting/parts/seed-0").exists()

    folder = project.path / "data/08_reporting/studies/pca-smoke"
    results = pd.read_csv(folder / "results.csv")
    assert results["category"].tolist() == ["parts (components 2)", "parts (components 6)"]
    assert results["pca.model.components"].tolist() == [2, 6]
    assert results["image_auroc"].tolist() == pytest.approx([made[2], made[6]])
    page = (folder / "report.html").read_text()
    assert "parts (components 2)" in page
    assert "parts (components 6)" in page
    assert pd.read_csv(folder / "comparison.csv")["seeds"].tolist() == [1, 1]

    assert vary(parts).count("done before") == 2


@pytest.mark.parametrize("key", ["category", "seed", "raw", "images"])
def test_what_differs_from_run_to_run_is_no_parameter_of_a_study(project, key):
    with pytest.raises(FlawlineError, match=f"--params of a study are the same for all its runs, got {key}: use --cat"):
        study(["chess"], [0], changed={key: "1"})
    assert not list((project.path / "data").iterdir())


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x y"])
def test_a_studys_name_is_that_of_a_folder(project, name):
    with pytest.raises(FlawlineError, match=r"a study's name must be 1 to 64 letters.*Give one as --name NAME\."):
        study(["chess"], [0], name=name)
    assert not list((project.path / "data").iterdir())


def test_verdicts_that_no_method_has_cost_no_metric():
    results = pd.DataFrame({"category": "a", "seed": [0, 1], "method": "m", "image_ap": [0.5, 0.7], "before": np.nan})
    assert mean_and_deviation(results)["image_ap_mean"].tolist() == [pytest.approx(0.6)]


def test_value_that_cannot_be_is_refused_before_the_first_run(project, parts, monkeypatch):
    monkeypatch.chdir(project.path)
    with pytest.raises(FlawlineError, match=r"cae.train.epochs: input should be greater than 0, got 0"):
        study(["parts"], [0], raw=str(parts.parent), varied={"cae.train.epochs": [1, 0]})
    assert not (project.path / "data" / "06_models").exists()


@pytest.fixture
def cluster_of_one(monkeypatch):
    """A cluster whose only worker is this process; a list of the tasks that it was given, and what each waits for."""
    given = []

    def at_once(address, project, work, tasks):
        made = {}
        for name, (*arguments, before) in tasks.items():
            given.append((address, name, before.names))
            made[name] = work(str(project), *arguments, [made[each] for each in before.names])
            yield name, made[name]

    monkeypatch.setattr("flawline.study_cluster.on_cluster", at_once)
    return given


def test_on_a_cluster_what_is_missing_is_run_in_steps_and_what_is_done_is_not(
    finished, monkeypatch, cluster_of_one, capsys
):
    tried = []

    def refuse(project, pipeline, params, env, nodes, of):
        tried.append((params["category"], params["seed"], of.part))
        raise FlawlineError(f"no image of {params['category']} will do")

    monkeypatch.setattr("flawline.study_sessions.run_one", refuse)
    with pytest.raises(FlawlineError) as told:
        study(["chess", "twill"], [0, 1], cluster="local")
    assert cluster_of_one == [
        ("local", f"{cell}: {part}", [f"{before}" for before in after])
        for cell, others in (("chess, seed 1", []), ("twill, seed 0", []), ("twill, seed 1", ["twill, seed 0: images"]))
        for part, after in (
            ("images", others),
            ("cae", [f"{cell}: images"]),
            ("report", [f"{cell}: cae", f"{cell}: images"]),
        )
    ]
    # What stands behind a part that was refused is not tried.
    assert tried == [("chess", 1, "2.images"), ("twill", 0, "3.images"), ("twill", 1, "4.images")]
    assert str(told.value).split("\n") == [
        "3 of 4 could not be run:",
        "chess, seed 1: no image of chess will do",
        "twill, seed 0: no image of twill will do",
        "twill, seed 1: no image of twill will do",
    ]
    said = capsys.readouterr().out
    assert "3 runs in 9 steps for the cluster local" in said
    assert "[2/9] chess, seed 1: cae: could not be run" in said
    results = finished.path / "data/08_reporting/studies" / f"{PIPELINE}-smoke" / "results.csv"
    assert pd.read_csv(results)[["category", "seed"]].to_numpy().tolist() == [["chess", 0]]
    (parent,) = parents_of(finished)
    assert {run.info.status for run in runs_of(finished, parent)} == {"FAILED"}


@pytest.mark.slow
def test_the_steps_of_a_session_are_one_run_of_mlflow(finished, monkeypatch, cluster_of_one):
    draw_no_run(monkeypatch)
    results = study(["chess"], [1], cluster="local")
    (parent,) = parents_of(finished)
    (run,) = runs_of(finished, parent)
    (method,) = runs_of(finished, run)
    assert run.data.tags["mlflow.runName"] == "chess · cae · seed 1"
    assert run.data.tags["kedro_command"] == "kedro run --pipeline=cae"  # the whole session, not its last step
    assert (run.info.status, method.info.status) == ("FINISHED", "FINISHED")
    assert method.data.tags["method"] == "cae"
    assert method.data.metrics["pixel_auroc"] == results.loc[0, "pixel_auroc"]
    assert len(finished.client.get_metric_history(method.info.run_id, "train_loss")) == 2


def test_sessions_with_other_photographs_wait_for_each_other_and_those_with_other_methods_do_not(
    finished, monkeypatch, cluster_of_one
):
    monkeypatch.setattr("flawline.study_cluster.run_part", lambda *arguments: (arguments[4], "not tried"))
    with pytest.raises(FlawlineError, match="not tried"):
        study(
            ["chess"],
            [0],
            cluster="local",
            varied={"cae.model.latent_size": [4, 8], "ingestion.splits.calibration": [0.2, 0.3]},
        )
    images = [after for _, name, after in cluster_of_one if name.endswith(": images")]
    first, second, third = (
        f"chess (latent_size {size}, calibration {share}), seed 0" for size, share in ((4, 0.2), (4, 0.3), (8, 0.2))
    )
    assert images == [
        [],
        [f"{first}: images", f"{first}: report"],
        [f"{second}: images", f"{second}: report"],  # the photographs of the first, but for these
        [f"{third}: images", f"{first}: report", f"{third}: report"],
    ]


@pytest.mark.parametrize("made", ["seed-1", "leak_free-fine/seed-1"])
def test_a_session_that_has_ended_is_told_in_any_frame(tmp_path, made):
    cell = Cell(1, "bolt", "bolt", 1, {}, {})
    assert never_ended(tmp_path, cell)
    folder = tmp_path / "data/08_reporting/bolt" / made
    folder.mkdir(parents=True)
    assert never_ended(tmp_path, cell)  # it was broken off
    (folder / "comparison.csv").touch()
    assert not never_ended(tmp_path, cell)
    assert never_ended(tmp_path, cell._replace(seed=10))


def test_a_study_on_a_cluster_and_a_run_do_not_work_on_one_category(finished, cluster_of_one):
    with (
        FileLock(finished.path / "data" / ".chess.lock"),
        pytest.raises(FlawlineError, match="another run is working on the category chess"),
    ):
        study(["chess"], [1], cluster="local")
    assert cluster_of_one == []


@pytest.mark.parametrize("name", ["schneider2022", "saeedi2022", "alpdemir2022", "radli2022", "auto"])
def test_what_passes_from_one_step_to_another_is_stored(registered, name):
    line = register_pipelines()[name]
    parts = parts_of(line)
    assert sum(len(part.pipeline.nodes) for part in parts.values()) == len(line.nodes)
    with registered.session() as session:
        catalog = session.load_context().catalog
    made_here = line.all_outputs()
    for part in parts.values():
        assert all(catalog.get(each)._filepath for each in part.pipeline.inputs() & made_here)


def test_a_study_that_is_done_needs_no_cluster(finished, cluster_of_one):
    study(["chess"], [0], cluster="tcp://nowhere:1")
    assert cluster_of_one == []
    assert parents_of(finished) == []
