"""Work on a Dask cluster: processes of this machine, or the workers of a scheduler that is running somewhere."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flawline.checks import FlawlineError, how_to_install
from flawline.storage.digests import file_digest

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
ANSWERS_WITHIN = "10s"  # a scheduler that is there
AGAIN = 1  # times that work is done again whose worker died: what kills two may kill all
OWN_THREADS: dict[str, Any] = {"distributed.nanny.pre-spawn-environ": {}}  # Dask sets one a worker: other last bits


def on_cluster(
    address: str, project: Path, work: Callable[..., Any], tasks: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[str, Any]]:
    """Yield (name, result) of ``work(project, *task)`` for each of named ``tasks``, as they end.

    ``address`` is "local", a process for each core, or that of a scheduler, whose workers must see the same folder
    ``project``. Raise FlawlineError if there is no scheduler, or a worker cannot do the work as this process would, or
    died at the same task again and again."""
    with connected(address, len(tasks)) as client:
        check_workers(about(str(project)), client.run(about, str(project)), address)
        yield from _results(client, project, work, tasks)


def _results(
    client: "Client", project: Path, work: Callable[..., Any], tasks: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[str, Any]]:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting = {client.submit(work, str(project), *task, key=f"flawline-{name}", pure=False): name
               for name, task in tasks.items()}  # fmt: skip
    try:
        for future in as_completed(waiting):
            try:
                yield waiting[future], future.result()
            except KilledWorker as error:
                raise FlawlineError(
                    f"the workers died at {waiting[future]}, the last one at {error.last_worker.address}: most often "
                    f"there is too little memory. Give them more, or fewer of them; what was done is kept."
                ) from None
    finally:
        client.cancel(list(waiting))


@contextmanager
def connected(address: str, tasks: int) -> "Iterator[Client]":
    """Yield a client of the cluster at ``address``; one of this machine has no more processes than there are tasks, and
    ends with it."""
    if find_spec("distributed") is None:
        raise FlawlineError(f"--cluster needs Dask's distributed, which is not installed; {how_to_install('cluster')}.")
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.WARNING)  # that a process ends with its cluster is no news
    if address == LOCAL:
        settings = OWN_THREADS | {"distributed.scheduler.allowed-failures": AGAIN}
        with dask.config.set(settings), LocalCluster(
            n_workers=max(1, min(CPU_COUNT, tasks)), threads_per_worker=1, dashboard_address=None
        ) as cluster, Client(cluster) as client:  # fmt: skip
            yield client
        return
    try:
        client = Client(address, timeout=ANSWERS_WITHIN)
    except (OSError, ValueError, TimeoutError) as error:
        raise FlawlineError(
            f"no scheduler answers at {address} ({type(error).__name__}). Start one with `dask scheduler`, workers "
            f"with `dask worker {address} --nthreads 1`, or take --cluster local."
        ) from None
    with client:
        yield client


def check_workers(here: Mapping[str, str], there: Mapping[str, Mapping[str, str]], address: str) -> None:
    """Raise FlawlineError if the cluster at ``address`` has no worker, or `about` says of one of them something else,
    ``there``, than of this process, ``here``."""
    if not there:
        raise FlawlineError(f"the scheduler at {address} has no worker: `dask worker {address} --nthreads 1` is one")
    for worker, found in there.items():
        for name, value in here.items():
            if found.get(name) != value:
                raise FlawlineError(
                    f"the worker at {worker} has {name} {found.get(name)}, here it is {value}. All must have the same "
                    f"versions, and the folder of the project at the same place."
                )


def about(project: str) -> dict[str, str]:
    """Return what must be the same here and at a worker."""
    file = Path(project) / "pyproject.toml"
    known = {name: version(name) for name in ("flawline", "torch", "numpy", "kedro", "mlflow")}
    return known | {f"the project {project}": file_digest(file)[:12] if file.is_file() else "missing"}
