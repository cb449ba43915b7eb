"""Every run in MLflow: a run a Kedro run, below it a run a method, with parameters, curves, data, model and report.

Extends kedro-mlflow's hook, which opens and closes the run by conf/mlflow.yml. What it adds goes through MlflowClient
with explicit run ids, since MLflow's active run belongs to a thread."""

import hashlib
import logging
import os
import socket
import subprocess
import time
import warnings
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from http.client import HTTPException
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import urlopen

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

warnings.filterwarnings("ignore", message="(?s).*type hints? to the `predict` method")

import kedro
import mlflow
import pandas as pd
from filelock import FileLock
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from flawline import __version__
from flawline.checks import FlawlineError
from flawline.figures import histogram_figure, history_figure, pr_figure, roc_figure
from flawline.hooks.lineage import where
from flawline.intake.decoding import encode_png
from flawline.methods.registry import METHODS
from flawline.metrics.shortcuts import brief
from flawline.params import flatten, validate_parameters
from flawline.report import MethodResult

PARENT: ContextVar[str | None] = ContextVar("parent_run", default=None)  # the study's run, where there is one
PATIENCE = 5.0  # seconds to wait for a tracking server
SERVING = Path(__file__).parents[1] / "detector" / "serving.py"
MOST_PARAMS = 100  # in one call: a server takes no more
LONGEST = 500  # characters of a parameter's value
SAID = {"expected_suitability": "suitability_before", "suitability": "suitability"}  # dataset -> tag with its verdict
TRAINED = {
    "sample_reconstructions": "checkpoints",
    "fold_weights": "fold_checkpoints",
}  # the last that a training saves -> its store
ALSO_LOGGED = ("report", "summary", "comparison", "quarantine", "near_duplicates", "shortcuts", "data_report",
               "verdicts", "inspection_report", "pseudo_defects")  # fmt: skip


