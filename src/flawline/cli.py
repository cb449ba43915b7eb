"""The project's commands: ``kedro run`` with errors a user can act on, ``kedro study`` and
``kedro verify``."""

import errno
import os
import re
import sys
from collections.abc import Callable
from copy import copy
from functools import wraps
from pathlib import Path
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import _split_params, env_option, split_string

from flawline.checks import FlawlineError

FAILED, INTERRUPTED = 1, 130
# Kedro's own words on a mistyped pipeline, node or dataset, which it raises as plain errors.
KEDRO_SAYS = ("Failed to find the pipeline", "Pipeline does not contain", "'load_versions' keys")
AS_TYPED = ("category", "raw", "images", "decisions", "verdicts", "detector")
KEY = re.compile(r"\s*[A-Za-z_][\w.]*\s*=")  # how an item of --params begins
LOCKED = "database is locked"  # as sqlite says it
LOCKED_STORE = "End what uses it, such as a viewer of the database, and run the same command again."
FULL_DISK = "Make room and run the same command again."


@click.group(name="flawline")
def cli() -> None:
    """flawline's own commands."""


def user_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a FlawlineError into its message and exit code 1, and Ctrl-C into a word on how to go on."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            from flawline.hooks.tracking import close_interrupted

            close_interrupted()
            click.echo(
                "\nInterrupted. Run the same command again: what is done is kept, and training goes on where it was.",
                err=True,
            )
            sys.exit(INTERRUPTED)
        except Exception as error:
            cause = user_error(error)
            if cause is None:
                raise
            click.echo(f"Error: {cause}", err=True)
            sys.exit(FAILED)

    return wrapped


def user_error(error: BaseException | None) -> str | None:
    """Return the message for the user in ``error`` or what caused it: a mistake in what was asked, or a full disk."""
    full, locked = None, False
    while error is not None:
        if isinstance(error, FlawlineError | MissingConfigException) or str(error).startswith(KEDRO_SAYS):
            return str(error)
        full = error if is_full_disk(error) else full  # the innermost knows the file
        locked = locked or LOCKED in str(error)
        error = error.__cause__ or error.__context__
    if locked:
        return f"the tracking store is locked by another program for too long. {LOCKED_STORE}"
    if full is None:
        return None
    return f"the disk is full ({getattr(full, 'filename', None) or 'data/'}). {FULL_DISK}"


def is_full_disk(error: BaseException) -> bool:
    """Return True if ``error`` is a full disk's: some libraries (safetensors, sqlite) tell it in words only."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(words in str(error) for words in (os.strerror(errno.ENOSPC), "database or disk is full"))


def keep_text(context: click.Context, option: click.Parameter, value: Any) -> dict[str, Any]:
    """Parse --params as Kedro does, but leave names and folders as they were typed: category 007 is not 7, and what
    stands in quotes, or behind a comma and is no KEY=, belongs to a folder's name."""
    if not isinstance(value, str):
        return _split_params(context, option, value)
    texts, rest = split_typed(value)
    return _split_params(context, option, ",".join(rest)) | texts


def split_typed(value: str) -> tuple[dict[str, str], list[str]]:
    """Return (names and folders by parameter, the other items) of what was typed behind --params."""
    texts: dict[str, str] = {}
    rest: list[str] = []
    items = value.split(",")
    while items:
        item = items.pop(0)
        key, _, text = item.partition("=" if "=" in item else ":")
        if key.strip() not in AS_TYPED:
            rest.append(item)
            continue
        count = _quoted(text, items) or next((k for k, each in enumerate(items) if KEY.match(each)), len(items))
        whole = ",".join([text, *items[:count]]).strip()
        quoted = len(whole) > 1 and whole.startswith('"') and whole.endswith('"')
        texts[key.strip()] = whole[1:-1] if quoted else whole.removesuffix(",")
        del items[:count]
    return texts, rest


def _quoted(text: str, items: list[str]) -> int:
    """Return how many of the ``items`` behind a text in quotes belong to it; 0 if it is in none, or ends itself."""
    if not text.strip().startswith('"'):
        return 0
    for count in range(len(items) + 1):
        whole = ",".join([text, *items[:count]]).strip()
        if len(whole) > 1 and whole.endswith('"') and (count == len(items) or KEY.match(items[count])):
            return count
    return 0


