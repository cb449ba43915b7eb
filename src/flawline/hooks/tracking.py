"""Every run in MLflow: kedro-mlflow opens and closes it by conf/mlflow.yml, ``TrackedRun`` says what is in it.

MLflow takes seconds to import, so all of that waits until nothing can refuse the run any more."""

import logging
import os
import re
import socket
import subprocess
import sys
import warnings
from functools import cache, partial
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import urlopen

from filelock import FileLock
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from flawline.checks import FlawlineError
from flawline.datasets import DetectorDataset, RegisteredDetectorDataset
from flawline.hooks.in_study import IN_STUDY
from flawline.storage.digests import content_digest

if TYPE_CHECKING:
    from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
    from mlflow.tracking import MlflowClient

    from flawline.hooks.tracked_run import TrackedRun

# MLflow reads these when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.filterwarnings("ignore", message="(?s).*type hints? to the `predict` method")
for noisy in ("mlflow.utils.environment", "mlflow.system_metrics", "mlflow.pyfunc", "kedro_mlflow"):
    logging.getLogger(noisy).setLevel(logging.ERROR)

SCHEMA = re.compile(r"found version (?P<found>\w+), but expected (?P<wanted>\w+)")  # as MLflow says it
PATIENCE = 5.0  # seconds to wait for a tracking server


