"""Damage files of every format and count what flawline makes of them: python tests/fuzz/run.py --files 10000 --seed 0

Exit code 1 if a file ends the process by a signal, raises another error than the one that quarantines it, takes longer
than 10 s, or is decoded to other pixels though the file itself proves that it is damaged."""

import argparse
import hashlib
import os
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from knowable import known_damage
from mutate import HEIGHT, PNG_START, WIDTH, Original, mutant, originals, png_chunk, texture

from flawline.checks import FlawlineError
from flawline.conf import read_parameters
from flawline.intake.decoding import UnreadableImageError, count_pages, decode, encode_png
from flawline.intake.layouts import list_raw_folder
from flawline.intake.masks import MaskSource, read_mask_source
from flawline.intake.measuring import measure_file

INGESTION = read_parameters(Path(__file__).parents[2]).ingestion
MAX_PIXELS = INGESTION.max_pixels
TIME_LIMIT = 10.0  # seconds a file
BAD = ("silent, knowable", "foreign exception", "crash", "hang")
COLUMNS = ("files", "refused", "same pixels", "other pixels", *BAD)


@dataclass(frozen=True)
class Outcome:
    """What became of one file; ``detail`` is the reason's class, or what went wrong."""

    kind: str
    what: str  # one of COLUMNS but the first
    detail: str
    seconds: float
    rss: int  # peak of the worker so far, KiB


# --- one file --------------------------------------------------------------------------------------------------------
def judge(number: int, seed: int) -> Outcome:
    original, content = mutant(number, seed)
    start = time.perf_counter()
    try:
        what, detail = _compare(original, content)
    except FlawlineError as error:
        what, detail = "refused", class_of(str(error))
    except Exception as error:
        what, detail = "foreign exception", f"{number} {original.name}: {type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    return Outcome(original.kind, what, detail, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _compare(original: Original, content: bytes) -> tuple[str, str]:
    if read(original.reads, content) == _original_pixels(original):
        return "same pixels", ""
    proof = known_damage(original.kind, content)
    return ("silent, knowable", f"{original.name}: {proof}") if proof else ("other pixels", original.name)


@cache
def _original_pixels(original: Original) -> str:
    return read(original.reads, original.content)


def read(reads: str, content: bytes) -> str:
    """Return the digest of what is read; raise FlawlineError if a page or all of it is refused."""
    if "." in reads:
        return _labelled(reads, content)
    if reads == "mask":
        return digest([MaskSource(("mask",), (content,)).pixels((HEIGHT, WIDTH), max_pixels=MAX_PIXELS)])
    reasons = [each.reason for each in measure_file(content, "", max_pixels=MAX_PIXELS)]
    if any(reasons):
        raise UnreadableImageError(max(reasons))
    pages = count_pages(content)
    numbers = range(1, pages + 1) if pages > 1 else [None]
    return digest([decode(content, max_pixels=MAX_PIXELS, page=page) for page in numbers])


