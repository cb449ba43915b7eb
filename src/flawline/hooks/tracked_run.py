"""One Kedro run in MLflow: a run of its own, below it a run a method, with parameters, curves, data, model and report.

What it logs goes through MlflowClient with explicit run ids, since MLflow's active run belongs to a thread."""

import logging
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import kedro
import mlflow
import pandas as pd
from kedro.framework.context import KedroContext
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from flawline import __version__
from flawline.checks import FlawlineError
from flawline.datasets.model_registry import registered_name
from flawline.detector.record import record_path
from flawline.figures import histogram_figure, history_figure, pr_figure, roc_figure
from flawline.figures.style import cropped
from flawline.hooks.compared import figures_of, offer_view, speed
from flawline.hooks.in_study import InStudy
from flawline.hooks.lineage import where, whole
from flawline.hooks.promotion import settle_promotion
from flawline.hooks.run_parameters import of_candidate, of_method, what_counts
from flawline.hooks.served_model import VERSION, describe, example_file, log_model, reason_against, register
from flawline.hooks.tracking import close_dead, git_sha, project_id, run_name
from flawline.methods.registry import METHODS
from flawline.methods.tree import validate_parameters
from flawline.metrics.detectability import pod_metrics
from flawline.metrics.shortcuts import brief
from flawline.params import ComputeParams
from flawline.pipelines.boxes import method_of
from flawline.report import MethodResult

MOST_PARAMS = 100  # in one call: a server takes no more
LONGEST = 1_500  # characters of a parameter's value
SAID = {"expected_suitability": "suitability_before", "suitability": "suitability"}  # dataset -> tag with its verdict
FINISHED = {
    "sample_reconstructions": "checkpoints",
    "fold_weights": "fold_checkpoints",
    "found_by_kind": "unfinished_choice",
}  # the last that a training, or a choice, saves -> its store
ALSO_LOGGED = ("report", "summary", "comparison", "quarantine", "near_duplicates", "shortcuts", "data_notes",
               "data_report", "verdicts", "inspection_report", "challenge_results", "pseudo_defects",
               "pseudo_gallery", "promotion", "promotion_summary", "promotion_challenges",
               "promotion_images")  # fmt: skip

logger = logging.getLogger(__name__)


