"""Work on a Dask cluster: what comes back, who may work, and workers that die."""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from flawline import cluster
from flawline.checks import FlawlineError
from flawline.cluster import LOCAL, ResultsOf, about, check_threads, check_workers, on_cluster, worker_pool

if find_spec("distributed") is None:
    pytest.skip("Dask's distributed is not installed", allow_module_level=True)

import cloudpickle
from distributed import LocalCluster

PROJECT = Path(__file__).parents[1]


def squared(project, number):
    return project, os.getpid(), number * number


def dies_once(project, mark):
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def dies(project):
    os.kill(os.getpid(), signal.SIGKILL)


def fails(project):
    raise FlawlineError("too few images")


@pytest.fixture(autouse=True)
def _workers_get_the_functions_of_this_file():
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(scope="module")
def scheduler():
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as running:
        yield running.scheduler_address


@pytest.mark.slow
def test_processes_of_this_machine_do_the_work_and_one_that_is_killed_is_replaced(tmp_path):
    made = dict(on_cluster(LOCAL, PROJECT, squared, {str(k): (k,) for k in range(5)}))
    assert {name: result[2] for name, result in made.items()} == {str(k): k * k for k in range(5)}
    assert {result[0] for result in made.values()} == {str(PROJECT)}
    assert os.getpid() not in {result[1] for result in made.values()}
    assert dict(on_cluster(LOCAL, PROJECT, dies_once, {"screw": (str(tmp_path / "mark"),)})) == {"screw": "done"}


def added(given, item):
    return os.getpid(), given + item


def dies_once_with_value(given, mark):
    return dies_once(given, mark), given


def test_each_worker_is_given_a_value_once_and_what_came_before_is_gone(scheduler):
    with worker_pool(scheduler, 1, 40) as workers:
        assert workers.size == 1
        process, result = workers.submit(added, 2, name="a").result()
    assert (process != os.getpid(), result) == (True, 42)
    with worker_pool(scheduler, 1, 50) as workers:
        assert workers.submit(added, 2, name="a").result()[1] == 52


@pytest.mark.slow
def test_a_worker_in_the_place_of_one_that_was_killed_is_given_the_value_too(tmp_path):
    with worker_pool(LOCAL, 1, 40) as workers:
        assert workers.submit(dies_once_with_value, str(tmp_path / "mark"), name="a").result() == ("done", 40)


@pytest.mark.slow
def test_work_that_kills_its_workers_is_named():
    with pytest.raises(FlawlineError, match=r"the workers died at screw, the last one at .*too little memory"):
        list(on_cluster(LOCAL, PROJECT, dies, {"screw": ()}))


def test_workers_of_a_scheduler_do_the_work_and_an_error_of_theirs_comes_here(scheduler):
    ((name, (_, worker, result)),) = on_cluster(scheduler, PROJECT, squared, {"a": (3,)})
    assert (name, result) == ("a", 9)
    assert worker != os.getpid()
    with pytest.raises(FlawlineError, match=r"too few images"):
        list(on_cluster(scheduler, PROJECT, fails, {"a": ()}))
    assert dict(on_cluster(scheduler, PROJECT, squared, {"a": (4,)}))["a"][2] == 16  # not what it had before


def summed(project, *numbers):
    return sum(each if isinstance(each, int) else sum(each) for each in numbers)


def test_a_task_waits_for_the_results_of_others(scheduler):
    tasks = {"a": (1,), "b": (2,), "both": (10, ResultsOf(["a", "b"])), "none": (ResultsOf([]),)}
    made = dict(on_cluster(scheduler, PROJECT, summed, tasks))
    assert made == {"a": 1, "b": 2, "both": 13, "none": 0}


def test_workers_of_another_version_or_without_the_project_are_refused(scheduler, tmp_path):
    file = PROJECT / "pyproject.toml"
    here = about(file)
    check_workers(here, {"tcp://a": here, "tcp://b": here}, scheduler)
    with pytest.raises(FlawlineError, match=r"the worker at tcp://b has torch 1\.0, here it is .* the same versions"):
        check_workers(here, {"tcp://a": here, "tcp://b": here | {"torch": "1.0"}}, scheduler)
    gone = {name: value for name, value in about(tmp_path / "gone.png").items() if name.startswith("the file")}
    with pytest.raises(FlawlineError, match=r"the worker at tcp://b has the file .*gone.png missing, here it is"):
        check_workers(dict.fromkeys(gone, "0123"), {"tcp://b": gone}, "")
    with pytest.raises(FlawlineError, match=r"the scheduler at tcp://c has no worker: `dask worker tcp://c"):
        check_workers(here, {}, "tcp://c")


def test_workers_with_several_threads_are_refused():
    check_threads({"tcp://a": 1, "tcp://b": 1}, "tcp://c")
    with pytest.raises(FlawlineError, match=r"tcp://b has 4 threads, wanted one: .* --nthreads 1 --nworkers 4"):
        check_threads({"tcp://a": 1, "tcp://b": 4}, "tcp://c")


def test_a_file_that_cannot_be_read_is_no_reason_to_stop(tmp_path, monkeypatch):
    file = tmp_path / "secret.png"
    file.touch()

    def refuse(path):
        raise PermissionError

    monkeypatch.setattr(cluster, "file_digest", refuse)
    assert about(file)[f"the file {file}"] == "unreadable"


def test_where_no_scheduler_answers_that_is_said(monkeypatch):
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN", "1s")
    with pytest.raises(FlawlineError, match=r"no scheduler answers at tcp://127.0.0.1:9 .*take --cluster local"):
        list(on_cluster("tcp://127.0.0.1:9", PROJECT, squared, {"a": (1,)}))
    with pytest.raises(FlawlineError, match=r"no scheduler answers at nowhere"):
        list(on_cluster("nowhere", PROJECT, squared, {"a": (1,)}))


def test_without_dask_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(FlawlineError, match=r"not installed; pip install 'flawline"):
        list(on_cluster(LOCAL, PROJECT, squared, {"a": (1,)}))
