"""One pipeline over categories and seeds: a session each, resumed where something is missing, gathered at the end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import click
import pandas as pd
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline
from kedro.utils import find_kedro_project
from mlflow.tracking import MlflowClient

from flawline.checks import FlawlineError, near_name
from flawline.hooks.in_study import InStudy
from flawline.hooks.tracking import git_sha
from flawline.intake.examples import EXAMPLES
from flawline.intake.layouts import holds_categories
from flawline.params import check_category, flatten, merged
from flawline.storage.ragged import replace_folder
from flawline.storage.whole import write_whole
from flawline.study_cluster import run_on_cluster
from flawline.study_report import OWN, Studied, findings, shortcut_cautions, study_page
from flawline.study_sessions import Cell, never_ended, tried, unfinished
from flawline.variations import Variation, variations_of

KEYS = ["category", "seed"]
SHOWN = ("image_auroc", "image_ap", "pixel_auroc", "aupro", "oracle_A", "oracle_iou", "train_seconds", "suitability")


def run_study(
    pipeline: str,
    categories: Sequence[str],
    seeds: Sequence[int],
    *,
    raw: str | None,
    env: str | None,
    changed: Mapping[str, Any] | None = None,
    varied: Mapping[str, Sequence[Any]] | None = None,
    name: str | None = None,
    cluster: str | None = None,
) -> pd.DataFrame:
    """Run ``pipeline`` for every category and seed where results are missing or stale, and only what makes
    these; return all comparisons. ``changed`` is a tree of parameters, the same for all, ``varied`` the values of
    others, by their dotted names, every combination of which is run; ``name`` is that of the folder of tables and page,
    by default the pipeline's with the environment's. On a ``cluster``, "local" or the address of a Dask scheduler,
    several sessions and several methods of one are run at once.

    Every session's MLflow run lies below one run of the study. Raise FlawlineError for an unknown pipeline or
    category, before anything runs; and at the end, once all is written, if some could not be run, such as an alignment
    that the images do not allow."""
    changed = dict(changed or {})
    line = _check(pipeline, categories, seeds, changed)
    named = check_name(name) if name is not None else f"{pipeline}-{env}" if env else pipeline
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    variations = variations_of(varied or {})
    cells = _cells_of(categories, variations, seeds, changed=changed, raw=raw)
    if varied:
        _check_variations(project, [merged(changed, each.tree()) for each in variations], env)
    tables: list[pd.DataFrame] = []
    shown: dict[str, Studied] = {}
    refused: dict[str, FlawlineError] = {}
    with ExitStack() as closing:
        parent, done = None, dict[int, FlawlineError | None]()
        opened: dict[int, Studied] = {}
        if cluster is not None and (left := [cell for cell in cells if _is_left(project, line, cell, env)]):
            parent = closing.enter_context(_parent_run(project, pipeline, env, categories, seeds))
            for cell, error in run_on_cluster(cluster, project, pipeline, left, env=env, parent=parent):
                done[cell.number] = error
                if error is None:  # while the others go on
                    opened[cell.number] = _open(project, cell.params, env)
        for cell in cells:
            if cell.number not in done:
                nodes = unfinished(project, line, cell.params, env)
                click.echo(f"[{cell.number}/{len(cells)}] {cell.name}: {_to_do(nodes, line)}")
                if nodes != []:
                    parent = parent or closing.enter_context(_parent_run(project, pipeline, env, categories, seeds))
                    done[cell.number] = tried(project, pipeline, cell.params, env, nodes, InStudy(parent))
            error = done.get(cell.number)
            if error is not None:
                click.echo(f"{cell.name} could not be run: {error}", err=True)
                refused[cell.name] = error
                continue
            studied = opened.get(cell.number) or _open(project, cell.params, env)
            table = studied.catalog.load("comparison").assign(category=cell.told, seed=cell.seed)
            tables.append(table.assign(**cell.chosen))
            shown.setdefault(cell.told, studied)
        if not tables:
            raise next(iter(refused.values()))
        results = pd.concat(tables, ignore_index=True)
        folder = project / "data" / "08_reporting" / "studies" / named
        _write_tables(folder, results)  # before anything is drawn, so that hours of work end in a table
        origin = {
            "environment": env or "base",
            "raw": raw,
            "parameters": _as_typed(changed),
            "commit": git_sha(project),
            "MLflow run": parent,
            "could not be run": "; ".join(refused),
        }
        page = study_page(
            f"study {name or pipeline}", results, shown, {name: told for name, told in origin.items() if told}
        )
        write_whole(folder / "report.html", page)
        if parent:
            MlflowClient().log_artifacts(parent, str(folder))
        _tell(folder, results)
        if refused:
            reasons = "".join(f"\n{told}: {error}" for told, error in refused.items())
            raise FlawlineError(f"{len(refused)} of {len(cells)} could not be run:{reasons}")
    return results


def _cells_of(
    categories: Sequence[str], variations: Sequence[Variation], seeds: Sequence[int], *, changed: Mapping[str, Any],
    raw: str | None,
) -> list[Cell]:  # fmt: skip
    """Return the sessions of a study in their order."""
    every = product(dict.fromkeys(categories), variations, dict.fromkeys(seeds))
    cells = []
    for number, (category, variation, seed) in enumerate(every, start=1):
        told = f"{category} ({variation.label})" if variation.chosen else category
        params = merged(changed, variation.tree()) | _runtime_params(category, seed, raw)
        cells.append(Cell(number, category, told, seed, params, variation.chosen))
    return cells


def _is_left(project: Path, line: Pipeline, cell: Cell, env: str | None) -> bool:
    return never_ended(project, cell) or unfinished(project, line, cell.params, env) != []


def check_name(name: str) -> str:
    """Return ``name`` if it can name a study's folder; raise FlawlineError otherwise."""
    try:
        return check_category(name)
    except FlawlineError as error:
        said = str(error).replace("category must", "a study's name must").partition(" Give one as")[0]
        raise FlawlineError(f"{said} Give one as --name NAME.") from None


