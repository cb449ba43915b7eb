"""All parameters are checked before anything is read, and before a category can name a path."""

import os
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from flawline.checks import FlawlineError
from flawline.params import check_category, validate_parameters


class ParametersHook:
    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        runtime = context._runtime_params or {}
        if "category" in runtime:
            check_category(runtime["category"])
        validate_parameters(context.config_loader["parameters"])
        if type(runtime.get("seed", 0)) is not int:  # 1.0 would be another folder than 1
            raise FlawlineError(f"seed must be a whole number, got {runtime['seed']!r}")
        check_writable(context.project_path / "data")


def check_writable(folder: Path) -> None:
    """Raise FlawlineError unless files can be made in ``folder``, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FlawlineError(
            f"cannot write to {folder}: {error.strerror}. Wanted a folder for data, models and reports; check its "
            f"permissions and that the disk is not full, or link data/ to a place that can be written."
        ) from None
