"""A run ends with what was found and where to look at it."""

from pathlib import Path
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from flawline.detector.record import read_seal, record_path
from flawline.hooks.lineage import where

# text -> its page; of a run that makes several texts, only the later stages' is shown
ENDINGS = {"summary": "report", "inspection_summary": "inspection_report", "data_summary": "data_report"}
NOT_ALL_DONE = 3  # exit code


class NotAllDone(SystemExit):
    """Ends the command with an exit code: some image was not judged, and a script must not take that for a pass; or
    something that a person said could not be used; or a detector was not promoted."""


class SummaryHook:
    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.project = context.project_path

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        self.done, self.total = 0, len(pipeline.nodes)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self.done += 1
        click.echo(f"[{self.done}/{self.total}] {node.name}", err=True)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        method, _, name = dataset_name.rpartition(".")
        if name == "expected_suitability":
            click.echo(f"before training, {data['verdict']} for {method}: {data['reason']}", err=True)
        elif name == "suitability":
            click.echo(f"{data['verdict']} for {method}: {data['reason']}", err=True)

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        made = pipeline.all_outputs()
        text = next((text for text in ENDINGS if text in made), None)
        if text is not None:
            click.echo("\n" + catalog.load(text).rstrip())
            click.echo(f"page: {self._short(where(catalog.get(ENDINGS[text])))}")
        for name in sorted(each for each in made if each.endswith(".suspicious")):
            if len(catalog.load(name)):
                click.echo(f"good images that stand out: {self._short(where(catalog.get(name)))}")
        if "data_report" in made and text != "data_summary":
            click.echo(f"the images: {self._short(where(catalog.get('data_report')))}")
        if "verdicts" in made:
            self._end_inspection(catalog)
        if "feedback" in made:
            self._end_feedback(catalog)
        if "promotion" in made:
            self._end_promotion(catalog)

    def _end_inspection(self, catalog: DataCatalog) -> None:
        verdicts = catalog.load("verdicts")
        click.echo(f"verdicts: {self._short(where(catalog.get('verdicts')))}")
        seal = read_seal(record_path(where(catalog.get("verdicts"))))
        click.echo(f"record: {seal.rows} rows, the last has the hash {seal.head}")
        click.echo(f"pictures: {self._short(where(catalog.get('inspected')) / 'pictures')}")
        if (verdicts["verdict"] == "not_judged").any():
            raise NotAllDone(NOT_ALL_DONE)

    def _end_feedback(self, catalog: DataCatalog) -> None:
        click.echo("\n" + catalog.load("feedback_summary").rstrip())
        click.echo(f"decisions: {self._short(where(catalog.get('feedback')))}")
        if (catalog.load("feedback")["problem"] != "").any():
            raise NotAllDone(NOT_ALL_DONE)

    def _end_promotion(self, catalog: DataCatalog) -> None:
        click.echo("\n" + catalog.load("promotion_summary").rstrip())
        click.echo(f"test photographs: {self._short(where(catalog.get('promotion_images')))}")
        if not catalog.load("promotion")["promoted"]:
            raise NotAllDone(NOT_ALL_DONE)

    def _short(self, path: Path) -> Any:
        return path.relative_to(self.project) if path.is_relative_to(self.project) else path
