"""What MLflow knows of a run: who, from what, how it went, and a model that can be served."""

import socket
import sqlite3
import sys
from contextlib import chdir, closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from subprocess import PIPE
from threading import Thread

import kedro
import mlflow
import pytest

from flawline.checks import FlawlineError
from flawline.detector.file import load_detector
from flawline.detector.judging import Judge
from flawline.detector.serving import ANSWER
from flawline.hooks import tracking
from flawline.hooks.lineage import read_stamp
from flawline.hooks.served_model import shortened
from flawline.hooks.tracking import check_environment, check_server, close_interrupted, in_project

# Opens MLflow for a project as a run does, and a run in it, once it is told to.
FIRST_RUN = """
from pathlib import Path
import mlflow
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

bootstrap_project(Path.cwd())
with KedroSession.create(env="smoke") as session:
    context = session.load_context()
    print("ready", flush=True)
    input()
    context.mlflow.tracking
    mlflow.start_run()
    mlflow.end_run()
"""


@pytest.fixture
def runs(finished_once):
    """The parent run and its child."""
    both = finished_once.mlflow_runs()
    assert len(both) == 2
    return sorted(both, key=lambda run: "method" in run.data.tags)


def test_a_run_and_below_it_a_run_for_the_method(runs):
    parent, child = runs
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]


def test_tags_say_who_and_what(runs):
    parent, child = runs
    for run in runs:
        assert run.data.tags["category"] == "chess"
        assert run.data.tags["seed"] == "0"
        assert run.data.tags["kedro_version"] == kedro.__version__
        assert run.data.tags["git_sha"] == "unknown"  # the temporary project is no checkout
    assert parent.data.tags["methods"] == "cae"
    assert child.data.tags["method"] == "cae"


def test_names_say_the_category_the_method_and_the_seed(runs):
    assert [run.info.run_name for run in runs] == ["chess · cae · seed 0", "chess · cae · seed 0"]


@pytest.mark.parametrize(
    ("asked", "methods", "name"),
    [
        (None, ["patch_memory"], "patch_memory"),
        (["training"], ["cae"], "cae"),
        (["saeedi2022"], ["cpcae", "patch_memory"], "saeedi2022"),
        (["ingestion", "registration"], [], "ingestion+registration"),
        (["patch_memory_inspection"], [], "patch_memory_inspection"),
    ],
)
def test_a_run_is_called_by_its_one_method_else_by_its_pipelines(asked, methods, name):
    from flawline.hooks.tracked_run import what_runs

    assert what_runs({"pipeline_names": asked}, methods) == name


def test_commands_of_kedro_mlflow_find_its_configuration_in_the_context(project):
    with project.session() as session:
        context = session.load_context()
        assert context.mlflow.ui.host == "127.0.0.1"
        assert context.mlflow.tracking.experiment._experiment.name == "flawline"
    assert context.mlflow.server.mlflow_tracking_uri == f"sqlite:///{project.path / 'mlflow.db'}"


def test_parameters_are_flat(runs):
    parent, child = runs
    assert parent.data.params["cae.train.epochs"] == child.data.params["cae.train.epochs"] == "2"
    assert parent.data.params["ingestion.splits.calibration"] == "0.2"
    assert "ingestion.splits.calibration" not in child.data.params
    assert all(name.startswith("defect_injection.") for name, value in parent.data.params.items() if "{" in value)


def test_a_run_keeps_the_parameters_of_what_ran_and_no_others(runs):
    parent, _ = runs
    branches = {name.partition(".")[0] for name in parent.data.params}
    assert {"cae", "ingestion", "registration", "evaluation", "category", "seed", "compute"} <= branches
    assert not branches & {"vae", "rdcae", "auto", "texture"}
    examples = {name for name in parent.data.params if name.startswith("examples.")}
    assert examples
    assert all(name.startswith("examples.chess.") for name in examples)


def test_a_step_for_every_epoch(finished_once, runs):
    history = finished_once.load("cae.history")
    for name in ("train_loss", "validation_loss"):
        logged = finished_once.client.get_metric_history(runs[1].info.run_id, name)
        assert [(metric.step, metric.value) for metric in logged] == list(
            zip(history["epoch"], history[name], strict=True)
        )


def test_metrics_are_those_that_are_stored(finished_once, runs):
    parent, child = runs
    for name, value in finished_once.load("cae.metrics")["values"].items():
        assert child.data.metrics[name] == pytest.approx(value)
        assert parent.data.metrics[f"cae.{name}"] == pytest.approx(value)


