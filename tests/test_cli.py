"""The commands as a user types them: exit codes, what is printed, and what survives Ctrl-C and kill -9."""

import os
import signal
import sqlite3
import sys
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from flawline import cli as commands
from flawline.checks import FlawlineError
from flawline.cli import cli, run, user_error, varied_parameter

LONG = {"cae.train.epochs": 4}
TYPED = "cae.train.epochs=4"
# The command `kedro`, but a certain epoch of its own does not end: it stays where the signal is to find it, however
# long the signal takes on busy cores, and no epoch has to be long.
HELD = """
import sys, time
from flawline.training import loop

whole, begun = loop._train_epoch, []

def train_epoch(*arguments, **options):
    begun.append(whole(*arguments, **options))
    if len(begun) == {held}:
        time.sleep(120)
        sys.exit("no signal came")
    return begun[-1]

loop._train_epoch = train_epoch
from kedro.framework.cli import main
main()
"""


def invoke(*arguments):
    bootstrap_project(Path.cwd())  # as the command does
    result = CliRunner().invoke(cli, [*arguments, "--env=smoke"])
    return result.exit_code, result.output


@pytest.fixture(scope="session")
def unbroken(once, finished_path):
    """The weights of a training that nothing interrupted."""
    project = once("unbroken", lambda project: project.run("training", **LONG), source=finished_path)
    return project.load("cae.weights", **LONG)


def stop_in_training(project, number, *, after, held):
    """Start a training in another process, of which epoch ``held`` of its own does not end, and send it a signal once
    it has told of epoch ``after``; return (exit code, output)."""
    asked = ("run", "--env=smoke", "--pipelines=cae", "--tags=training", f"--params={TYPED}")
    with project.start(*asked, program=(sys.executable, "-c", HELD.format(held=held))) as process:
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if f"epoch    {after}" in line:
                    process.send_signal(number)
                    break
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, "".join(said) + rest


def unfinished(project):
    return {run.info.status for run in project.mlflow_runs() if run.info.status != "FINISHED"}


@pytest.mark.slow
def test_training_stopped_by_ctrl_c_then_by_kill_9_then_run_again_gives_what_an_unbroken_run_gives(finished, unbroken):
    folder = finished.path / "data/06_models/chess/seed-0/cae"
    code, said = stop_in_training(finished, signal.SIGINT, after=2, held=3)
    assert code == 130, said
    assert "Interrupted. Run the same command again: what is done is kept, and training goes on" in said
    assert "Traceback" not in said
    killed = [run for run in finished.mlflow_runs() if run.info.status == "KILLED"]
    assert len(killed) == 2
    assert unfinished(finished) == {"KILLED"}
    assert (folder / "checkpoint.safetensors").is_file()

    # It goes on with the third epoch, its own first, or it would be held before it could tell of it.
    code, said = stop_in_training(finished, signal.SIGKILL, after=3, held=2)
    assert code == -signal.SIGKILL, said
    assert (folder / "checkpoint.safetensors").is_file()

    finished.run("training", **LONG)
    weights = finished.load("cae.weights", **LONG)
    assert weights.keys() == unbroken.keys()
    assert all(torch.equal(weights[name], unbroken[name]) for name in weights)
    assert not list(folder.glob("checkpoint.safetensors*"))
    assert finished.load("cae.history", **LONG)["epoch"].tolist() == [1, 2, 3, 4]


def test_mistake_is_told_without_a_traceback_from_a_folder_below_the_project(finished):
    folder = finished.path / "my notes"
    folder.mkdir()
    code, said = finished.kedro(
        "run", "--params=cae.trian.epochs=5", cwd=folder, env={**os.environ, "KEDRO_ENV": "smoke"}
    )
    assert code == 1
    assert "Error: parameters are not valid:\n  cae.trian: no such parameter (did you mean 'train'?)" in said
    assert "Traceback" not in said
    assert not list(folder.iterdir())