class TrackedRun:
    """A Kedro run in MLflow, opened and closed by kedro-mlflow's ``hook``. Of a ``study`` that does a session in parts,
    each goes on in the run that was opened for all."""

    def __init__(self, hook: MlflowHook, context: KedroContext, catalog: DataCatalog, *, study: InStudy):
        self.hook, self.catalog, self.study = hook, catalog, study
        self.params = validate_parameters(context.config_loader["parameters"]).model_dump(mode="json")
        self.project = context.project_path
        self.client = MlflowClient()
        self.children: dict[str, str] = {}
        self.current: str | None = None
        self.entered = 0.0
        self.told: set[str] = set()
        self.shortcut = ""

    @property
    def run_id(self) -> str:
        return self.hook.run_id

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment that the run, and all below it, stand in."""
        return self.client.get_run(self.run_id).info.experiment_id

    def open(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Open the run, and mark those that were killed before it."""
        nodes = pipeline.nodes
        settings = self.hook.mlflow_config.tracking.run
        if self.study.run:  # told as the whole that this is a part of
            nodes = [node for each in whole(run_params).values() for node in each.nodes]
            settings.id, run_params = self.study.run, {**run_params, "node_names": []}
        methods = sorted({method for node in nodes if (method := method_of(node))})
        settings.name = settings.name or self._name(what_runs(run_params, methods))
        self.hook.before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=self.catalog)
        tags = self._tags | {"methods": ",".join(methods)}
        if self.study.parent:
            tags["mlflow.parentRunId"] = self.study.parent
        self._log(self.run_id, params=what_counts(self.params, whole(run_params).values()), tags=tags)
        if not self.study.run:
            close_dead(self.client, self.experiment, self.params["category"], self.project, alive=self.run_id)
        offer_view(self.client, self.experiment)
        self.catalog.load("progress").sink = self.log_epoch

    def enter(self, node: Node) -> None:
        """Open the run of the node's method. kedro-mlflow's own would log every pydantic model as one string."""
        self.current, self.entered = method_of(node), time.monotonic()
        if self.current and self.current not in self.children:
            self.children[self.current] = self._open_child(self.current)

    def log_figures(self, outputs: dict[str, Any]) -> None:
        """Draw and log what is shown of the method whose results are among a node's ``outputs``."""
        for name, value in outputs.items():
            if isinstance(value, MethodResult) and name.endswith("result"):  # not one to which the training is added
                self._log_figures(value)

    def take(self, dataset_name: str, data: Any) -> None:
        """Log what a dataset that was loaded or saved tells."""
        if dataset_name == "manifest":
            self._log_data(data)
        elif dataset_name == "shortcuts":
            self.shortcut = brief(data)
        elif dataset_name not in self.told:
            method, _, name = dataset_name.rpartition(".")
            self._log_found(method, name, data)

    def keep(self, dataset_name: str, data: Any) -> None:
        """Log a dataset that was saved: what it tells, and the file where it is to be kept with the run."""
        method, _, name = dataset_name.rpartition(".")
        self.take(dataset_name, data)  # what is made in this run tells as much as what is read
        if dataset_name == "verdicts":
            self._log(self.run_id, params=data.seal.told())  # a parameter, since nobody can give it another value
            self.client.log_artifact(self.run_id, str(record_path(where(self.catalog.get(dataset_name)))))
        if dataset_name in ALSO_LOGGED:
            self.client.log_artifact(self.run_id, str(where(self.catalog.get(dataset_name))))
        elif method in self.children and name == "choice":
            self._log_choice(method, data, where(self.catalog.get(dataset_name)))
        elif method in self.children and name == "operating_points":
            self.client.log_artifact(self.children[method], str(where(self.catalog.get(dataset_name))))
        elif method in self.children and name == "sized_verdicts":
            self._log(self.children[method], metrics=speed(len(data), time.monotonic() - self.entered))
        elif method in self.children and name == "detector":
            self._log_detector(method, where(self.catalog.get(dataset_name)))
        elif method in METHODS and name == "model_card":
            self._log_card(method, data)
        elif method in self.children and name in FINISHED:
            self.catalog.load(f"{method}.{FINISHED[name]}").clear()  # the work is done and its result is safe

    def finish(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        for run_id in (self.run_id, *self.children.values()) if self.shortcut else ():
            self.client.set_tag(run_id, "shortcut", self.shortcut)  # whoever compares runs must see it
        if "promotion" in pipeline.all_outputs():
            self._promote()
        self._close_children("FINISHED")
        self.hook.after_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=self.catalog)

    def fail(self) -> None:
        """Mark the run as failed. kedro-mlflow's own fails itself where no run is active in this thread."""
        self._close_children("FAILED")
        while mlflow.active_run() is not None:
            mlflow.end_run("FAILED")
        self.client.set_terminated(self.run_id, "FAILED")

    def log_epoch(self, record: dict[str, float]) -> None:
        """Log an epoch's losses to the run of the method that is being trained."""
        if self.current in self.children:
            series = {name: value for name, value in record.items() if name != "epoch"}
            self._log(self.children[self.current], metrics=series, step=int(record["epoch"]))

    def _log_found(self, method: str, name: str, data: Any) -> None:
        """Log metrics and verdicts, made or read, to the run, and to the method's own where it has one."""
        if method not in METHODS:
            return
        metrics = data["values"] if name == "metrics" else pod_metrics(data) if name == "detectability" else {}
        tags = {SAID[name]: data["verdict"]} if name in SAID else {}
        figures = figures_of(name, data)
        if not (metrics or tags or figures):
            return
        self.told.add(f"{method}.{name}")
        if method in self.children:
            self._log(self.children[method], metrics=metrics | figures, tags=tags)
        self._log(
            self.run_id,
            metrics={f"{method}.{key}": value for key, value in metrics.items()},
            tags={f"{method}.{key}": value for key, value in tags.items()},
        )

    def _open_child(self, method: str) -> str:
        """Open the run of a method, or go on in the one that another part of this run has opened."""
        mine = f"tags.`mlflow.parentRunId` = '{self.run_id}' and tags.method = '{method}'"
        if self.study.run and (known := self.client.search_runs([self.experiment], mine)):
            return known[0].info.run_id
        run = self.client.create_run(
            self.experiment,
            run_name=self._name(method),
            tags={"mlflow.parentRunId": self.run_id, "method": method},
        )
        self._log(run.info.run_id, params=of_method(self.params, method), tags=self._tags)
        return run.info.run_id

    def _log_choice(self, method: str, choice: pd.DataFrame, path: Path) -> None:
        """Log a run for each candidate of a choice, below that of the method, and the table to the latter."""
        run_id = self.children[method]
        self.client.log_artifact(run_id, str(path))
        for row in choice.to_dict("records"):
            tags = self._tags | {"mlflow.parentRunId": run_id, "chosen": str(row["chosen"]), "reason": row["reason"]}
            made = self.client.create_run(self.experiment, run_name=self._name(row["candidate"]), tags=tags).info.run_id
            figures = {
                name: row[name] for name in ("auroc", "behind", "error", "detected", "stable", "folds", "seconds")
            }
            known = {name: value for name, value in figures.items() if not pd.isna(value)}
            said = {name: row[name] for name in ("candidate", "method", "image_score")}
            self._log(made, params=of_candidate(self.params, method, row["candidate"]) | said, metrics=known)
            self.client.set_terminated(made, "FINISHED")

    def _close_children(self, status: str) -> None:
        for run_id in self.children.values():
            self.client.set_terminated(run_id, status)
        self.children = {}

    def _name(self, what: str) -> str:
        return run_name(self.params["category"], what, self.params["seed"])

    @cached_property
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
            self.client.log_figure(run_id, figure, f"figures/{name}.png", save_kwargs=cropped(figure))

    def _log_detector(self, method: str, path: Path) -> None:
        example = example_file(*map(self.catalog.load, ("usable_manifest", "images", "raw_folder")))
        run_id, version = self.children[method], path.parent.name
        self.client.set_tag(run_id, VERSION, version)
        if reason := reason_against(path, example, ComputeParams.model_validate(self.params["compute"])):
            self._tell_model(run_id, f"no model is made of the detector of {method}, which says otherwise {reason}")
            return
        source, name = log_model(run_id, path, example), self._registered_name(method)
        tags = {VERSION: version, "seed": str(self.params["seed"])}
        try:
            self._tell_model(run_id, f"{name} {register(self.client, name, source, run_id, tags)}", level=logging.INFO)
        except FlawlineError as error:
            self._tell_model(run_id, f"the model of {method} is logged and not registered: {error}")

    def _tell_model(self, run_id: str, said: str, *, level: int = logging.WARNING) -> None:
        """Say, and note at a method's run, which registered model its detector is, or why it is none."""
        logger.log(level, said)
        self.client.set_tag(run_id, "model", said[:LONGEST])

    def _registered_name(self, method: str) -> str:
        return registered_name(str(self.params["category"]), method)

    def _promote(self) -> None:
        """Let the registry know what was decided, now that all of it is written."""
        try:
            settle_promotion(self.client, self.catalog.load("promotion"))
        except FlawlineError:
            self.fail()
            raise

    def _log_card(self, method: str, card: str) -> None:
        """Keep a model card with the method's run, and as the description of the registered model that it is of."""
        if method in self.children:
            self.client.log_text(self.children[method], card, "model_card.md")
        version = where(self.catalog.get(f"{method}.detector")).parent.name
        describe(self.client, self._registered_name(method), version, card)


def what_runs(run_params: dict[str, Any], methods: list[str]) -> str:
    """Return what the run's name says that it runs: its one method, else the names of its pipelines."""
    return methods[0] if len(methods) == 1 else "+".join(run_params.get("pipeline_names") or ["__default__"])


def batched(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """Yield ``items`` in lists of at most ``count``."""
    waiting = iter(items)
    while some := list(islice(waiting, count)):
        yield some