def _labelled(name: str, content: bytes) -> str:
    """Return the digest of what the file ``name`` says of 1.png; raise FlawlineError if that cannot be used."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / name).write_bytes(content)
        for image in ("0.png", "1.png"):
            (folder / image).write_bytes(picture())
        if name == "1.xml":
            (folder / "0.xml").write_text("<annotation/>")
        files = {file.path: file for file in list_raw_folder(folder, INGESTION).files}
        image = files["1.png"]
        if image.unusable:
            raise UnreadableImageError(image.unusable)
        if image.mask is None:
            return f"label {image.label}"
        source = read_mask_source(folder, image.mask, image.path)
        return digest([source.pixels((HEIGHT, WIDTH), max_pixels=MAX_PIXELS)])


@cache
def picture() -> bytes:
    return encode_png(texture()[None])


def digest(arrays: list[np.ndarray]) -> str:
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    return whole.hexdigest()


def class_of(reason: str) -> str:
    """Return a reason without its particulars: numbers, paths, what stands in quotes or behind a colon."""
    plain = re.sub(r"(/\S+|b?'[^']*'|\"[^\"]*\")", "...", reason.split("\n")[0])
    return re.sub(r"-?\d[\d.e+]*", "N", plain)[:60]


# --- many files, in processes that may die ---------------------------------------------------------------------------
class Worker:
    """A process that judges one file at a time; one that dies or hangs is replaced."""

    def __init__(self, seed: int):
        self.seed = seed
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, self.seed), daemon=True)
        self.process.start()
        other.close()
        self.base = self.pipe.recv()

    def judge(self, number: int) -> Outcome:
        kind = originals()[number % len(originals())].kind
        self.pipe.send(number)
        try:
            if self.pipe.poll(TIME_LIMIT):
                return self.pipe.recv()
            self.process.kill()
            outcome = Outcome(kind, "hang", f"file {number}", TIME_LIMIT, 0)
        except (EOFError, ConnectionError):
            self.process.join()
            outcome = Outcome(kind, "crash", f"file {number}, signal {-(self.process.exitcode or 0)}", 0, 0)
        self._start()
        return outcome

    def stop(self) -> None:
        self.pipe.send(None)
        self.process.join()


def _serve(pipe, seed: int) -> None:
    for original in originals():
        _original_pixels(original)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    while (number := pipe.recv()) is not None:
        pipe.send(judge(number, seed))


def judge_all(files: int, seed: int, workers: int) -> tuple[list[Outcome], int]:
    """Return the outcomes and the memory of a worker before its first file, KiB."""
    pool = [Worker(seed) for _ in range(workers)]
    with ThreadPoolExecutor(workers) as threads:
        shares = [range(k, files, workers) for k in range(workers)]
        outcomes = threads.map(lambda worker, share: [worker.judge(number) for number in share], pool, shares)
        found = [outcome for share in outcomes for outcome in share]
    for worker in pool:
        worker.stop()
    return found, max(worker.base for worker in pool)


# --- what is printed -------------------------------------------------------------------------------------------------
def table(outcomes: list[Outcome]) -> list[str]:
    lines = [f"{'format':<8}" + "".join(f"{name:>18}" for name in COLUMNS) + f"{'slowest, ms':>14}"]
    for kind in [*dict.fromkeys(original.kind for original in originals()), "all"]:
        some = [each for each in outcomes if kind in (each.kind, "all")]
        counts = Counter(each.what for each in some) + Counter(files=len(some))
        slowest = max((each.seconds for each in some), default=0) * 1000
        lines.append(f"{kind:<8}" + "".join(f"{counts[name]:>18}" for name in COLUMNS) + f"{slowest:>14.0f}")
    return lines


def reasons(outcomes: list[Outcome], shown: int = 25) -> list[str]:
    counts = Counter((each.kind, each.detail) for each in outcomes if each.what == "refused")
    lines = [f"{count:>6}  {kind:<8} {reason}" for (kind, reason), count in counts.most_common(shown)]
    return ["refused because:", *lines, f"        and {max(0, len(counts) - shown)} rarer reasons"]


def refuse_huge_header(max_pixels: int) -> str:
    """Return how long it takes to refuse a PNG of 30,000 x 30,000 pixels that are not there."""
    header = (30_000).to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    chunks = ((b"IHDR", header), (b"IDAT", bytes(1000)), (b"IEND", b""))
    content = PNG_START + b"".join(png_chunk(*chunk) for chunk in chunks)
    start = time.perf_counter()
    try:
        decode(content, max_pixels=max_pixels)
    except UnreadableImageError as error:
        milliseconds = (time.perf_counter() - start) * 1000
        return f"a PNG of 30,000 x 30,000 is refused in {milliseconds:.1f} ms: {error}"
    raise SystemExit("a PNG of 30,000 x 30,000 pixels in 1,000 bytes was decoded")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    start = time.perf_counter()
    outcomes, base = judge_all(options.files, options.seed, options.workers)
    seconds = time.perf_counter() - start
    bad = [each for each in outcomes if each.what in BAD]
    print("\n".join([*table(outcomes), "", *reasons(outcomes), ""]))
    print("\n".join(f"{each.kind}, {each.what}: {each.detail}" for each in bad[:50]))
    peak = max(each.rss for each in outcomes)
    print(f"{seconds:.0f} s, {len(outcomes) / seconds:.0f} files a second on {options.workers} workers")
    print(f"peak memory of a worker {peak / 1024:.0f} MiB, {base / 1024:.0f} MiB of it before the first damaged file")
    print("\n".join(map(refuse_huge_header, (MAX_PIXELS, 10**10))))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