def _as_typed(changed: Mapping[str, Any]) -> str:
    """Return parameters as they are given on the command line."""
    return ",".join(f"{key}={value}" for key, value in flatten(changed).items())


def _to_do(nodes: list[str] | None, line: Pipeline) -> str:
    if nodes == []:
        return "done before"
    return "runs" if nodes is None or len(nodes) == len(line.nodes) else f"goes on ({len(nodes)} steps are left)"


def _open(project: Path, params: dict, env: str | None) -> Studied:
    """Return the results of one category and seed."""
    with KedroSession.create(project_path=project, env=env, runtime_params=params) as session:
        context = session.load_context()
        return Studied(context.catalog, context.config_loader["parameters"])


def mean_and_deviation(results: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and standard deviation over seeds of every metric, a row a category and method."""
    numbers = results.drop(columns=["seed", "shortcut", "before", "suitability"], errors="ignore")
    numbers = numbers[["category", "method", *numbers.select_dtypes("number")]]
    grouped = numbers.groupby(["category", "method"])
    table = grouped.agg(["mean", "std"])
    table.columns = [f"{metric}_{name}" for metric, name in table.columns]
    return table.assign(seeds=grouped.size()).reset_index()


def _check(pipeline: str, categories: Sequence[str], seeds: Sequence[int], changed: Mapping[str, Any]) -> Pipeline:
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
    if own := [key for key in (*OWN, "variant") if key in changed]:
        raise FlawlineError(
            f"--params of a study are the same for all its runs, got {', '.join(own)}: use --categories, --seeds and "
            "--raw; a study inspects no images."
        )
    return known[pipeline]


def _check_variations(project: Path, trees: Sequence[Mapping[str, Any]], env: str | None) -> None:
    """Raise FlawlineError for a value that cannot be, before the first run."""
    for tree in trees:
        with KedroSession.create(project_path=project, env=env, runtime_params=dict(tree)) as session:
            session.load_context()


def _runtime_params(category: str, seed: int, raw: str | None) -> dict:
    """Return what one session is about; an embedded example needs no folder, unless ``raw`` has one of its name."""
    params: dict = {"category": category, "seed": seed}
    if raw is None or (category in EXAMPLES and not (Path(raw) / category).exists()):
        return params
    return params | {"raw": str(raw_folder(Path(raw), category))}


def raw_folder(raw: Path, category: str) -> Path:
    """Return the raw folder of ``category``: its own below ``raw``, or ``raw`` itself where several share one."""
    own = raw / category
    return raw if not own.exists() and holds_categories(raw) else own


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


def _write_tables(folder: Path, results: pd.DataFrame) -> None:
    """Put the results in the place of those of an earlier study."""
    results = results[[*KEYS, *(column for column in results.columns if column not in KEYS)]]
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    results.to_csv(partial / "results.csv", index=False)
    mean_and_deviation(results).to_csv(partial / "comparison.csv", index=False)
    (partial / "made.txt").write_text(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n")
    replace_folder(partial, folder)


def _tell(folder: Path, results: pd.DataFrame) -> None:
    """Print what was found and where it is."""
    shown = [c for c in SHOWN if c in results]
    click.echo("\n" + results[[*KEYS, "method", *shown]].to_string(index=False, float_format="%.4f"))
    for sentence in [*findings(results), *shortcut_cautions(results)]:
        click.echo(sentence)
    click.echo(f"comparison: {folder / 'comparison.csv'}")
    click.echo(f"page: {folder / 'report.html'}")
