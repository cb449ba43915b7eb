"""Images a second from a file to its verdict, by engine, precision and number of workers, with what that changes.

A method learns the good training images of a category laid out as MVTec AD (FOLDER/train/good, FOLDER/test/CLASS), is
calibrated by every fifth of them, and judges the test images as an inspection does: decoded, scored, judged, pictures
of what does not pass drawn and encoded. Beside the images a second: the AUROC, the largest difference of a score from
that of torch in float32, in reject thresholds, and how many verdicts are others than with it.

    python tests/benchmarks/bench_inspection.py FOLDER [FOLDER ...] [--method patch_memory] [--repeats 3] [--good]

With --good the good training images are judged instead, as in a line most parts are good; then there is no AUROC.
Photographs are taken as they are, not aligned."""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_calibration import images_of
from bench_orientation import MANY
from measure import PROJECT

from flawline.conf import read_tree
from flawline.detector.file import Detector
from flawline.detector.inspecting import inspect_file
from flawline.detector.judging import Judge
from flawline.detector.thresholds import calibrate
from flawline.intake.decoding import decode
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.one_class import IMAGE
from flawline.methods.registry import get_method
from flawline.metrics.images import image_metrics
from flawline.params import ComputeParams
from flawline.storage.tensors import packed
from flawline.training.compute import pick_runtime, side_by_side
from flawline.training.runtime import is_installed
from flawline.workers import cores

WAYS = (("torch", "float32"), ("openvino", "float32"), ("torch", "bfloat16"), ("openvino", "bfloat16"))
HELD_OUT = 5  # every so manieth good image calibrates


def detector_of(method, images, engine, precision):
    """Return the detector that a method makes of good images (C, H, W) with an engine."""
    spec, scorer = get_method(method), read_tree(PROJECT)[method]["scorer"]
    scorer["features"]["precision"] = precision
    model = spec.make_scorer(scorer, runtime=pick_runtime(ComputeParams(device="cpu", engine=engine)))
    plain = InputSequence((IMAGE,), images, range(len(images)))
    inputs = replace(plain, embeddings=list(embed_all(model, plain, batch_size=1, workers=cores())))
    held = list(range(0, len(images), HELD_OUT))
    state = model.fit(replace(inputs, rows=sorted(set(range(len(images))) - set(held))), seed=0)
    found = [model.score(state, inputs[k]) for k in held]
    scores, sizes = [each.score for each in found], [image.shape[1:] for image in images]
    levels = calibrate(scores, target_overkill=0.05, review_overkill=0.1,
                       map_maxima=[float(each.map.max()) for each in found])  # fmt: skip
    bits = 8 * images[0].itemsize
    return Detector(
        method=method, category="bench", params={"scorer": spec.typed(scorer).model_dump(mode="json")},
        channels=len(images[0]), depth=bits, bits=bits, smallest=tuple(np.min(sizes, axis=0).tolist()),
        largest=tuple(np.max(sizes, axis=0).tolist()), review_overkill=0.1, thresholds=levels,
        calibration_scores=tuple(scores), weights=packed({"one_class": state}),
    )  # fmt: skip


def inspected(folder, files, judge, workers):
    """Return (scores, verdicts, images a second) of files."""
    begun = time.perf_counter()
    made = side_by_side(lambda file: list(inspect_file(folder, file, judge)), files, workers=workers)
    rows = [each.row for some in made for each in some]
    return [row["score"] for row in rows], [row["verdict"] for row in rows], len(rows) / (time.perf_counter() - begun)


def bench(folder, method, repeats, only_good):
    """Print the lines of a category."""
    good, bad = images_of(folder)
    train = [decode(path.read_bytes(), max_pixels=MANY) for path in good if path.parent.parent.name == "train"]
    tests = [*(path for path in good if path.parent.parent.name == "test"), *bad]
    tests = [path for path in good if path not in tests] if only_good else tests
    labels, files = np.array([path in bad for path in tests], int), [str(each.relative_to(folder)) for each in tests]
    ways = [way for way in WAYS if is_installed(way[0])]
    judges = {}
    for way in ways:
        detector = detector_of(method, train, *way)
        judges[way] = Judge(detector, compute=ComputeParams(device="cpu", engine=way[0]))
        inspected(folder, files[:4], judges[way], 1)  # what is compiled is compiled
    counts = sorted({1, cores()})
    runs = {(way, workers): [] for way in ways for workers in counts}
    for _ in range(repeats):  # in turn, since the machine is not the same all the time
        for (way, workers), made in runs.items():
            made.append(inspected(folder, files, judges[way], workers))
    first_scores, first_verdicts, _ = runs[ways[0], 1][0]
    for (way, workers), made in runs.items():
        scores, verdicts, _ = made[0]
        auroc = np.nan if only_good else image_metrics(np.array(scores), labels, np.inf)[0]["image_auroc"]
        off = np.abs(np.subtract(scores, first_scores)).max() / judges[ways[0]].thresholds.reject.value
        others = sum(map(str.__ne__, verdicts, first_verdicts))
        print(f"{folder.name:<12} {way[0]:<9} {way[1]:<9} {workers:>7} {max(rate for *_, rate in made):>9.1f}"
              f"{auroc:>8.4f}{off:>10.1e}{others:>8} of {len(files)}", flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--method", default="patch_memory")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--good", action="store_true")
    args = parser.parse_args()
    print(f"{'category':<12} {'engine':<9} {'precision':<9} workers  images/s   AUROC score off  other verdicts")
    for folder in args.folders:
        bench(folder, args.method, args.repeats, args.good)


if __name__ == "__main__":
    main()
