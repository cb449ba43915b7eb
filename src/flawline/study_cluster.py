"""A study on a cluster: each of its sessions in parts, one for what all methods share, one for each method, the report.

A part runs where there is room, once those that it reads from have ended. All parts of a session go into one run of
MLflow."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from mlflow.tracking import MlflowClient

from flawline.checks import FlawlineError
from flawline.cluster import ResultsOf, on_cluster
from flawline.hooks.in_study import InStudy
from flawline.hooks.lock import category_lock
from flawline.hooks.tracking import close_dead, close_run, run_name
from flawline.report.words import counted
from flawline.study_sessions import Cell, tried, unfinished

SHARED, REPORT = "images", "report"  # the parts of a session that are of no one method
Outcome = tuple[int, str]  # of a part: the number of its session, and why it was refused or ""


@dataclass(frozen=True)
class Part:
    """Some nodes of a pipeline, and the names of the parts whose results they read."""

    pipeline: Pipeline
    after: list[str]


def parts_of(line: Pipeline) -> dict[str, Part]:
    """Return the parts of a pipeline that goes from a raw folder to a comparison: what all methods share, each
    method or reconstructor by its name, and the report."""
    nodes: dict[str, list[Any]] = {}
    makers: dict[str, str] = {}  # dataset -> the part that makes it
    for node in line.nodes:  # a node stands behind those it reads from
        own = node.name.rpartition(".")[0] or SHARED
        reads = {makers.get(name, SHARED) for name in node.inputs}
        part = REPORT if "reporting" in node.tags or (own == SHARED and reads != {SHARED}) else own
        nodes.setdefault(part, []).append(node)
        makers |= dict.fromkeys(node.outputs, part)
    after = {part: {makers[name] for node in some for name in node.inputs if name in makers}
             for part, some in nodes.items()}  # fmt: skip
    return {part: Part(Pipeline(some), sorted(after[part] - {part})) for part, some in nodes.items()}


def run_on_cluster(
    address: str, project: Path, pipeline: str, cells: Sequence[Cell], *, env: str | None, parent: str
) -> Iterator[tuple[Cell, FlawlineError | None]]:
    """Run the sessions ``cells`` of a study on the cluster at ``address``, only what is missing of them; yield each
    when it has ended, and the error that it was refused with, if it was. ``parent`` is the study's run.

    Raise FlawlineError if another run works on one of the categories, or as `on_cluster` does."""
    from flawline.pipeline_registry import register_pipelines

    known = register_pipelines()
    parts = parts_of(known[pipeline])
    refused: dict[int, str] = {}
    with ExitStack() as closing:
        for category in dict.fromkeys(cell.category for cell in cells):
            closing.enter_context(category_lock(project, category))
        runs = closing.enter_context(_open_runs(project, _only_method(parts) or pipeline, cells, parent))
        tasks = _tasks(parts, cells, (pipeline, env), runs, parent=parent, read=known["ingestion"].inputs())
        sessions, steps = counted(len(cells), "run", "runs"), counted(len(tasks), "step", "steps")
        click.echo(f"{sessions} in {steps} for the cluster {address}")
        by_number = {cell.number: cell for cell in cells}
        for ended, (name, (number, said)) in enumerate(on_cluster(address, project, run_part, tasks), start=1):
            click.echo(f"[{ended}/{len(tasks)}] {name}: {'could not be run' if said else 'ended'}")
            if said:
                refused.setdefault(number, said)
            if name == _task_name(by_number[number].name, REPORT):  # the last of its session
                close_run(MlflowClient(), runs.pop(number), "FAILED" if number in refused else "FINISHED")
                yield by_number[number], FlawlineError(refused[number]) if number in refused else None


def run_part(
    project: str, pipeline: str, env: str | None, part: str, number: int, params: dict[str, Any], of: InStudy,
    before: Sequence[Outcome],
) -> Outcome:  # fmt: skip
    """Run one part of a session in this process, only what is missing, unless one ``before`` it was refused."""
    from flawline.pipeline_registry import register_pipelines

    if refused := [said for other, said in before if other == number and said]:
        return number, refused[0]
    os.chdir(project)
    bootstrap_project(Path(project))
    line = register_pipelines()[pipeline]
    some = parts_of(line)[part].pipeline
    nodes = unfinished(Path(project), line, params, env, some)
    if nodes is None:
        nodes = [node.name for node in some.nodes]
    error = tried(Path(project), pipeline, params, env, nodes, of) if nodes else None
    return number, "" if error is None else str(error)


def _tasks(
    parts: Mapping[str, Part], cells: Sequence[Cell], line: tuple[str, str | None], runs: Mapping[int, str], *,
    parent: str, read: set[str],
) -> dict[str, tuple[Any, ...]]:  # fmt: skip
    """Return by their names the arguments of `run_part`, each behind those that it comes after.

    Sessions of one category share its photographs: what all methods share is made by one session after the other, and
    if photographs or splits are to be others, the next session waits until the one before it has ended."""
    tasks: dict[str, tuple[Any, ...]] = {}
    made: dict[str, list[Cell]] = {}  # category -> its sessions so far
    for cell in cells:
        earlier = made.setdefault(cell.category, [])
        waits = [_task_name(last.name, SHARED) for last in earlier[-1:]]
        waits += [_task_name(each.name, REPORT) for each in earlier if _data(each, read) != _data(cell, read)]
        for name, part in parts.items():
            after = waits if name == SHARED else [_task_name(cell.name, each) for each in part.after]
            own = InStudy(parent, runs[cell.number], f"{cell.number}.{name}")
            tasks[_task_name(cell.name, name)] = (*line, name, cell.number, cell.params, own, ResultsOf(after))
        earlier.append(cell)
    return tasks


def _task_name(cell: str, part: str) -> str:
    return f"{cell}: {part}"


def _data(cell: Cell, read: set[str]) -> dict[str, Any]:
    """Return those of a session's varied parameters that change photographs or splits: ``read`` are the inputs of the
    pipeline that makes these."""
    return {name: value for name, value in cell.chosen.items()
            if any(f"params:{name}.".startswith(f"{each}.") for each in read)}  # fmt: skip


def _only_method(parts: Mapping[str, Part]) -> str | None:
    """Return the one method of a pipeline, by which its runs are called; None if it has several."""
    methods = [name for name in parts if name not in (SHARED, REPORT)]
    return methods[0] if len(methods) == 1 else None


@contextmanager
def _open_runs(project: Path, what: str, cells: Sequence[Cell], parent: str) -> Iterator[dict[int, str]]:
    """Open a run of MLflow for each session, and yield them by the sessions' numbers; close those that are still among
    them when the work is broken off."""
    client = MlflowClient()
    experiment = client.get_run(parent).info.experiment_id
    for category in dict.fromkeys(cell.category for cell in cells):
        close_dead(client, experiment, category, project)
    runs: dict[int, str] = {}
    try:
        for cell in cells:
            name = run_name(cell.category, what, cell.seed)
            run = client.create_run(experiment, run_name=name, tags={"mlflow.parentRunId": parent})
            runs[cell.number] = run.info.run_id
        yield runs
    except BaseException as error:
        for each in runs.values():
            close_run(client, each, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
