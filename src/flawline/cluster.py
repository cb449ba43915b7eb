"""Work on a Dask cluster: processes of this machine, or the workers of a scheduler that is running somewhere."""

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flawline.checks import FlawlineError, how_to_install
from flawline.storage.digests import file_digest
from flawline.workers import cores

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
ANSWERS_WITHIN = "10s"  # a scheduler that is there
AGAIN = 1  # times that work is done again whose worker died: what kills two may kill all
ENVIRONMENT = {"DASK_LOGGING__DISTRIBUTED": "warning"}  # of a worker; that it comes and goes is no news
SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": AGAIN,
    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,  # in the place of Dask's, one thread a worker: other last bits
}


def on_cluster(
    address: str, project: Path, work: Callable[..., Any], tasks: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[str, Any]]:
    """Yield (name, result) of ``work(project, *task)`` for each of named ``tasks``, as they end. An argument that is
    `ResultsOf` other tasks, which stand before, is the list of their results.

    ``address`` is "local", a process for each core, or that of a scheduler, whose workers must see the same folder
    ``project``. Raise FlawlineError if there is no scheduler, or a worker cannot do the work as this process would, or
    died at the same task again and again."""
    with connected(address, len(tasks), project / "pyproject.toml") as client:
        yield from _results(client, project, work, tasks)


def _results(
    client: "Client", project: Path, work: Callable[..., Any], tasks: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[str, Any]]:
    from distributed import as_completed

    futures: dict[str, Future] = {}
    for name, task in tasks.items():
        filled = [[futures[each] for each in it.names] if isinstance(it, ResultsOf) else it for it in task]
        futures[name] = client.submit(work, str(project), *filled, key=f"flawline-{name}", pure=False)
    waiting = {future: name for name, future in futures.items()}
    try:
        for future in as_completed(waiting):
            yield waiting[future], ClusterTask(future, waiting[future]).result()
    finally:
        client.cancel(list(waiting))


@dataclass(frozen=True)
class ResultsOf:
    """Stands for the results of other tasks, by their names; a task that has it among its arguments waits for them."""

    names: list[str]


@dataclass(frozen=True)
class ClusterTask:
    """A task of a cluster, by its name."""

    future: "Future"
    name: str

    def result(self) -> Any:
        """Return what the task gave, or raise what it raised; FlawlineError if its workers died."""
        from distributed.scheduler import KilledWorker

        try:
            return self.future.result()
        except KilledWorker as error:
            raise FlawlineError(
                f"the workers died at {self.name}, the last one at {error.last_worker.address}: most often there is "
                f"too little memory. Give them more, or fewer of them; what was done is kept."
            ) from None

    def cancel(self) -> None:
        self.future.cancel()


@dataclass(frozen=True)
class WorkerPool:
    """The workers of a cluster, each of which was given the same value, so that it is not sent with every task."""

    client: "Client"
    name: str

    @property
    def size(self) -> int:
        """How many tasks run at once."""
        return max(1, sum(self.client.nthreads().values()))

    def submit(self, work: Callable[[Any, Any], Any], item: Any, *, name: str) -> ClusterTask:
        """Have one worker do ``work(value, item)``."""
        key = f"{self.name}-{uuid.uuid4().hex}"
        return ClusterTask(self.client.submit(_with_given, self.name, work, item, key=key, pure=False), name)


@contextmanager
def worker_pool(address: str, tasks: int, value: Any, *files: Path) -> Iterator[WorkerPool]:
    """Yield the workers of the cluster at ``address``, as `connected` has it, each with its own copy of ``value``; one
    that takes the place of another gets it too."""
    with connected(address, tasks, *files) as client:
        name = f"flawline-{uuid.uuid4().hex}"
        client.register_plugin(_carrying(value), name=name)
        try:
            yield WorkerPool(client, name)
        finally:
            client.unregister_worker_plugin(name)


def _carrying(given: Any) -> Any:
    """Return the plugin with which Dask gives a value to each worker, those too that come later."""
    from distributed import WorkerPlugin

    class Given(WorkerPlugin):
        value = given

    return Given()


def _with_given(name: str, work: Callable[[Any, Any], Any], item: Any) -> Any:
    from distributed import get_worker

    return work(get_worker().plugins[name].value, item)


@contextmanager
def connected(address: str, tasks: int, *files: Path) -> "Iterator[Client]":
    """Yield a client of the cluster at ``address``, whose workers all see the same ``files``. A cluster of this machine
    has no more processes than there are tasks, and ends with the client."""
    with _client(address, tasks) as client:
        check_workers(about(*files), client.run(about, *files), address)
        check_threads(client.nthreads(), address)
        yield client


@contextmanager
def _client(address: str, tasks: int) -> "Iterator[Client]":
    if find_spec("distributed") is None:
        raise FlawlineError(f"--cluster needs Dask's distributed, which is not installed; {how_to_install('cluster')}.")
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.WARNING)
    if address == LOCAL:
        with dask.config.set(SETTINGS), LocalCluster(
            n_workers=max(1, min(cores(), tasks)), threads_per_worker=1, dashboard_address=None
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
                    f"versions, and see the same files at the same place."
                )


def check_threads(threads: Mapping[str, int], address: str) -> None:
    """Raise FlawlineError if a worker has several threads: the work sets the process's own, and its folder."""
    for worker, count in threads.items():
        if count > 1:
            raise FlawlineError(
                f"the worker at {worker} has {count} threads, wanted one: start `dask worker {address} --nthreads 1 "
                f"--nworkers {count}`"
            )


def about(*files: Path) -> dict[str, str]:
    """Return what must be the same here and at a worker: versions, and the digests of some files that it needs."""
    known = {name: _version(name) for name in ("flawline", "torch", "openvino", "numpy", "kedro", "mlflow")}
    return known | {f"the file {file}": _digest(file) for file in files}


def _version(package: str) -> str:
    return version(package) if find_spec(package) else "missing"


def _digest(file: Path) -> str:
    try:
        return file_digest(file)[:12] if file.is_file() else "missing"
    except OSError:
        return "unreadable"
