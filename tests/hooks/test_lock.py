import pytest
from filelock import FileLock

from flawline.checks import FlawlineError


def test_two_runs_of_one_category_do_not_work_side_by_side(finished):
    with (
        FileLock(finished.path / "data" / ".chess.lock"),
        pytest.raises(FlawlineError, match="another run is working on the category chess"),
    ):
        finished.run("reporting")
    finished.run("reporting")  # the lock is free again


def test_a_failed_run_gives_its_lock_back(finished):
    with pytest.raises(Exception, match="images"):
        finished.run("inspection")
    finished.run("reporting")


def test_a_refused_run_gives_its_lock_back(finished):
    with pytest.raises(FlawlineError, match=r"cae.weights is stale"):
        finished.run("embedding", **{"cae.train.epochs": 9})
    with FileLock(finished.path / "data" / ".chess.lock", timeout=0):
        pass
