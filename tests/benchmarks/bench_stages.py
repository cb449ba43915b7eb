"""Where the time of an inspection goes: reading, decoding, alignment, network, search, map and verdict, pictures,
storing, page, and what Kedro and MLflow take beside.

The detector is a finished one of this project, and the command that `make inspect` gives is run in this process, with
one worker, so that times add up. The network's time is that of its engine, the search is the comparison of features
with those that are kept.

    python tests/benchmarks/bench_stages.py CATEGORY FOLDER [--method patch_memory] [--copies 1]
        [--params compute.engine=torch]

With --copies the images of FOLDER are judged so many times over, as copies in a temporary folder."""

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from functools import wraps
from pathlib import Path

from bench_orientation import SUFFIXES
from measure import PROJECT

from flawline.methods.registry import get_method

STEPS = ("reading", "decoding", "alignment", "network", "search", "map and verdict", "pictures", "storing", "page")


class Clock:
    """Seconds by step, of functions that were replaced by ones that are timed."""

    def __init__(self):
        self.took = Counter()

    def time(self, owner, name, step):
        inner = getattr(owner, name)

        @wraps(inner)
        def timed(*args, **kwargs):
            begun = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.took[step] += time.perf_counter() - begun

        setattr(owner, name, timed)


def watch(method):
    """Return a clock of what an inspection by a method calls."""
    from flawline.datasets.inspected import InspectedDataset, Journal
    from flawline.detector import inspecting, judging
    from flawline.methods.features import FeatureExtractor
    from flawline.pipelines.inspection import pipeline
    from flawline.vision.alignment import Aligner

    clock = Clock()
    for name in ("read_bytes", "content_digest"):
        clock.time(inspecting, name, "reading")
    clock.time(judging, "decode", "decoding")
    for name in ("align", "warp", "unwarp", "seen"):
        clock.time(Aligner, name, "alignment")
    clock.time(FeatureExtractor, "__call__", "network")
    if hasattr(get_method(method).scorer_class, "distances"):
        clock.time(get_method(method).scorer_class, "distances", "search")
    clock.time(judging.Judge, "judge_file", "judging")
    clock.time(inspecting, "draw", "pictures")
    clock.time(Journal, "append", "storing")
    clock.time(InspectedDataset, "save", "inspecting")
    clock.time(pipeline, "inspection_page", "page")
    return clock


def copied(folder, copies, target):
    """Put so many copies of the images of a folder into another; return how many images there are."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    for copy in range(copies):
        for number, path in enumerate(files):
            shutil.copy(path, target / f"{copy:03d}-{number:04d}{path.suffix}")
    return copies * len(files)


def shares(took, total):
    """Return the seconds of each step, none counted twice."""
    found = {step: took[step] for step in STEPS}
    inside = sum(took[step] for step in ("decoding", "alignment", "network", "search"))
    found["map and verdict"] = took["judging"] - inside
    found["the rest of the command: Kedro, MLflow, imports, the detector"] = total - sum(found.values())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("category")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", default="patch_memory")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--params", default="compute.engine=auto")
    args = parser.parse_args()
    begun = time.perf_counter()
    from flawline.cli import run

    clock = watch(args.method)
    os.chdir(PROJECT)
    with tempfile.TemporaryDirectory() as scratch:
        copying = time.perf_counter()
        count = copied(args.folder.resolve(), args.copies, Path(scratch))
        copying = time.perf_counter() - copying
        given = f"category={args.category},images={scratch},compute.threads=1,{args.params}"
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(PROJECT)
        run.main([f"--pipelines={args.method}_inspection", "--params", given], standalone_mode=False)
    total = time.perf_counter() - begun - copying
    rate = count / clock.took["inspecting"]
    print(f"\n{count} images in {total:.1f} s, {rate:.1f} images a second while they are judged")
    for step, seconds in shares(clock.took, total).items():
        print(f"{step:<62} {seconds:8.1f} s {1000 * seconds / count:8.2f} ms an image {seconds / total:6.1%}")


if __name__ == "__main__":
    main()
