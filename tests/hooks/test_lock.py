"""One run at a time works on a category, and every run gives its lock back."""

import pytest
from filelock import FileLock

from flawline.checks import FlawlineError
from flawline.hooks.in_study import IN_STUDY, InStudy
from flawline.hooks.lock import category_lock


def is_free(project):
    """Return True if no run, nor what is left of one, works on the category."""
    with FileLock(project.path / "data" / ".chess.lock", timeout=0):
        return True


def test_two_runs_of_one_category_do_not_work_side_by_side(project):
    with (
        FileLock(project.path / "data" / ".chess.lock"),
        pytest.raises(FlawlineError, match="another run is working on the category chess"),
    ):
        project.run("ingestion")
    with FileLock(project.path / "data" / ".bolts.lock"):  # a run of another category is in no one's way
        project.run("ingestion")  # the lock is free again
    assert is_free(project)


def test_a_failed_run_gives_its_lock_back(project, monkeypatch):
    def boom(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr("flawline.intake.manifest.list_raw_folder", boom)
    with pytest.raises(RuntimeError, match="boom"):
        project.run("ingestion")
    assert is_free(project)


def test_a_refused_run_gives_its_lock_back(project):
    with pytest.raises(FlawlineError, match="is not there yet"):
        project.run("embedding")
    assert is_free(project)


def test_a_step_of_a_study_has_a_lock_of_its_own_which_a_whole_run_minds(project):
    with category_lock(project.path, "chess"):
        token = IN_STUDY.set(InStudy(part="1.images"))
        try:
            project.run("ingestion")  # the study has the category's
        finally:
            IN_STUDY.reset(token)
    with (
        FileLock(project.path / "data" / ".chess.1.images.lock"),  # as of a worker whose study was killed
        pytest.raises(FlawlineError, match="another run is working on the category chess"),
    ):
        project.run("ingestion")
    assert is_free(project)
    project.run("ingestion")
