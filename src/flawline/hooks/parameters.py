"""All parameters are checked before anything is read, and before a category can name a path."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

from flawline.checks import FlawlineError
from flawline.intake.registration import check_space, common_channels
from flawline.methods.tree import validate_parameters
from flawline.params import check_category


class ParametersHook:
    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        runtime = context._runtime_params or {}
        if "category" in runtime:
            check_category(runtime["category"])
        validate_parameters(context.config_loader["parameters"])
        if type(runtime.get("seed", 0)) is not int:  # 1.0 would be another folder than 1
            raise FlawlineError(f"seed must be a whole number, got {runtime['seed']!r}")
        check_paths_agree(context.config_loader["parameters"], {**context.config_loader["globals"], **runtime})
        self.data = context.project_path / "data"
        check_writable(self.data)

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        if "images" in node.outputs:  # the one node that writes what raw photographs take in memory
            manifest, registration = inputs["manifest"], inputs["params:registration"]
            check_space(self.data, manifest, common_channels(manifest, registration.color))


def check_paths_agree(parameters: Mapping[str, Any], paths: Mapping[str, Any]) -> None:
    """Raise FlawlineError if a parameter that also stands in the catalog's paths has another value there."""
    for name in ("category", "seed", "raw", "images"):
        if parameters.get(name) != paths.get(name):
            home = " or in globals.yml" if name in ("category", "seed") else ""
            raise FlawlineError(
                f"{name} is {parameters.get(name)!r} among the parameters, but {paths.get(name)!r} in the paths of the "
                f"catalog. Give it as --params {name}=...{home}, not in a parameters file."
            )


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
