"""All parameters are checked before anything is read, and before a category can name a path."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogConfigResolver, DataCatalog
from kedro.pipeline.node import Node

from flawline.checks import FlawlineError
from flawline.intake.folders import check_folder, contents_of
from flawline.methods.tree import validate_parameters
from flawline.params import CATALOG_VERSION, BaseParameters, check_category

GIVEN = ("raw", "images", "decisions", "verdicts", "detector")  # what the command line alone names


class ParametersHook:
    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        runtime = context._runtime_params or {}
        if "category" in runtime:
            check_category(runtime["category"])
        check_raw(runtime)
        check_folder_names(runtime)
        tree = context.config_loader["parameters"]
        context.config_loader["parameters"] = tree  # kept: Kedro would read and merge all files whenever it is asked
        parameters = validate_parameters(tree)
        if type(runtime.get("seed", 0)) is not int:  # 1.0 would be another folder than 1
            raise FlawlineError(f"seed must be a whole number, got {runtime['seed']!r}")
        check_paths_agree(tree, {**context.config_loader["globals"], **runtime})
        self.data, self.detector = context.project_path / "data", parameters.detector
        check_writable(self.data)
        if parameters.images is not None:
            check_inspection(context, parameters)

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        check_chosen(self.detector, run_params)

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        if "images" in node.outputs:  # the one node that writes what raw photographs take in memory
            from flawline.intake.registration import check_space, common_channels

            manifest, registration = inputs["manifest"], inputs["params:registration"]
            check_space(self.data, manifest, common_channels(manifest, registration.color))


def check_folder_names(runtime: Mapping[str, Any]) -> None:
    """Raise FlawlineError if a folder's name would mean something else in the configuration."""
    for name in GIVEN:
        if "${" in str(runtime.get(name) or ""):
            raise FlawlineError(
                f"{name} must not hold the characters ${{, which stand for a value in the configuration, got "
                f"{runtime[name]!r}. Rename the folder, or make a link to it (ln -s) and give that."
            )


def check_raw(runtime: Mapping[str, Any]) -> None:
    """Raise FlawlineError if a raw folder is given without a name, or without a category: its images would be taken for
    those of the embedded example."""
    if "raw" not in runtime or runtime["raw"] is None:
        return
    if not str(runtime["raw"]).strip():
        raise FlawlineError("raw is empty; wanted a folder of photographs: --params raw=FOLDER,category=NAME")
    if "category" not in runtime:
        raise FlawlineError(
            f"raw={runtime['raw']} has no category; wanted the name of what the photographs show: add category=NAME to "
            f"--params"
        )


def check_inspection(context: KedroContext, parameters: BaseParameters) -> None:
    """Raise FlawlineError unless there are new images, and the detector that the command line asks for.

    Here, and not in the pipeline, since the pipeline needs seconds to be imported."""
    from flawline.pipeline_registry import inspected_with

    folder = context.project_path / str(parameters.images)
    check_folder(folder, param="images")
    contents = contents_of(folder)
    if not contents.files and not contents.odd:
        raise FlawlineError(f"{folder} holds nothing but empty folders; wanted photographs to judge")
    for method in filter(None, map(inspected_with, asked_for())):
        check_detector(detector_path(context, method), method, parameters)


def asked_for() -> list[str]:
    """Return the names of the pipelines that the command line asks for; none where the run was not started there."""
    command = click.get_current_context(silent=True)
    return (command.params.get("pipelines") or []) if command else []


def detector_path(context: KedroContext, method: str) -> Path:
    """Return where the catalog keeps the detectors of a method: a folder, with a version in each subfolder."""
    patterns = DataCatalog.default_runtime_patterns
    resolver = CatalogConfigResolver(context.config_loader["catalog"], default_runtime_patterns=patterns)
    return context.project_path / resolver.resolve_pattern(f"{method}.detector")["filepath"]


def check_chosen(detector: str | None, run_params: Mapping[str, Any]) -> None:
    """Raise FlawlineError if a detector is named for a run that makes its own, or is named twice."""
    from flawline.pipeline_registry import judged_with

    makers = [name for name in run_params.get("pipeline_names") or ["__default__"] if judged_with(name) is None]
    if detector is not None and makers:
        raise FlawlineError(
            f"detector={detector} names what judges in an inspection or a promotion, but {makers[0]} is neither. Leave "
            f"it out, or give --pipelines=inspection"
        )
    versions = [name for name in run_params.get("load_versions") or {} if name.endswith(".detector")]
    if detector is not None and versions:
        raise FlawlineError(
            f"detector={detector} and --load-versions={versions[0]}:... both name the detector that judges: give one"
        )


def check_detector(path: Path, method: str, parameters: BaseParameters) -> None:
    """Raise FlawlineError if there is no detector below ``path``, or not the version that was asked for; what MLflow
    has is asked once it is set up."""
    if parameters.detector is not None and not CATALOG_VERSION.fullmatch(parameters.detector):
        return
    versions = sorted(each.parent.name for each in path.glob(f"*/{path.name}"))
    if parameters.detector in versions or (versions and parameters.detector is None):
        return
    if versions:
        raise FlawlineError(
            f"no version {parameters.detector} of the detector at {path}; the newest are: {', '.join(versions[-5:])}"
        )
    others = sorted(each.parent.parent.parent.name for each in path.parent.parent.glob(f"*/{path.name}/*/{path.name}"))
    have = f" {', '.join(dict.fromkeys(others))} has one: give METHOD=NAME." if others else ""
    seed = f" SEED={parameters.seed}" if parameters.seed else ""
    raise FlawlineError(
        f"no detector at {path}. Make it with: make run RAW=FOLDER CATEGORY={parameters.category} METHOD={method}"
        f"{seed} (or kedro run --pipelines={method} --params "
        f"category={parameters.category},seed={parameters.seed},raw=FOLDER).{have}"
    )


def check_paths_agree(parameters: Mapping[str, Any], paths: Mapping[str, Any]) -> None:
    """Raise FlawlineError if a parameter that also stands in the catalog's paths has another value there."""
    for name in ("category", "seed", *GIVEN, "protocol", "variant"):
        if parameters.get(name) != paths.get(name):
            home = " or in globals.yml" if name not in GIVEN else ""
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