def run_options() -> list[click.Parameter]:
    """Return the options of ``kedro run`` with our reading of --params, and --cluster."""
    options = [copy(option) for option in kedro_run.params]
    next(option for option in options if option.name == "params").callback = keep_text
    told = "local, or tcp://HOST:8786 of a Dask scheduler, whose workers judge new images; as compute.cluster."
    return [*options, click.Option(["--cluster"], default=None, help=told)]


@user_errors
def run_pipelines(*, cluster: str | None, params: dict[str, Any], **options: Any) -> Any:
    """Run pipelines as ``kedro run`` does."""
    from flawline.params import merged

    changed = params if cluster is None else merged(params, {"compute": {"cluster": cluster}})
    return kedro_run.callback(params=changed, **options)


run = click.Command("run", params=run_options(), callback=run_pipelines, help=kedro_run.help)
cli.add_command(run)


@cli.command()
@click.argument("pipeline")
@click.option("--categories", required=True, callback=split_string, help="Categories, comma-separated.")
@click.option("--seeds", default="0", callback=split_string, help="Seeds, comma-separated.")
@click.option("--raw", default=None, help="Folder with a raw folder a category; default: data/01_raw.")
@click.option("--params", default="", callback=keep_text, help="Parameters of every run: KEY=VALUE, comma-separated.")
@click.option("--vary", multiple=True, help="KEY=VALUE,VALUE: run with each value of a parameter; may be repeated.")
@click.option("--name", default=None, help="Folder of the tables and the page; default: the pipeline's name.")
@click.option("--cluster", default=None, help="local, or tcp://HOST:8786 of a Dask scheduler: categories at once.")
@env_option
@user_errors
def study(
    pipeline: str, categories: list[str], seeds: list[str], raw: str | None, params: dict[str, Any],
    vary: tuple[str, ...], name: str | None, cluster: str | None, env: str | None,
) -> None:  # fmt: skip
    """Run PIPELINE over categories, seeds and varied parameters, what is missing only, and gather the comparison."""
    from flawline.study import run_study

    numbers = [whole_number(seed) for seed in seeds]
    varied = dict(map(varied_parameter, vary))
    run_study(
        pipeline, categories, numbers, raw=raw, env=env, changed=params, varied=varied, name=name, cluster=cluster
    )


@cli.command()
@click.argument("verdicts", type=click.Path(path_type=Path))
@click.option("--record", type=click.Path(path_type=Path), help="The record of the verdicts; default: beside them.")
@click.option("--head", default=None, help="The last row's hash, as somebody wrote it down.")
@click.option("--run", default=None, help="The inspection's MLflow run, which knows that hash too.")
@click.option("--replay", type=click.Path(path_type=Path), help="Folder of the photographs: judge them again.")
@click.option("--detector", type=click.Path(path_type=Path), help="The detector's file; default: where it was.")
@click.option("--rows", default="", help="Rows to judge again, such as 3,7-9; default: all.")
@click.option("--sample", type=click.IntRange(min=1), help="Judge so many of them again, drawn at random.")
@env_option
@user_errors
def verify(
    verdicts: Path, record: Path | None, head: str | None, run: str | None, replay: Path | None,
    detector: Path | None, rows: str, sample: int | None, env: str | None,
) -> None:  # fmt: skip
    """Prove that nobody changed, removed, doubled or moved a row of VERDICTS."""
    from flawline.verification import Replay, run_verify

    if replay is None and (detector or rows or sample):
        raise FlawlineError("--detector, --rows and --sample need --replay FOLDER, the folder of the photographs")
    asked = Replay(replay, detector, rows, sample)
    if not run_verify(verdicts, record=record, head=head, run=run, replay=asked, env=env):
        sys.exit(FAILED)


def varied_parameter(text: str) -> tuple[str, list[Any]]:
    """Return the name and the values of what was typed behind --vary, each read as --params reads it."""
    key, equals, values = text.partition("=")
    if not (equals and KEY.fullmatch(f"{key}=")):
        raise FlawlineError(f"--vary must be KEY=VALUE,VALUE, such as cae.model.latent_size=50,100; got '{text}'")
    typed = [_split_params(None, None, f"value={each.strip()}") for each in values.split(",") if each.strip()]
    return key.strip(), [each["value"] for each in typed]


def whole_number(seed: str) -> int:
    if not seed.isdecimal():
        raise FlawlineError(f"a seed must be a whole number from 0, got '{seed}': --seeds 0,1,2")
    return int(seed)
