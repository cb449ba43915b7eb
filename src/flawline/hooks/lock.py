"""One run at a time works on a category: two would write the same files."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from flawline.checks import FlawlineError
from flawline.hooks.in_study import IN_STUDY


class LockHook:
    """Holds the category's lock from before a pipeline run until its end; the system drops it with the process. Of a
    session that a study does in parts, each holds a lock of its own: the study has that of the category."""

    lock: BaseFileLock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.category, self.project = context.config_loader["parameters"]["category"], Path(context.project_path)

    @hook_impl(wrapper=True, tryfirst=True)
    def before_pipeline_run(self) -> Generator[None, Any, Any]:
        """Take the lock before lineage looks at what another run may be writing."""
        self.release()  # a run that was interrupted in this very process
        self.lock = acquired(self.project, self.category, IN_STUDY.get().part)
        try:
            return (yield)
        except BaseException:  # a refusal: no other hook hears of it
            self.release()
            raise

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        self.release()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        self.release()

    def release(self) -> None:
        if self.lock is not None:
            self.lock.release()
            self.lock = None


@contextmanager
def category_lock(project: Path, category: str) -> Iterator[None]:
    """Hold the lock of a category; raise FlawlineError if a run works on it."""
    lock = acquired(project, category)
    try:
        yield
    finally:
        lock.release()


def acquired(project: Path, category: str, part: str | None = None) -> BaseFileLock:
    """Return the lock of a category, or of a ``part`` of the work on it, acquired. Raise FlawlineError if somebody else
    has it, or, of the whole, works on a part: the workers of a study that was killed end what they have begun."""
    folder = project / "data"
    lock = _lock(folder / (f".{category}.{part}.lock" if part else f".{category}.lock"), category)
    for other in () if part else folder.glob(f".{category}.*.lock"):
        try:
            _lock(other, category).release()
        except FlawlineError:
            lock.release()
            raise
    return lock


def _lock(path: Path, category: str) -> BaseFileLock:
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise FlawlineError(
            f"another run is working on the category {category}. Wait until it has ended; runs of other "
            f"categories can go on side by side."
        ) from None
    return lock
