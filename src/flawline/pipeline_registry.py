"""Every pipeline by name: the main job and its stages, every method and every paper from a raw folder to a page."""

from kedro.pipeline import Pipeline

from flawline.methods.registry import AUTOENCODERS, METHODS, ONE_CLASS, Method
from flawline.pipelines import defect_injection, ingestion, inspection, registration, reporting
from flawline.pipelines.method import STAGES, method_pipeline

PAPERS = {  # the paper's methods in its order, then those it is compared with here
    "schneider2022": tuple(AUTOENCODERS),
    "saeedi2022": tuple(ONE_CLASS),
}
DEFAULT = "cae"  # the method of the main job, of its stages and of the pipeline inspection


def register_pipelines() -> dict[str, Pipeline]:
    """Return the registered pipelines. ``__default__`` is the main job: a folder in, a detector and a page out."""
    once = {
        "ingestion": ingestion.create_pipeline(),
        "registration": registration.create_pipeline(),
        "defect_injection": defect_injection.create_pipeline(),
    }
    data = once["ingestion"] + once["registration"]
    main = METHODS[DEFAULT]
    stages = {name: stage.create_pipeline(main) for name, stage in STAGES.items()}
    alone = {name: data + methods_with_report([spec]) for name, spec in METHODS.items()}
    papers = {name: data + methods_with_report([METHODS[m] for m in methods]) for name, methods in PAPERS.items()}
    judging = {"inspection": inspection.create_pipeline(main)}
    judging |= {f"{name}_inspection": inspection.create_pipeline(spec) for name, spec in METHODS.items()}
    report = {"reporting": reporting.create_pipeline([main])}
    default = alone[DEFAULT] + once["defect_injection"]
    return {**once, **stages, **report, **judging, **alone, **papers, "__default__": default}


def methods_with_report(specs: list[Method]) -> Pipeline:
    """Return the pipelines of some methods and the report on them all."""
    return sum((method_pipeline(spec) for spec in specs), Pipeline([])) + reporting.create_pipeline(specs)
