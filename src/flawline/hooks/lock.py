"""One run at a time works on a category: two would write the same files."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from flawline.checks import FlawlineError


class LockHook:
    """Holds the category's lock from before a pipeline run until its end; the system drops it with the process."""

    lock: FileLock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        category = context.config_loader["parameters"]["category"]
        self.category, self.path = category, Path(context.project_path) / "data" / f".{category}.lock"

    @hook_impl(wrapper=True, tryfirst=True)
    def before_pipeline_run(self) -> Generator[None, Any, Any]:
        """Take the lock before lineage looks at what another run may be writing."""
        self.release()  # a run that was interrupted in this very process
        self.lock = FileLock(self.path, timeout=0)
        try:
            self.lock.acquire()
        except Timeout:
            raise FlawlineError(
                f"another run is working on the category {self.category}. Wait until it has ended; runs of other "
                f"categories can go on side by side."
            ) from None
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