class TrackingHook:
    """Opens a ``TrackedRun`` once the run may begin, and tells it what happens."""

    context: KedroContext
    run: "TrackedRun"

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.context = context
        context.__setattr__("mlflow", LateConfig(context))

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        check_environment()
        hook = set_up(self.context)
        settle_detectors(pipeline, catalog)
        from flawline.hooks.tracked_run import TrackedRun

        self.run = TrackedRun(hook, self.context, catalog, study=IN_STUDY.get())
        self.run.open(run_params, pipeline)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self.run.enter(node)

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any]) -> None:
        self.run.log_figures(outputs)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        self.run.take(dataset_name, data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        self.run.keep(dataset_name, data)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        self.run.finish(run_params, pipeline)

    @hook_impl
    def on_pipeline_error(self) -> None:
        self.run.fail()


def settle_detectors(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Find the detectors of MLflow's that a pipeline reads. Raise FlawlineError if one is not there: before a run is
    opened, and so that an alias means the same from the beginning to the end."""
    for name in sorted(pipeline.inputs()):
        dataset = catalog.get(name)
        if isinstance(dataset, DetectorDataset | RegisteredDetectorDataset):
            dataset.settle()


class LateConfig:
    """kedro-mlflow's configuration in the context, made when a command such as ``kedro mlflow ui`` asks for it."""

    def __init__(self, context: KedroContext):
        self._make = cache(partial(set_up, context))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._make().mlflow_config, name)


def set_up(context: KedroContext) -> "MlflowHook":
    """Choose the server and the experiment, made where they are missing; return kedro-mlflow's hook, which knows them.

    Raise FlawlineError if the server does not answer."""
    uri = in_project(tracking_uri(context), context.project_path)
    check_server(uri)
    set_tracking_uri(context, uri)
    import mlflow
    from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook

    # What is imported this late has set its loggers up after conf/logging.yml was read.
    for noisy in ("mlflow", "alembic", "kedro_mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    hook = MlflowHook()
    # Runs that start side by side would each make MLflow's tables and the experiment, and all but one would fail.
    with FileLock(context.project_path / "data" / ".tracking.lock"):
        try:
            hook.after_context_created(context=context)
        except Exception as error:
            said = store_error(error, uri)
            if said is None:
                raise
            raise FlawlineError(said) from None
    mlflow.enable_system_metrics_logging()
    mlflow.set_system_metrics_sampling_interval(5)
    return hook


def tracking_uri(context: KedroContext) -> str:
    """Return the tracking server as conf/mlflow.yml or the environment names it."""
    server = context.config_loader["mlflow"].get("server", {})
    return server.get("mlflow_tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI", "")


def in_project(uri: str, project: Path) -> str:
    """Return ``uri`` with a relative sqlite file taken from the project's folder, from wherever the command was run."""
    path = uri.removeprefix("sqlite:///")
    return uri if path == uri or Path(path).is_absolute() else f"sqlite:///{(project / path).as_posix()}"


def set_tracking_uri(context: KedroContext, uri: str) -> None:
    """Let kedro-mlflow, which reads conf/mlflow.yml by itself, see ``uri`` there."""
    settings = context.config_loader["mlflow"]
    settings = {**settings, "server": {**settings.get("server", {}), "mlflow_tracking_uri": uri}}
    if not uri.startswith("http"):  # a server keeps files itself; a file of the project keeps them in the project
        experiment = settings["tracking"]["experiment"]
        kept = {"create_experiment_kwargs": {"artifact_location": (context.project_path / "mlruns").as_uri()}}
        settings["tracking"] = {**settings["tracking"], "experiment": {**experiment, **kept}}
    context.config_loader["mlflow"] = settings


def check_server(uri: str) -> None:
    """Raise FlawlineError if the tracking server of ``uri`` does not answer within PATIENCE seconds."""
    if urlparse(uri).scheme not in ("http", "https"):
        return
    try:
        urlopen(f"{uri.rstrip('/')}/health", timeout=PATIENCE).close()
    except HTTPError:
        return  # it answers, and MLflow itself knows what to do about permissions
    except (OSError, HTTPException, ValueError) as error:
        raise FlawlineError(
            f"the MLflow server {uri} does not answer ({getattr(error, 'reason', error)}). Start it, or change "
            f"server.mlflow_tracking_uri in conf/base/mlflow.yml (sqlite:///mlflow.db tracks in a file of the project)."
        ) from None


def check_environment() -> None:
    """Raise FlawlineError if the environment names a run: MLflow would go on in it, instead of opening one."""
    if run := os.environ.get("MLFLOW_RUN_ID"):
        raise FlawlineError(
            f"the environment variable MLFLOW_RUN_ID is set ({run}), as other programs leave it behind; each run here "
            f"opens one of its own. Type: unset MLFLOW_RUN_ID"
        )


def store_error(error: BaseException, uri: str) -> str | None:
    """Return in one line what is wrong with the tracking store of ``uri`` and what to do; None if it is something
    else (`flawline.cli` tells of a locked one, which may come at any time)."""
    said, away = str(error), "move the file away, and a new one is made"
    if "file is not a database" in said or "malformed" in said:
        return f"{in_words(uri)} is no tracking store (it is no database of sqlite, or a damaged one): {away}."
    if "readonly database" in said or "unable to open database file" in said:
        return f"the tracking store {in_words(uri)} cannot be written: check its permissions and those of its folder."
    match = SCHEMA.search(said)
    if match is None:
        return None
    if is_known_schema(match["found"]):
        return (
            f"the tracking store {in_words(uri)} is of an older MLflow. Copy it, then bring it up to date: "
            f"mlflow db upgrade {uri}"
        )
    return (
        f"the tracking store {in_words(uri)} is of a newer MLflow than the one that is installed (its schema is "
        f"{match['found']}, wanted {match['wanted']}). Install that version, or {away}."
    )


def in_words(uri: str) -> str:
    """Return the file of a store, else its address."""
    return uri.removeprefix("sqlite:///") or "of MLflow"


def is_known_schema(version: str) -> bool:
    """Return True if the installed MLflow knows the way from this schema to its own."""
    import mlflow.store.db_migrations

    folder = Path(next(iter(mlflow.store.db_migrations.__path__)))
    return any((folder / "versions").glob(f"{version}_*.py"))


def project_id(project: Path) -> str:
    """Return a name for this copy of the project on this machine, which no other has."""
    return content_digest(f"{socket.gethostname()}:{project}")[:12]


def git_sha(project: Path) -> str:
    """Return the commit of the project's checkout, '+changes' if it is not clean, 'unknown' where there is none."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=project, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def close_interrupted() -> None:
    """Mark every open run of this process as killed: Ctrl-C passes by Kedro's own hooks."""
    if "mlflow" not in sys.modules:
        return
    import mlflow
    from mlflow.tracking import MlflowClient

    while (run := mlflow.active_run()) is not None:
        close_run(MlflowClient(), run.info.run_id, "KILLED")  # only now: it would make a store where none was asked for
        mlflow.end_run("KILLED")


def close_run(client: "MlflowClient", run_id: str, status: str) -> None:
    """Close a run, and those below it that are still open."""
    experiment = client.get_run(run_id).info.experiment_id
    for child in client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}' and status = 'RUNNING'"):
        client.set_terminated(child.info.run_id, status)
    client.set_terminated(run_id, status)


def close_dead(client: "MlflowClient", experiment: str, category: str, project: Path, *, alive: str = "") -> None:
    """Mark runs that were killed, all but the one that is ``alive``: the caller holds the category's lock, so no other
    of this project is."""
    mine = f"tags.category = '{category}' and tags.project = '{project_id(project)}'"
    for run in client.search_runs([experiment], f"{mine} and status = 'RUNNING'"):
        if run.info.run_id != alive:
            client.set_terminated(run.info.run_id, "KILLED")


def run_name(category: str, what: str, seed: int) -> str:
    return f"{category} · {what} · seed {seed}"