def test_data_are_named_with_a_digest_of_the_images(runs):
    (data,) = runs[0].inputs.dataset_inputs
    assert data.dataset.name == "chess"
    assert len(data.dataset.digest) == 16
    assert '"num_rows": 20' in data.dataset.profile


def test_report_and_figures_are_kept(finished_once, runs):
    client, (parent, child) = finished_once.client, runs
    assert {"report.html", "summary.txt", "comparison.csv", "quarantine.csv"} <= {
        each.path for each in client.list_artifacts(parent.info.run_id)
    }
    assert "cae_operating_points.csv" in {each.path for each in client.list_artifacts(child.info.run_id)}
    figures = {each.path for each in client.list_artifacts(child.info.run_id, "figures")}
    assert figures == {f"figures/{name}.png" for name in ("histogram", "history", "roc", "pr")}


def test_system_metrics_are_on(finished_once):
    assert mlflow.environment_variables.MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get()


def test_stamp_and_run_name_each_other(finished_once, runs):
    path = finished_once.newest("06_models/chess/seed-0/cae/detector.safetensors/*/detector.safetensors")
    assert read_stamp(path)["run"] == runs[0].info.run_id
    assert runs[1].data.tags["detector_version"] == path.parent.name


def test_logged_model_judges_its_example_as_the_detector_does(finished_once, runs):
    mlflow.set_tracking_uri(f"sqlite:///{finished_once.path / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model(f"runs:/{runs[1].info.run_id}/detector")
    assert model.metadata.signature.inputs.input_names() == ["image"]
    assert model.metadata.signature.outputs.input_names() == list(ANSWER)
    example = model.input_example
    said = model.predict(example)
    path = finished_once.newest("06_models/chess/seed-0/cae/detector.safetensors/*/detector.safetensors")
    wanted = Judge(load_detector(path)).judge_file(example["image"].iloc[0]).judgement
    assert said["verdict"].tolist() == [wanted.verdict]
    assert said["score"].tolist() == pytest.approx([wanted.score])


def test_logged_model_is_registered_with_its_card(finished_once, runs):
    (version,) = finished_once.client.search_model_versions("name = 'flawline-chess-cae'")
    child = runs[1].data
    assert child.tags["model"] == f"flawline-chess-cae {version.version}"
    assert version.tags == {"detector_version": child.tags["detector_version"], "seed": "0"}
    card = finished_once.load("cae.model_card")
    assert card.startswith("# Detector of chess, method cae")
    assert version.description == shortened(card)
    assert "model_card.md" in {each.path for each in finished_once.client.list_artifacts(runs[1].info.run_id)}


def test_a_detector_that_says_otherwise_elsewhere_becomes_no_model(finished, monkeypatch, caplog):
    monkeypatch.setattr("flawline.hooks.tracked_run.reason_against", lambda *_: "by torch: 1 of 8 verdicts are others")
    before = finished.client.search_model_versions("name = 'flawline-chess-cae'")
    finished.run("cae", options={"tags": ["evaluation"]})
    assert finished.client.search_model_versions("name = 'flawline-chess-cae'") == before
    child = next(run for run in finished.mlflow_runs() if "method" in run.data.tags)
    assert child.info.status == "FINISHED"
    assert child.data.tags["model"] == (
        "no model is made of the detector of cae, which says otherwise by torch: 1 of 8 verdicts are others"
    )
    assert child.data.tags["model"] in caplog.text


def test_logged_model_says_why_it_cannot_judge(finished_once, runs):
    mlflow.set_tracking_uri(f"sqlite:///{finished_once.path / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model(f"runs:/{runs[1].info.run_id}/detector")
    example = model.input_example
    example["image"] = [b"no image"]
    assert model.predict(example)["verdict"].tolist() == ["not_judged"]


def test_failed_run_is_marked_with_its_children_and_a_killed_one_by_the_next(finished, monkeypatch):
    def boom(*_, **__):
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setattr("flawline.pipelines.training.nodes.train_network", boom)
        with pytest.raises(RuntimeError, match="boom"):
            finished.run("training")
    newest = [run for run in finished.mlflow_runs() if run.info.status != "FINISHED"]
    assert [run.info.status for run in newest] == ["FAILED", "FAILED"]
    assert mlflow.active_run() is None

    client = finished.client
    alive = next(run for run in finished.mlflow_runs() if "method" not in run.data.tags)
    tags = {key: alive.data.tags[key] for key in ("category", "project")}
    dead = client.create_run(alive.info.experiment_id, tags=tags | {"project": tracking.project_id(finished.path)})
    other = client.create_run(alive.info.experiment_id, tags=tags | {"project": "elsewhere"})
    finished.run("training")
    assert [run.info.status for run in finished.mlflow_runs()].count("FINISHED") == 4
    assert client.get_run(dead.info.run_id).info.status == "KILLED"
    assert client.get_run(other.info.run_id).info.status == "RUNNING"


def test_server_that_is_not_there_stops_the_run_before_any_work(project):
    project.edit("base/mlflow.yml", **{"server.mlflow_tracking_uri": "http://127.0.0.1:9"})
    with pytest.raises(FlawlineError, match=r"the MLflow server http://127.0.0.1:9 does not answer.*refused.*Start it"):
        project.run("ingestion")
    assert all(path.suffix == ".lock" for path in (project.path / "data").iterdir())
    # The next run of the same process goes to the project's own file, from wherever the command is run.
    project.edit("base/mlflow.yml", **{"server.mlflow_tracking_uri": "sqlite:///mlflow.db"})
    (project.path / "notes").mkdir()
    with chdir(project.path / "notes"):
        project.run("ingestion")
    assert not list((project.path / "notes").iterdir())
    assert len(project.mlflow_runs()) == 1


def test_server_that_takes_calls_but_never_answers(monkeypatch):
    monkeypatch.setattr(tracking, "PATIENCE", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    with closing(silent), pytest.raises(FlawlineError, match="does not answer"):
        check_server(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("code", [200, 401, 404])
def test_server_that_answers(code):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        check_server(f"http://127.0.0.1:{server.server_port}")


@pytest.mark.slow
def test_first_runs_side_by_side_make_the_tracking_tables_once(project):
    (project.path / "mlflow.db").unlink()
    runs = [project.start(program=(sys.executable, "-c", FIRST_RUN), stdin=PIPE) for _ in range(2)]
    assert [run.stdout.readline() for run in runs] == ["ready\n"] * 2
    for run in runs:
        run.stdin.write("\n")
        run.stdin.flush()
    said = [run.communicate(timeout=240)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert len(project.mlflow_runs()) == 2


def test_closing_where_no_run_is_open_makes_no_tracking_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    close_interrupted()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("uri", ["http://example:5000", "sqlite:////srv/mlflow.db", "postgresql://host/db", ""])
def test_other_places_are_left_as_they_are(uri, tmp_path):
    assert in_project(uri, tmp_path) == uri


def test_the_page_names_its_run(finished_once, runs):
    page = finished_once.newest("08_reporting/chess/seed-0/report.html/*/report.html").read_text()
    assert runs[0].info.run_id in page


# --- what the environment and the store may be like ------------------------------------------------------------------
def test_run_id_left_in_the_environment_is_refused(monkeypatch):
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    check_environment()
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123")
    with pytest.raises(FlawlineError, match=r"MLFLOW_RUN_ID is set \(0123\).*opens one of its own\. Type: unset"):
        check_environment()


def damage(project, sql):
    with closing(sqlite3.connect(project.path / "mlflow.db")) as store, store:
        store.execute(sql)


def test_store_of_a_newer_mlflow_is_told_in_one_line(project):
    damage(project, "update alembic_version set version_num = 'ffffffffffff'")
    with project.session() as session, pytest.raises(FlawlineError) as raised:
        tracking.set_up(session.load_context())
    said = str(raised.value)
    assert said.startswith(f"the tracking store {project.path / 'mlflow.db'} is of a newer MLflow")
    assert "its schema is ffffffffffff, wanted" in said
    assert "\n" not in said


def test_store_of_an_older_mlflow_says_how_to_bring_it_up_to_date(project):
    damage(project, "update alembic_version set version_num = '451aebb31d03'")  # MLflow 1.0
    with (
        project.session() as session,
        pytest.raises(FlawlineError, match=r"is of an older MLflow.*mlflow db upgrade sqlite"),
    ):
        tracking.set_up(session.load_context())


def test_file_that_is_no_store_is_told(project):
    (project.path / "mlflow.db").write_text("not a database at all")
    with project.session() as session, pytest.raises(FlawlineError, match=r"is no tracking store.*move the file away"):
        tracking.set_up(session.load_context())


@pytest.mark.parametrize(("said", "told"), [
    ("(sqlite3.OperationalError) attempt to write a readonly database", "cannot be written: check its permissions"),
    ("(sqlite3.OperationalError) unable to open database file", "cannot be written: check its permissions"),
    ("something else", None),
])  # fmt: skip
def test_errors_of_a_store_are_told_apart(said, told):
    found = tracking.store_error(RuntimeError(said), "sqlite:////p/mlflow.db")
    assert found is None if told is None else told in found
