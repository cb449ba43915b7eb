"""One pipeline over categories and seeds: a session each, resumed where something is missing, gathered at the end."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import pandas as pd
from kedro.framework.session import KedroSession
from kedro.runner import SequentialRunner
from kedro.utils import find_kedro_project
from mlflow.tracking import MlflowClient

from flawline.checks import FlawlineError, near_name
from flawline.hooks.lineage import LineageHook
from flawline.hooks.tracking import PARENT
from flawline.params import check_category
from flawline.vision.ragged import replace_folder

KEYS = ["category", "seed"]


def run_study(
    pipeline: str, categories: Sequence[str], seeds: Sequence[int], *, raw: str | None, env: str | None
) -> pd.DataFrame:
    """Run ``pipeline`` for every category and seed whose comparison is missing or stale; return all comparisons.

    Every session's MLflow run lies below one run of the study. Raise FlawlineError for an unknown pipeline or
    category, before anything runs."""
    _check(pipeline, categories, seeds)
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    tables = []
    cells = [(category, seed) for category in categories for seed in seeds]
    with ExitStack() as closing:
        parent = None
        for number, (category, seed) in enumerate(cells, start=1):
            params = _runtime_params(category, seed, raw)
            known = _finished(project, params, env)
            done = "done before" if known is not None else "runs"
            click.echo(f"[{number}/{len(cells)}] {category}, seed {seed}: {done}")
            if known is None:
                parent = parent or closing.enter_context(_parent_run(project, pipeline, env, categories, seeds))
                known = _run_one(project, pipeline, params, env, parent)
            tables.append(known.assign(category=category, seed=seed))
    return _gather(project / "data" / "08_reporting" / "studies" / pipeline, pd.concat(tables, ignore_index=True))


def mean_and_deviation(results: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and standard deviation over seeds of every metric, a row a category and method."""
    grouped = results.drop(columns="seed").groupby(["category", "method"])
    table = grouped.agg(["mean", "std"])
    table.columns = [f"{metric}_{name}" for metric, name in table.columns]
    return table.assign(seeds=grouped.size()).reset_index()


def _check(pipeline: str, categories: Sequence[str], seeds: Sequence[int]) -> None:
    from flawline.pipeline_registry import register_pipelines

    known = register_pipelines()
    names = [name for name in known if {"comparison", "manifest"} <= known[name].all_outputs()]
    if pipeline not in names:
        raise FlawlineError(
            f"no pipeline '{pipeline}'{near_name(pipeline, names)} that goes from a raw folder to a comparison; "
            f"there are: {', '.join(names)}"
        )
    if not categories or not seeds:
        raise FlawlineError("a study needs at least one category and one seed: --categories a,b --seeds 0,1,2")
    for category in categories:
        check_category(category)


def _runtime_params(category: str, seed: int, raw: str | None) -> dict:
    params: dict = {"category": category, "seed": seed}
    return params | {"raw": str(Path(raw) / category)} if raw else params


def _finished(project: Path, params: dict, env: str | None) -> pd.DataFrame | None:
    """Return the comparison of one category and seed if it is whole and made from the present parameters and data."""
    with KedroSession.create(project_path=project, env=env, runtime_params=params) as session:
        context = session.load_context()
        lineage = LineageHook.over(context)
        if lineage.is_fresh("manifest") and lineage.is_fresh("comparison"):
            return context.catalog.load("comparison")
    return None


def _run_one(project: Path, pipeline: str, params: dict, env: str | None, parent: str) -> pd.DataFrame:
    token = PARENT.set(parent)
    try:
        with KedroSession.create(project_path=project, env=env, runtime_params=params) as session:
            session.run(pipeline_names=[pipeline], runner=SequentialRunner())
            return session.load_context().catalog.load("comparison")
    finally:
        PARENT.reset(token)


@contextmanager
def _parent_run(
    project: Path, pipeline: str, env: str | None, categories: Sequence[str], seeds: Sequence[int]
) -> Iterator[str]:
    """Open the study's MLflow run and yield its id; close it as what became of the study."""
    with KedroSession.create(project_path=project, env=env) as session:
        tracking = session.load_context().mlflow.tracking  # the hook has set the server and the experiment up
    experiment = tracking.experiment._experiment.experiment_id
    tags = {"study": pipeline, "categories": ",".join(categories), "seeds": ",".join(map(str, seeds))}
    client = MlflowClient()
    run_id = client.create_run(experiment, run_name=f"study {pipeline}", tags=tags).info.run_id
    try:
        yield run_id
    except BaseException as error:
        client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _gather(folder: Path, results: pd.DataFrame) -> pd.DataFrame:
    results = results[[*KEYS, *(column for column in results.columns if column not in KEYS)]]
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    results.to_csv(partial / "results.csv", index=False)
    mean_and_deviation(results).to_csv(partial / "comparison.csv", index=False)
    (partial / "made.txt").write_text(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n")
    replace_folder(partial, folder)
    shown = [c for c in ("image_auroc", "pixel_auroc", "aupro", "oracle_A", "oracle_iou") if c in results]
    click.echo("\n" + results[[*KEYS, "method", *shown]].to_string(index=False, float_format="%.4f"))
    click.echo(f"comparison: {folder / 'comparison.csv'}")
    return results
