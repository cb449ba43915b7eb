"""Every one-class method on folders of different sizes: seconds to fit, images a second to score, anonymous memory.

Run: python tests/benchmarks/methods.py --images 200 2000 --side 256. Fitting runs from ingested images to what the
method learned. A method that sees the residual images of a reconstructor takes them as they lie there: their seconds
are in the reconstructor's own row. On every folder but the first the autoencoder trains a single epoch: it is there for
memory."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner
from memory import copy_project, draw, watch

from flawline.methods.registry import METHODS
from flawline.params import flatten
from flawline.training.compute import using_threads

SHORT = {"cpcae": {"train": {"epochs": 1}}}
CATEGORY = "many"
ONE_CLASS = [name for name, method in METHODS.items() if not method.raw_maps]


def main() -> None:
    arguments = parse()
    if arguments.child:
        fit_and_score(arguments.child, json.loads(arguments.params), arguments.scored)
        return
    print(f"{'images':>6}  {'method':22} {'fit':>9} {'score':>12} {'memory':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        for number, count in enumerate(arguments.images):
            measure(Path(scratch), count, arguments, SHORT if number else {})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--scored", type=int, default=50, help="how many images to score")
    parser.add_argument("--methods", nargs="+", default=ONE_CLASS, choices=ONE_CLASS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--params", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(scratch: Path, count: int, arguments: argparse.Namespace, short: dict[str, Any]) -> None:
    """Print a row a method, on ``count`` colour images in one project, ingested once."""
    project, raw = copy_project(scratch / f"project-{count}"), scratch / f"raw-{count}"
    draw(raw / "good", count, arguments.side, mode="RGB")
    params = {"category": CATEGORY, "raw": str(raw), "compute": {"threads": arguments.threads}, **short}
    given = ",".join(f"{name}={value}" for name, value in flatten(params).items())
    with (scratch / "ingestion.log").open("w") as log:
        subprocess.run([sys.executable, "-m", "kedro", "run", "--pipelines=ingestion", "--params", given],
                       cwd=project, stdout=log, stderr=log, check=True)  # fmt: skip
    for method in arguments.methods:
        command = [sys.executable, str(Path(__file__).resolve()), "--child", method, "--params", json.dumps(params),
                   "--scored", str(arguments.scored)]  # fmt: skip
        said = scratch / f"{count}-{method}.log"
        with said.open("w") as log:
            process = subprocess.Popen(command, cwd=project, stdout=log, stderr=log)
            peak = watch(process)
        if process.returncode:
            sys.exit(said.read_text()[-3000:])
        found = json.loads(said.read_text().splitlines()[-1])
        print(f"{count:>6}  {method:22} {found['fit']:>7.1f} s {found['rate']:>5.1f} images/s"
              f" {peak / 1e6:>6.0f} MB", flush=True)  # fmt: skip


def fit_and_score(method: str, params: dict[str, Any], scored: int) -> None:
    """Fit ``method`` in the project in the current folder; print its seconds and how many images a second it scores."""
    bootstrap_project(Path.cwd())
    fit = run(method, learned(method), params)
    run(method, f"{method}.detector", params)
    images, detector = load(params, "images", f"{method}.detector")
    chosen = [np.asarray(images[number]) for number in range(scored + 1)]
    with using_threads(params["compute"]["threads"]):
        scorer = detector.make_scorer()
        detector.score(chosen[0], scorer)  # builds the network
        start = time.perf_counter()
        for image in chosen[1:]:
            detector.score(image, scorer)
        took = time.perf_counter() - start
    print(json.dumps({"fit": fit, "rate": (len(chosen) - 1) / took}))


def learned(method: str) -> str:
    """Return the dataset in which all is that ``method`` learned."""
    row = METHODS[method]
    if row.scorer_class.learns or row.reconstructor is None:
        return f"{method}.one_class"
    return f"{row.reconstructor.name}.weights"


class TimedRunner(SequentialRunner):
    """Knows how long the nodes took, without what opening the project and tracking take."""

    seconds = 0.0

    def run(self, *arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return super().run(*arguments, **options)
        finally:
            self.seconds = time.perf_counter() - start


def run(pipeline: str, output: str, params: dict[str, Any]) -> float:
    """Run what is missing for ``output``; return the seconds of the nodes."""
    runner = TimedRunner()
    with session(params) as opened:
        opened.run(pipeline_names=[pipeline], runner=runner, to_outputs=[output], only_missing_outputs=True)
    return runner.seconds


def load(params: dict[str, Any], *names: str) -> list[Any]:
    with session(params) as opened:
        catalog = opened.load_context().catalog
        return [catalog.load(name) for name in names]


def session(params: dict[str, Any]) -> KedroSession:
    return KedroSession.create(project_path=Path.cwd(), runtime_params=params)


if __name__ == "__main__":
    main()