def test_good_run_ends_with_the_table_and_the_page(finished, monkeypatch):
    monkeypatch.setattr("flawline.pipelines.reporting.nodes.render_run", lambda *_, **__: "the page")
    code, said = invoke("run", "--pipelines=cae", "--tags=reporting")
    assert code == 0
    assert "category chess" in said
    assert "cae judged 6 test images" in said
    assert "page: data/08_reporting/chess/seed-0/report.html/" in said


def test_unjudged_image_is_exit_code_3(finished, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "broken.png").write_bytes(b"")
    code, said = invoke("run", "--pipelines=cae_inspection", f"--params=images={tmp_path / 'new'}")
    assert code == 3
    assert "not judged: broken.png is empty (0 bytes)" in said


def test_stale_result_is_exit_code_1(finished):
    code, said = invoke("run", "--pipelines=cae", "--tags=embedding", "--params=cae.train.epochs=9")
    assert code == 1
    assert "Error: cae.weights is stale: since it was made, cae.train.epochs went from 2 to 9." in said


@pytest.mark.parametrize("seeds", ["abc", "-1", "0,1.5"])
def test_study_seeds_that_are_no_numbers(finished, seeds):
    code, said = invoke("study", "schneider2022", "--categories=chess", f"--seeds={seeds}")
    assert code == 1
    assert "a seed must be a whole number from 0, got" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pipelines=ingestoin"], "Did you mean one of these instead?\n    ingestion"),
        (["--from-nodes=trian"], "Pipeline does not contain nodes named ['trian']"),
        (["--pipelines=cae_inspection", "--load-versions=cae.detecto:1"], "[cae.detecto] are not found in the catalog"),
    ],
)
def test_mistyped_names_are_told_without_a_traceback(finished, arguments, message):
    code, said = invoke("run", *arguments)
    assert code == 1
    assert said.startswith("Error: ")
    assert message in said


def test_unknown_environment_is_told_without_a_traceback(finished):
    bootstrap_project(Path.cwd())
    result = CliRunner().invoke(cli, ["run", "--env=nope"])
    assert result.exit_code == 1
    assert "Error: Given configuration path" in result.output


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("images=nowhere", "Error: no folder "),
        ("images=empty", "empty is empty; wanted a folder of photographs"),
        ("images=hollow", "hollow holds nothing but empty folders; wanted photographs to judge"),
        ("images=data,inspection.min_are=3", "inspection.min_are: no such parameter (did you mean 'min_area'?)"),
        ("images=data,category=bolt", "category=bolt,seed=0,raw=FOLDER)."),
        ("images=data,seed=7", "no detector at "),
    ],
)
def test_inspection_that_cannot_be_is_refused_before_anything_is_opened(finished, params, message, monkeypatch):
    def opened(*_):
        raise AssertionError("the run was opened")

    (finished.path / "empty").mkdir()
    (finished.path / "hollow" / "inside").mkdir(parents=True)
    monkeypatch.setattr("flawline.hooks.tracking.set_up", opened)
    monkeypatch.setattr("flawline.pipeline_registry.stage", opened)
    code, said = invoke("run", "--pipelines=inspection", f"--params={params}")
    assert code == 1, said
    assert message in said


def test_the_method_that_has_a_detector_is_named_where_another_was_asked_for(finished):
    code, said = invoke("run", "--pipelines=vae_inspection", "--params=images=data")
    assert code == 1
    assert "seed-0/vae/detector.safetensors. Make it with: make run RAW=FOLDER CATEGORY=chess METHOD=vae (or " in said
    assert said.strip().endswith("cae has one: give METHOD=NAME.")


def test_names_and_folders_are_taken_as_typed():
    option = next(option for option in run.params if option.name == "params")
    params = option.callback(click.Context(run), option, "category=007,seed=1,raw=1e3,cae.train.epochs=2")
    assert params == {"category": "007", "seed": 1, "raw": "1e3", "cae": {"train": {"epochs": 2}}}


