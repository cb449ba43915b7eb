"""What tiles are worth: seconds and the largest anonymous memory of the pretrained network over one large grey image,
in tiles and whole, a process each; and the largest difference of what they give out, over its largest value.

    python tests/benchmarks/bench_tiles.py [--sides 1500 2000 4000]"""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
from measure import BASE

from flawline.methods import features
from flawline.methods.features import load_extractor


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[1500, 2000, 4000])
    parser.add_argument("--one", choices=("tiles", "whole"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(alone(args.sides[0], args.one))
        return
    for side in args.sides:
        for way in ("tiles", "whole"):
            command = [sys.executable, __file__, "--sides", str(side), "--one", way]
            print(f"{side} x {side}, {way}: {subprocess.check_output(command, text=True).strip()}", flush=True)
    print(
        f"{args.sides[-1]} x {args.sides[-1]}: largest difference {difference(args.sides[-1]):.1e} of the largest value"
    )


def alone(side, way):
    """Return seconds and peak of one look at an image, less what was taken before."""
    extractor, image = prepared(side, way)
    before, peaks, done = anonymous(), [], threading.Event()

    def watch():
        while not done.wait(0.01):
            peaks.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    extractor(image)
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    return f"{seconds:.1f} s, {max(peaks) - before:.0f} MB"


def prepared(side, way):
    """Return the network, which looks at images in tiles or whole, and an image."""
    features.pays = lambda *_: way == "tiles"
    image = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    return load_extractor(BASE.patch_memory_free.scorer.features), image


def difference(side):
    tiled, whole = (extractor(image) for extractor, image in (prepared(side, way) for way in ("tiles", "whole")))
    return max(float((one - other).abs().max() / other.abs().max()) for one, other in zip(tiled, whole, strict=True))


def anonymous():
    """Return the anonymous memory of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
