"""Verdicts proven: the file against what was kept of it, and its rows against the detector."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flawline.checks import FlawlineError
from flawline.detector.record import Seal, read_seal, record_path
from flawline.detector.record_reading import Row, read_table
from flawline.detector.verifying import Verified, Witness, beside, verify

if TYPE_CHECKING:
    from flawline.detector.judging import Judge

HASH = re.compile(r"[0-9a-f]{64}")
SPAN = re.compile(r"([1-9][0-9]*)(?:-([1-9][0-9]*))?")


class Replay(NamedTuple):
    """What is to be replayed: photographs of a folder, by the detector of a file, of these rows or of a sample."""

    folder: Path | None
    detector: Path | None
    rows: str
    sample: int | None


def run_verify(
    verdicts: Path, *, record: Path | None, head: str | None, run: str | None, replay: Replay, env: str | None
) -> bool:
    """Tell what can be proven of verdicts; return True if all of it holds."""
    table = read_table(verdicts)
    seal = read_seal(record or record_path(verdicts)) if record or record_path(verdicts).exists() else None
    witnesses = [beside(seal)] if seal else []
    witnesses += [Witness("--head", checked_hash(head))] if head else []
    witnesses += [tracked_witness(run, env)] if run else []
    verified = verify(table, seal, witnesses)
    wrong = [*verified.wrong]
    for line in [*_told_of(verdicts, seal, verified, witnesses), *wrong, *verified.told]:
        click.echo(line)
    if replay.folder:
        wrong += replayed(verified, seal, replay)
    click.echo(_ending(verified, wrong))
    return not wrong


def _told_of(path: Path, seal: Seal | None, verified: Verified, witnesses: Sequence[Witness]) -> list[str]:
    """Return what the verdicts are, and what they are compared with."""
    lines = [f"{path}: {len(verified.rows)} rows"]
    if seal is not None:
        origin, detector = seal.facts.get("origin", {}), seal.facts.get("detector", {})
        lines += [
            f"recorded: {seal.rows} rows of category {seal.facts.get('category')}, method {seal.facts.get('method')}",
            f"detector: version {detector.get('version') or 'unknown'}, SHA-256 {detector.get('sha256') or 'unknown'}",
            *(f"{name}: {value}" for name, value in origin.items()),
        ]
    return [*lines, *(f"compared with {each.name}: last hash {each.head}" for each in witnesses)]


def _ending(verified: Verified, wrong: Sequence[str]) -> str:
    if wrong:
        return f"NOT PROVEN: {len(wrong)} finding{'s' * (len(wrong) > 1)}, see above"
    return f"whole: {len(verified.rows)} rows are as they were written, none is missing, doubled or moved"


def checked_hash(text: str) -> str:
    """Return a hash that was typed. Raise FlawlineError if it is none."""
    if not HASH.fullmatch(text.strip().lower()):
        raise FlawlineError(f"--head must be the last row's hash, 64 digits from 0 to f, got '{text}'")
    return text.strip().lower()


def tracked_witness(run_id: str, env: str | None) -> Witness:
    """Return what an inspection's MLflow run was told of its verdicts. Raise FlawlineError if there is no such run, or
    it knows of none."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    uri = tracking_store(env)
    try:
        params = MlflowClient(uri).get_run(run_id).data.params
    except MlflowException as error:
        raise FlawlineError(f"no MLflow run {run_id} in {uri}: {error.message}") from None
    known = {name: params.get(f"verdicts.{name}") for name in ("head", "rows", "first")}
    if None in known.values():
        raise FlawlineError(f"the MLflow run {run_id} was told of no verdicts; wanted the run of an inspection")
    return Witness(f"the MLflow run {run_id}", str(known["head"]), int(known["rows"] or 0), known["first"])