def test_study_takes_parameters_and_a_name(finished, monkeypatch):
    seen = {}
    monkeypatch.setattr("flawline.study.run_study", lambda *arguments, **options: seen.update(options))
    code, said = invoke(
        "study", "cae", "--categories=chess", "--params=cae.train.epochs=3,cae.scorer.smoothing=2", "--name=few"
    )
    assert (code, said) == (0, "")
    assert seen["changed"] == {"cae": {"train": {"epochs": 3}, "scorer": {"smoothing": 2}}}
    assert seen["name"] == "few"
    assert invoke("study", "cae", "--categories=chess")[0] == 0
    assert (seen["changed"], seen["name"]) == ({}, None)


def test_study_of_a_seed_among_the_parameters_is_told(finished):
    code, said = invoke("study", "cae", "--categories=chess", "--params=seed=3")
    assert code == 1
    assert "Error: --params of a study are the same for all its runs, got seed" in said


def test_values_to_vary_are_read_as_parameters_are():
    assert varied_parameter("cae.train.epochs=2,3") == ("cae.train.epochs", [2, 3])
    assert varied_parameter(" pca.model.components = 8 , 1.5,") == ("pca.model.components", [8, 1.5])
    assert varied_parameter("protocol=leak_free") == ("protocol", ["leak_free"])
    assert varied_parameter("cae.train.epochs=") == ("cae.train.epochs", [])  # which the study refuses


@pytest.mark.parametrize("typed", ["", "cae.train.epochs", "=1,2", "2=3", "a b=1", "cae.train.epochs:1,2"])
def test_what_cannot_be_varied_is_told_with_an_example(typed):
    said = rf"--vary must be KEY=VALUE,VALUE, such as cae\.model\.latent_size=50,100; got '{typed}'"
    with pytest.raises(FlawlineError, match=said):
        varied_parameter(typed)


@pytest.mark.parametrize(
    ("varied", "message"),
    [
        (["cae.train.epochs"], "Error: --vary must be KEY=VALUE,VALUE"),
        (["cae.train.epochs="], "Error: --vary cae.train.epochs needs values: --vary cae.train.epochs=VALUE,VALUE"),
        (["seed=1,2"], "Error: a study cannot vary seed by --vary; use --categories, --seeds and --raw"),
        (["cae.trian.epochs=1,2"], "cae.trian: no such parameter (did you mean 'train'?)"),
    ],
)
def test_study_that_cannot_vary_is_refused_before_anything_runs(project, varied, message):
    code, said = invoke("study", "cae", "--categories=chess", *(f"--vary={each}" for each in varied))
    assert code == 1
    assert message in said
    assert not list((project.path / "data").iterdir())


def test_locked_store_is_told_in_one_line():
    try:
        try:
            raise sqlite3.OperationalError("database is locked")
        except sqlite3.OperationalError as error:
            raise RuntimeError("(sqlite3.OperationalError) database is locked\n[SQL: SELECT 1]") from error
    except RuntimeError as error:
        said = user_error(error)
    assert said.startswith("the tracking store is locked by another program for too long. End what uses it")
    assert "\n" not in said
    assert user_error(RuntimeError("some other")) is None


@pytest.mark.parametrize(("typed", "params"), [
    ([], {"compute": {"threads": 1}}),
    (["--cluster", "tcp://plant-1:8786"], {"compute": {"threads": 1, "cluster": "tcp://plant-1:8786"}}),
])  # fmt: skip
def test_a_cluster_is_a_parameter_beside_others(monkeypatch, typed, params):
    given = []
    monkeypatch.setattr(commands.kedro_run, "callback", lambda **options: given.append(options["params"]))
    run.main(["--params", "compute.threads=1", *typed], standalone_mode=False)
    assert given == [params]
