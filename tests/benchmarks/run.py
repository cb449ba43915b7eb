"""Measure the hot paths against what the machine can do, and print one table: python tests/benchmarks/run.py."""

import argparse
import importlib
import logging
import os
import platform
import sys
import time
from pathlib import Path

import torch

from flawline.workers import cores

PARTS = ("ingestion", "training", "scoring", "patches", "defects", "features", "one_class", "overhead")
SHARED = Path(__file__).parents[1] / "shared_fixtures"  # what the tests have too


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be given more than once")
    parts = parser.parse_args().only or PARTS
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {cores()} cores, torch {torch.__version__}, load {load}")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # or it tells of every precision
    sys.path.append(str(SHARED))
    start = time.perf_counter()
    print(f"{'what':<62} {'absolute':>22} {'floor':>18} {'share':>7}")
    for part in parts:
        for row in importlib.import_module(f"bench_{part}").rows():
            print(row, flush=True)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{time.perf_counter() - start:.0f} s, load {load}")


if __name__ == "__main__":
    main()