class TrackingHook(MlflowHook):
    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.params = flatten(validate_parameters(context.config_loader["parameters"]).model_dump(mode="json"))
        self.project = context.project_path
        self.children: dict[str, str] = {}
        self.current: str | None = None
        self.told: set[str] = set()
        self.shortcut = ""
        uri = in_project(tracking_uri(context), context.project_path)
        check_server(uri)
        set_tracking_uri(context, uri)
        # Runs that start side by side would each make MLflow's tables and the experiment, and all but one would fail.
        with FileLock(context.project_path / "data" / ".tracking.lock"):
            super().after_context_created(context=context)
        mlflow.enable_system_metrics_logging()
        mlflow.set_system_metrics_sampling_interval(5)

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        self.catalog = catalog
        catalog.load("progress").sink = self.log_epoch

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
        self.client = MlflowClient()
        methods = sorted({node.namespace for node in pipeline.nodes if node.namespace in METHODS})
        tags = self._tags() | {"methods": ",".join(methods)}
        if PARENT.get():
            tags["mlflow.parentRunId"] = str(PARENT.get())
        self._log(self.run_id, params=self.params, tags=tags)
        self._close_dead()

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """In the place of kedro-mlflow's, which would log every pydantic model as one string."""
        self.current = node.namespace if node.namespace in METHODS else None
        if self.current and self.current not in self.children:
            self.children[self.current] = self._open_child(self.current)

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any]) -> None:
        for value in outputs.values():
            if isinstance(value, MethodResult):
                self._log_figures(value)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        if dataset_name == "manifest":
            self._log_data(data)
        elif dataset_name == "shortcuts":
            self.shortcut = brief(data)
        elif dataset_name not in self.told:
            method, _, name = dataset_name.rpartition(".")
            self._log_found(method, name, data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        method, _, name = dataset_name.rpartition(".")
        self.after_dataset_loaded(dataset_name, data)  # what is made in this run tells as much as what is read
        if dataset_name in ALSO_LOGGED:
            self.client.log_artifact(self.run_id, str(where(self.catalog.get(dataset_name))))
        elif method in self.children and name == "detector":
            self._log_detector(method, where(self.catalog.get(dataset_name)))
        elif method in self.children and name in TRAINED:
            self.catalog.load(f"{method}.{TRAINED[name]}").clear()  # training is done and its result is safe

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        for run_id in (self.run_id, *self.children.values()) if self.shortcut else ():
            self.client.set_tag(run_id, "shortcut", self.shortcut)  # whoever compares runs must see it
        self._close_children("FINISHED")
        super().after_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """In the place of kedro-mlflow's, which fails itself where no run is active in this thread."""
        self._close_children("FAILED")
        while mlflow.active_run() is not None:
            mlflow.end_run("FAILED")
        self.client.set_terminated(self.run_id, "FAILED")

    def log_epoch(self, record: dict[str, float]) -> None:
        """Log every series of an epoch, whatever the training has, to the run of the method that is being trained."""
        if self.current in self.children:
            series = {name: value for name, value in record.items() if name != "epoch" and isinstance(value, Real)}
            self._log(self.children[self.current], metrics=series, step=int(record["epoch"]))

    def _log_found(self, method: str, name: str, data: Any) -> None:
        """Log metrics and verdicts, made or read, to the run, and to the method's own where it has one."""
        metrics = data["values"] if name == "metrics" else {}
        tags = {SAID[name]: data["verdict"]} if name in SAID else {}
        if method not in METHODS or not (metrics or tags):
            return
        self.told.add(f"{method}.{name}")
        if method in self.children:
            self._log(self.children[method], metrics=metrics, tags=tags)
        self._log(
            self.run_id,
            metrics={f"{method}.{key}": value for key, value in metrics.items()},
            tags={f"{method}.{key}": value for key, value in tags.items()},
        )

    def _open_child(self, method: str) -> str:
        run = self.client.create_run(
            self.client.get_run(self.run_id).info.experiment_id,
            run_name=f"{method} {self.params['category']} {self.params['seed']}",
            tags={"mlflow.parentRunId": self.run_id, "method": method},
        )
        own = {key: value for key, value in self.params.items() if key.startswith(f"{method}.") or "." not in key}
        self._log(run.info.run_id, params=own, tags=self._tags())
        return run.info.run_id

    def _close_children(self, status: str) -> None:
        for run_id in self.children.values():
            self.client.set_terminated(run_id, status)
        self.children = {}

    def _close_dead(self) -> None:
        """Mark runs that were killed: this run holds the category's lock, so no other of this project is alive."""
        mine = f"tags.category = '{self.params['category']}' and tags.project = '{project_id(self.project)}'"
        experiment = self.client.get_run(self.run_id).info.experiment_id
        for run in self.client.search_runs([experiment], f"{mine} and status = 'RUNNING'"):
            if run.info.run_id != self.run_id:
                self.client.set_terminated(run.info.run_id, "KILLED")

    def _tags(self) -> dict[str, str]:
        return {
            "category": str(self.params["category"]),
            "seed": str(self.params["seed"]),
            "kedro_version": kedro.__version__,
            "flawline_version": __version__,
            "git_sha": git_sha(self.project),
            "project": project_id(self.project),
        }

    def _log(
        self,
        run_id: str,
        *,
        params: dict[str, Any] | None = None,
        metrics: dict[str, float] | None = None,
        tags: dict[str, str] | None = None,
        step: int = 0,
    ) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(key, float(value), now, step) for key, value in (metrics or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )
        for some in batched((params or {}).items(), MOST_PARAMS):
            self.client.log_batch(run_id, params=[Param(key, str(value)[:LONGEST]) for key, value in some])

    def _log_data(self, manifest: pd.DataFrame) -> None:
        if getattr(self, "_data_logged_to", None) == self.run_id:
            return
        self._data_logged_to = self.run_id
        path = where(self.catalog.get("manifest"))
        digest = pd.util.hash_pandas_object(manifest[["image", "split", "sha256"]], index=False).sum()
        entity = DatasetEntity(
            name=str(self.params["category"]),
            digest=f"{int(digest):016x}",
            source_type="local",
            source=f'{{"uri": "{path.as_uri()}"}}',
            profile=f'{{"num_rows": {len(manifest)}}}',
        )
        self.client.log_inputs(self.run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])

    def _log_figures(self, result: MethodResult) -> None:
        run_id = self.children.get(result.method, self.run_id)
        thresholds = {name: threshold.value for name, threshold in result.thresholds.items()}
        figures = {"histogram": histogram_figure(result.scores, thresholds)}
        if result.history is not None:
            figures["history"] = history_figure(result.history)
        for name, draw in (("roc", roc_figure), ("pr", pr_figure)):
            if name in result.curves:
                figures[name] = draw({result.method: result.curves[name]})
        for name, figure in figures.items():
            self.client.log_figure(run_id, figure, f"figures/{name}.png")

    def _log_detector(self, method: str, path: Path) -> None:
        images, manifest = self.catalog.load("images"), self.catalog.load("manifest")
        example = pd.DataFrame({"image": [encode_png(images[int(manifest.index[0])])]})
        with mlflow.start_run(run_id=self.children[method], nested=True, log_system_metrics=False):
            mlflow.pyfunc.log_model(
                name="detector",
                python_model=str(SERVING),
                artifacts={"detector": str(path)},
                signature=signature(),
                input_example=example,
                pip_requirements=[f"flawline=={__version__}"],
            )
        self.client.set_tag(self.children[method], "detector_version", path.parent.name)


def batched(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """Yield ``items`` in lists of at most ``count``."""
    waiting = iter(items)
    while some := list(islice(waiting, count)):
        yield some


def signature() -> mlflow.models.ModelSignature:
    """Return the served model's signature: an image file's bytes in; score, threshold, verdict and reason out."""
    from mlflow.types import ColSpec, Schema

    outputs = [
        ColSpec("double", "score", required=False),
        ColSpec("double", "threshold", required=False),
        ColSpec("string", "verdict"),
        ColSpec("string", "reason"),
    ]
    return mlflow.models.ModelSignature(Schema([ColSpec("binary", "image")]), Schema(outputs))


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


def project_id(project: Path) -> str:
    """Return a name for this copy of the project on this machine, which no other has."""
    return hashlib.sha256(f"{socket.gethostname()}:{project}".encode()).hexdigest()[:12]


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
    while (run := mlflow.active_run()) is not None:
        client = MlflowClient()  # only now: it would make a store where none was ever asked for
        children = client.search_runs(
            [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}' and status = 'RUNNING'"
        )
        for child in children:
            client.set_terminated(child.info.run_id, "KILLED")
        mlflow.end_run("KILLED")


for noisy in ("mlflow.utils.environment", "mlflow.system_metrics", "mlflow.pyfunc", "kedro_mlflow"):
    logging.getLogger(noisy).setLevel(logging.ERROR)