def tracking_store(env: str | None) -> str:
    """Return the tracking store: of the project around the current folder, or of the environment's
    MLFLOW_TRACKING_URI. Raise FlawlineError if there is none."""
    from kedro.config import OmegaConfigLoader
    from kedro.utils import find_kedro_project

    from flawline.conf import CONFIG_LOADER_ARGS
    from flawline.hooks.tracking import check_server, in_project

    project = find_kedro_project(Path.cwd())
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if project is not None:
        settings: dict[str, Any] = OmegaConfigLoader(str(project / "conf"), env=env, **CONFIG_LOADER_ARGS)["mlflow"]
        uri = in_project(settings.get("server", {}).get("mlflow_tracking_uri") or uri, project)
    check_server(uri)
    path = uri.removeprefix("sqlite:///")
    if not uri or (path != uri and not Path(path).is_file()):
        raise FlawlineError(
            f"no tracking store at {uri or 'MLFLOW_TRACKING_URI, which is not set'}. Run the command in the project, "
            f"or name the store in MLFLOW_TRACKING_URI."
        )
    return uri


def replayed(verified: Verified, seal: Seal | None, asked: Replay) -> list[str]:
    """Judge rows again and tell what came of each; return what is wrong."""
    try:
        return _replayed(verified, seal, asked)
    except FlawlineError as error:
        click.echo(f"nothing was replayed: {error}")
        return [str(error)]


def _replayed(verified: Verified, seal: Seal | None, asked: Replay) -> list[str]:
    if seal is None:
        raise FlawlineError("--replay needs the record, which says what judged: lay it beside, or give --record")
    if asked.folder is None or not asked.folder.is_dir():
        raise FlawlineError(f"no folder {asked.folder}; wanted that of the photographs: --replay FOLDER")
    from flawline.detector.replaying import replay, replay_judge
    from flawline.params import ComputeParams

    rows, compute = chosen(verified, asked), ComputeParams()
    judge = replay_judge(seal.facts, asked.detector, compute)
    click.echo(_engines(seal, judge))
    named = [dict(zip(verified.columns, row.fields, strict=True)) for row in rows]
    done = list(replay(named, asked.folder, judge, compute))
    wrong = [f"line {row.line}: {each.row['image']}: {each.other}"
             for row, each in zip(rows, done, strict=True) if each.other]  # fmt: skip
    left = [each for each in done if each.left]
    for line in wrong:
        click.echo(line)
    same = len(rows) - len(left) - len(wrong)
    click.echo(f"replayed {same + len(wrong)} of {len(verified.rows)} rows: {same} are the same, {len(wrong)} are not")
    if left:
        click.echo(f"not replayed: {len(left)} rows; each {left[0].left}")
    return wrong


def _engines(seal: Seal, judge: "Judge") -> str:
    from flawline.detector.engine_check import allowed_difference

    here, there = judge.scorer.engine or "no network", ", ".join(seal.facts["engines"]) or "no network"
    return f"judged by {there}, replayed by {here}; scores may be off by {allowed_difference(judge.detector):.3g}"


def chosen(verified: Verified, asked: Replay) -> list[Row]:
    """Return the rows that are asked for by number, or so many of them, drawn anew each time: nobody can know before
    which these are."""
    numbers = numbers_in(asked.rows) if asked.rows else None
    some = [row for row in verified.rows if len(row.fields) == len(verified.columns)
            and (numbers is None or row.number in numbers)]  # fmt: skip
    if not some:
        raise FlawlineError(f"no row to replay: --rows {asked.rows or '1-'} names none of {len(verified.rows)}")
    if asked.sample is None or asked.sample >= len(some):
        return some
    picked = sorted(SystemRandom().sample(range(len(some)), asked.sample))
    click.echo(f"sample: --rows {','.join(str(some[k].number) for k in picked)}")
    return [some[k] for k in picked]


def numbers_in(text: str) -> set[int]:
    """Return the numbers of "3,7-9". Raise FlawlineError if it is not written so."""
    found: set[int] = set()
    for item in text.split(","):
        span = SPAN.fullmatch(item.strip())
        if span is None:
            raise FlawlineError(f"--rows must be numbers of rows such as 3,7-9, got '{text}'")
        found |= set(range(int(span[1]), int(span[2] or span[1]) + 1))
    return found
