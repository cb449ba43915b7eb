"""Every pipeline by name: the main job and its stages, every method and every paper from a raw folder to a page."""

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

from kedro.pipeline import Pipeline

from flawline.methods.registry import DEFAULT, METHODS, PAPERS, Method
from flawline.pipelines.boxes import in_boxes

ONCE = ("ingestion", "registration", "defect_injection")  # stages that are the same for every method
STAGES = ("patching", "training", "embedding", "evaluation")  # stages of a method
BOXES = (*ONCE, *STAGES, "reporting", "inspection", "feedback", "promotion")  # of the lineage as a picture


class LaterPipeline(Pipeline):
    """A pipeline that is built when it is first looked into. Until then nothing of what its nodes need is imported:
    a list of names takes no torch, and a wrong parameter is told in the time that Kedro itself takes."""

    def __init__(self, build: Callable[[], Pipeline]):
        self._build = build

    def __getattr__(self, name: str) -> Any:
        """Fill in what ``Pipeline`` keeps; Python only asks here for what is not there yet."""
        if name.startswith("__") or "_build" not in self.__dict__:
            raise AttributeError(name)
        self.__dict__.update(vars(self._build()))
        del self._build
        return getattr(self, name)


def register_pipelines() -> dict[str, Pipeline]:
    """Return the registered pipelines. ``__default__`` is the main job: a folder in, a detector and a page out.

    The stages of a method are pipelines of their own for the recommended method, as far as it has them; of another,
    ``kedro run --pipelines=METHOD --tags=STAGE`` runs one."""
    main = METHODS[DEFAULT]
    once = {name: later(stage, name) for name in ONCE}
    stages = {name: later(stage, name, main) for name in STAGES if has_stage(main, name)}
    alone = {name: later(whole_line, spec) for name, spec in METHODS.items()}
    papers = {name: later(whole_line, *(METHODS[each] for each in row.methods)) for name, row in PAPERS.items()}
    judging = {"inspection": later(stage, "inspection", main)}
    judging |= {f"{name}_inspection": later(stage, "inspection", spec) for name, spec in METHODS.items()}
    judging |= {"promotion": later(stage, "promotion", main)}
    judging |= {f"{name}_promotion": later(stage, "promotion", spec) for name, spec in METHODS.items()}
    report = {"reporting": later(report_on, main)}
    judging |= {"feedback": later(stage, "feedback")}
    return {**once, **stages, **report, **judging, **alone, **papers, "__default__": later(whole_line, main)}


def has_stage(spec: Method, name: str) -> bool:
    """Return True if a method has nodes of that stage: without a reconstructor nothing is cut or trained."""
    return spec.reconstructor is not None or name in ("embedding", "evaluation")


def inspected_with(pipeline: str) -> str | None:
    """Return the method whose detector judges in the pipeline of that name; None if it judges no new images."""
    return _method_of(pipeline, "inspection")


def judged_with(pipeline: str) -> str | None:
    """Return the method of which a detector judges in the pipeline of that name, new images or those of a promotion;
    None if none does."""
    return inspected_with(pipeline) or _method_of(pipeline, "promotion")


def _method_of(pipeline: str, job: str) -> str | None:
    if pipeline == job:
        return DEFAULT
    name = pipeline.removesuffix(f"_{job}")
    return name if name != pipeline and name in METHODS else None


def later(build: Callable[..., Pipeline], *of: Any) -> LaterPipeline:
    return LaterPipeline(partial(shown, build, *of))


# Kedro asks for the pipelines up to three times in a run: each is built once in a process.
@cache
def shown(build: Callable[..., Pipeline], *of: Any) -> Pipeline:
    """Return a pipeline with its stages as boxes."""
    return in_boxes(build(*of), BOXES)


@cache
def stage(name: str, *of: Any) -> Pipeline:
    """Return the pipeline of a stage, of a method where it has one."""
    return import_module(f"flawline.pipelines.{name}").create_pipeline(*of)


@cache
def report_on(*specs: Method) -> Pipeline:
    return stage("reporting", specs)


@cache
def whole_line(*specs: Method) -> Pipeline:
    """Return the pipelines of some methods from a raw folder on, and the report on them all."""
    from flawline.pipelines.method import method_pipeline

    lines = sum((method_pipeline(spec) for spec in specs), Pipeline([]))
    return stage("ingestion") + stage("registration") + stage("defect_injection") + lines + report_on(*specs)
