"""Whether a detector says the same of every photograph, whatever engine runs its network and wherever it is served.

The detector is a finished one of this project. Each photograph below the folders is judged by it with every engine
that is installed, and by the model that MLflow keeps of it, served over HTTP. Told are the largest difference of a
score from that of the engine that it was calibrated with, in reject thresholds, and how many verdicts are others.

    python tests/benchmarks/bench_parity.py CATEGORY FOLDER [FOLDER ...] [--method auto] [--seed 0] [--port 5055]"""

import argparse
import base64
import json
import os
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from bench_orientation import SUFFIXES
from measure import PROJECT

from flawline.detector.file import load_detector
from flawline.detector.judging import Judge
from flawline.params import ComputeParams
from flawline.storage.digests import file_digest
from flawline.training.compute import keep_memory, one_thread
from flawline.training.runtime import is_installed

BATCH = 8  # photographs of one request
START = 120  # seconds until a server answers


def detector_file(category, method, seed):
    """Return the newest detector of a category in this project."""
    folder = PROJECT / f"data/06_models/{category}/seed-{seed}/{method}/detector.safetensors"
    found = sorted(folder.glob("*/detector.safetensors"))
    if not found:
        raise SystemExit(f"no detector in {folder}: make run CATEGORY={category} first")
    return found[-1]


def model_of(detector):
    """Return the folder of the model that MLflow keeps of a detector's file."""
    digest = file_digest(detector)
    models = (PROJECT / "mlruns").glob("**/*.safetensors")
    kept = next((path for path in models if file_digest(path) == digest), None)
    if kept is None:
        raise SystemExit(f"MLflow keeps no model of {detector} in this project's mlruns")
    return next(folder for folder in kept.parents if (folder / "MLmodel").exists())


@contextmanager
def served(model, port):
    """Serve a model, and yield what judges the contents of files by it: their scores and verdicts."""
    command = ["mlflow", "models", "serve", "-m", model, "-p", port, "--env-manager", "local"]
    by_name = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # as it starts it
    server = subprocess.Popen(
        list(map(str, command)), env=by_name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/ping", server)
        yield lambda contents: asked(f"{url}/invocations", contents)
    finally:
        server.terminate()
        server.wait()


def wait_for(url, server):
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        try:
            with closing(urlopen(url, timeout=5)):
                return
        except URLError:
            time.sleep(0.5)
    raise SystemExit(f"the model's server did not answer at {url}")


def asked(url, contents):
    """Return (score, verdict) of each file's content, as a server says."""
    said = []
    for first in range(0, len(contents), BATCH):
        rows = [[base64.b64encode(each).decode()] for each in contents[first : first + BATCH]]
        body = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
        with closing(urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=300)) as answer:
            said += [(row["score"], row["verdict"]) for row in json.load(answer)["predictions"]]
    return said


def judged(detector, contents, engine):
    """Return (score, verdict) of each file's content, as this process says."""
    judge = Judge(detector, compute=ComputeParams(device="cpu", engine=engine))
    made = [judge.judge_file(content).judgement for content in contents]
    return [(each.score, each.verdict) for each in made], judge.scorer.engine


def compared(said, wanted, threshold):
    """Return (largest difference of a score, in thresholds, how many verdicts differ)."""
    pairs = [(one[0], other[0]) for one, other in zip(said, wanted, strict=True) if None not in (one[0], other[0])]
    off = max((abs(one - other) for one, other in pairs), default=0.0) / abs(threshold)
    return off, sum(one[1] != other[1] for one, other in zip(said, wanted, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("category")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=5055)
    args = parser.parse_args()
    path = detector_file(args.category, args.method, args.seed)
    detector = load_detector(path)
    every = (each for folder in args.folders for each in folder.rglob("*"))
    files = sorted(each for each in every if each.suffix.lower() in SUFFIXES)
    contents = [each.read_bytes() for each in files]
    keep_memory()
    with one_thread():
        made = {engine: judged(detector, contents, engine) for engine in ("torch", "openvino") if is_installed(engine)}
    said = {told: found for found, told in made.values()}
    with served(model_of(path), args.port) as judge:
        said["served over HTTP"] = judge(contents)
    calibrated_with = detector.about.get("engine", next(iter(said)))
    wanted = said.get(calibrated_with) or next(iter(said.values()))
    print(f"{args.category}, {args.method}, calibrated with {calibrated_with}: {len(files)} photographs, of which "
          f"{sum(verdict == 'not_judged' for _, verdict in wanted)} are not judged")  # fmt: skip
    for name, found in said.items():
        off, others = compared(found, wanted, detector.thresholds.reject.value)
        print(f"{name:<40} scores off by up to {off:.1e} thresholds, {others} verdicts are others")


if __name__ == "__main__":
    main()
