"""Every pipeline by name: the main job and its stages, every method and every paper from a raw folder to a page."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial

from kedro.pipeline import Pipeline

from flawline.methods.registry import DEFAULT, METHODS, PAPERS

ONCE = ("ingestion", "registration", "defect_injection")  # stages of a category
STAGES = ("patching", "training", "embedding", "evaluation")  # of a method


class LazyPipelines(Mapping[str, Pipeline]):
    """Pipelines by name, each built when it is first asked for: building one imports what its nodes need."""

    def __init__(self, builders: Mapping[str, Callable[[], Pipeline]]):
        self._builders, self._built = dict(builders), dict[str, Pipeline]()

    def __getitem__(self, name: str) -> Pipeline:
        if name not in self._built:
            self._built[name] = self._builders[name]()
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._builders)

    def __len__(self) -> int:
        return len(self._builders)


def register_pipelines() -> Mapping[str, Pipeline]:
    """Return the registered pipelines. ``__default__`` is the main job: a folder in, a detector and a page out.

    The stages of a method are pipelines of their own for the recommended method, as far as it has them; of another,
    ``kedro run --pipelines=METHOD --tags=STAGE`` runs one."""
    return _pipelines(tuple(METHODS), tuple(PAPERS.values()))


@cache
def _pipelines(methods: tuple[str, ...], papers: tuple) -> LazyPipelines:
    """Return the pipelines of what is registered."""
    once = {name: partial(_once, name) for name in ONCE}
    stages = {name: partial(_stage, name) for name in STAGES if _has_stage(name)}
    judging = {"inspection": partial(_inspection, DEFAULT)}
    judging |= {f"{name}_inspection": partial(_inspection, name) for name in methods}
    alone = {name: partial(methods_with_report, (name,)) for name in methods}
    several = {paper.name: partial(methods_with_report, paper.methods) for paper in papers}
    return LazyPipelines(
        {
            **once,
            **stages,
            "reporting": partial(_reporting, (DEFAULT,)),
            **judging,
            **alone,
            **several,
            "__default__": partial(methods_with_report, (DEFAULT,)),
        }
    )


def _has_stage(name: str) -> bool:
    """Return True if the recommended method has such a stage: without a reconstructor nothing is cut or trained."""
    return name in ("embedding", "evaluation") or METHODS[DEFAULT].reconstructor is not None


def _once(name: str) -> Pipeline:
    from flawline.pipelines import defect_injection, ingestion, registration

    stages = {"ingestion": ingestion, "registration": registration, "defect_injection": defect_injection}
    return stages[name].create_pipeline()


def _stage(name: str) -> Pipeline:
    from flawline.pipelines.method import STAGES as MODULES

    return MODULES[name].create_pipeline(METHODS[DEFAULT])


def _reporting(methods: tuple[str, ...]) -> Pipeline:
    from flawline.pipelines import reporting

    return reporting.create_pipeline([METHODS[name] for name in methods])


def _inspection(method: str) -> Pipeline:
    from flawline.pipelines import inspection

    return inspection.create_pipeline(METHODS[method])


def methods_with_report(methods: tuple[str, ...]) -> Pipeline:
    """Return the pipeline from a raw folder to the report on some methods."""
    from flawline.pipelines.method import method_pipeline

    data = _once("ingestion") + _once("registration")
    return sum((method_pipeline(METHODS[name]) for name in methods), data) + _reporting(methods)
