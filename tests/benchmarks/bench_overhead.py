"""What Kedro and MLflow cost: the run that `make run` makes, in a copy of the project, and where its time goes."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import Row

PROJECT = Path(__file__).parents[2]
COPIED = ("pyproject.toml", "conf", "src", ".telemetry")

# Runs Kedro in this process and times what it calls. Time in a node that reads lazily counts where it is spent.
TIMED = """
import time
begin = time.perf_counter()
import json, sys
from collections import Counter
from functools import wraps
from pathlib import Path
took = Counter()

inside = Counter()

def timed(owner, name, key):
    inner = getattr(owner, name)
    @wraps(inner)  # by whose marks a hook is known
    def outer(*arguments, **named):
        inside[key] += 1
        start = time.perf_counter()
        try:
            return inner(*arguments, **named)
        finally:
            inside[key] -= 1
            if not inside[key]:  # what calls itself is counted once
                took[key] += time.perf_counter() - start
    setattr(owner, name, outer)

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro.pipeline.node import Node
import kedro.framework.session.session as session_module
bootstrap_project(Path.cwd())
from kedro.framework.project import pipelines
list(pipelines)
import flawline.hooks.tracking
import torch
took["import"] = time.perf_counter() - begin
import flawline.hooks.tracked_run
took["mlflow"] = time.perf_counter() - begin - took["import"]

timed(flawline.hooks.tracked_run, "reason_against", "gate")
timed(Node, "run", "nodes")
timed(DataCatalog, "load", "datasets")
timed(DataCatalog, "save", "datasets")
HOOKS = ("before_pipeline_run", "before_node_run", "after_node_run", "after_dataset_loaded", "after_dataset_saved",
         "after_pipeline_run")
for name in HOOKS:
    timed(flawline.hooks.tracking.TrackingHook, name, "tracking")
start = time.perf_counter()
asked = {"category": "chess", "seed": 0, "registration": {"align": "auto"}}
with KedroSession.create(project_path=Path.cwd(), runtime_params=asked) as session:
    timed(type(session), "load_context", "context")
    session.run()
took["session"] = time.perf_counter() - start
took["total"] = time.perf_counter() - begin
print("TIMES " + json.dumps(took))
"""


def timed_run(project: Path) -> dict[str, float]:
    """Run the smoke environment in ``project`` and return the seconds of each part."""
    done = subprocess.run([sys.executable, "-c", TIMED], cwd=project, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("TIMES ")]
    if not lines:
        raise RuntimeError(f"the run failed:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1].removeprefix("TIMES "))


def copy_project(folder: Path) -> None:
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        copy_project(Path(name))
        for which in ("first run, new tracking store", "second run"):
            yield from run_rows(which, timed_run(Path(name)))


def run_rows(which: str, took: dict[str, float]) -> Iterator[Row]:
    total = took["total"]
    hooks = took["session"] - took["context"] - took["nodes"] - took["datasets"] - took["tracking"]
    parts = {
        "import": took["import"],
        "context, catalog and parameters": took["context"],
        "import of MLflow": took["mlflow"],
        "tracking": took["tracking"] - took["gate"],
        "the gate before a model": took["gate"],
        "other hooks, runner": hooks,
        "datasets, lazy work in them included": took["datasets"],
        "nodes": took["nodes"],
    }
    yield Row(f"make run, {which}: in all", f"{total:.1f} s")
    for part, value in parts.items():
        yield Row(f"  {part}", f"{value:.1f} s", "", value / total)
