"""The sessions of a study: a category, a seed and varied parameters each; what one lacks, and running it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from flawline.checks import FlawlineError
from flawline.hooks.in_study import IN_STUDY, InStudy
from flawline.hooks.lineage import ROOT, LineageHook
from flawline.intake.manifest import ingest_folder
from flawline.methods.tree import validate_parameters
from flawline.params import BaseParameters


class Cell(NamedTuple):
    """One session of a study: its number, its category, what that is called in the tables, its seed, all its parameters
    and those that are varied, by their names."""

    number: int
    category: str
    told: str
    seed: int
    params: dict[str, Any]
    chosen: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.told}, seed {self.seed}"


def never_ended(project: Path, cell: Cell) -> bool:
    """Return True if no run of that category and seed has ended yet, whatever its protocol and variant. It is told
    without a session, which takes more than a second to open."""
    folder = project / "data" / "08_reporting" / cell.category
    return not any(any(folder.glob(f"{frame}seed-{cell.seed}/comparison.csv")) for frame in ("", "*/"))


def unfinished(
    project: Path, line: Pipeline, params: dict[str, Any], env: str | None, part: Pipeline | None = None
) -> list[str] | None:
    """Return the nodes of ``line``, or of a ``part`` of it, whose results one category and seed lacks, or that were
    made from other parameters or data; None: all of them, since the photographs are others."""
    part = part or line
    with KedroSession.create(project_path=project, env=env, runtime_params=params) as session:
        context = session.load_context()
        lineage = LineageHook.over(context, line)
        if ROOT not in part.all_outputs():  # what stands behind the photographs does not look at them once more
            return lineage.unfinished(part)
        parameters = validate_parameters(context.config_loader["parameters"])
        if lineage.is_fresh(ROOT) and is_unchanged(lineage.catalog, parameters):
            return lineage.unfinished(part)
    return None


def is_unchanged(catalog: DataCatalog, parameters: BaseParameters) -> bool:
    """Return True if ingestion would make the stored manifest again: every file is read, none that is known decoded."""
    try:
        stored, known, raw, challenges = (
            catalog.load(name) for name in ("manifest", "known_measurements", "raw_folder", "challenge_set")
        )
        now = ingest_folder(
            raw, parameters.ingestion, category=parameters.category, challenges=challenges.digests, known=known
        )[0]
    except FlawlineError:
        return False  # the run itself says what is wrong
    return as_text(now) == as_text(stored)


def as_text(manifest: pd.DataFrame) -> list[list[str]]:
    return (
        manifest[["image", "split", "label", "bits", "sha256", "mask_sha256"]]
        .fillna("")
        .astype(str)
        .to_numpy()
        .tolist()
    )


def tried(
    project: Path, pipeline: str, params: dict[str, Any], env: str | None, nodes: list[str] | None, of: InStudy
) -> FlawlineError | None:
    """Run one category and seed; return the error that it was refused with, if it was."""
    try:
        run_one(project, pipeline, params, env, nodes, of)
    except FlawlineError as error:
        return error
    return None


def run_one(
    project: Path, pipeline: str, params: dict[str, Any], env: str | None, nodes: list[str] | None, of: InStudy
) -> None:
    token = IN_STUDY.set(of)
    try:
        with KedroSession.create(project_path=project, env=env, runtime_params=params) as session:
            session.run(pipeline_names=[pipeline], node_names=nodes, runner=SequentialRunner())
    finally:
        IN_STUDY.reset(token)
