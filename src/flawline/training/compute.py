"""The machine under the training loop: device, threads chosen by measurement, memory that is not given back."""

import ctypes
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from typing import Protocol

import torch
from threadpoolctl import threadpool_limits

from flawline.checks import FlawlineError
from flawline.params import ComputeParams
from flawline.training.runtime import Runtime, check_engine, is_installed
from flawline.workers import Item, Result, by_threads, cores

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
ENOUGH = 0.15  # a thread more must make a step this much faster, or the fewer win: they leave room for others


class Machine(Protocol):
    """Remembers what was measured on this machine."""

    def recall(self, key: str) -> int | None: ...

    def remember(self, key: str, value: int) -> None: ...


class Forgetful:
    def recall(self, key: str) -> int | None:
        return None

    def remember(self, key: str, value: int) -> None:
        pass


def pick_runtime(compute: ComputeParams) -> Runtime:
    """Return where frozen networks run, and by what: where that is left open OpenVINO, if it is installed and they run
    on the CPU. Raise FlawlineError if what is asked for is not there."""
    device = pick_device(compute)
    if compute.engine != "auto":
        check_engine(compute.engine, device)
        return Runtime(device, compute.engine)
    return Runtime(device, "openvino" if device == "cpu" and is_installed("openvino") else "torch")


def pick_device(compute: ComputeParams) -> str:
    """Return 'cuda' or 'cpu'. Raise FlawlineError if 'cuda' is asked for and there is none."""
    available = torch.cuda.is_available()
    if compute.device == "auto":
        return "cuda" if available else "cpu"
    if compute.device == "cuda" and not available:
        raise FlawlineError("compute.device is cuda, but PyTorch finds no CUDA device here; set it to auto or cpu")
    return compute.device


def pick_threads(compute: ComputeParams, work: Callable[[], object], machine: Machine, key: str) -> int:
    """Return the number of threads: the parameter's, the remembered, or the fastest measured on ``work``.

    On busy cores two threads can be slower than one, and a result's last bits depend on the number, so it is measured
    once and then remembered under ``key``."""
    if compute.threads != "auto":
        return compute.threads
    known = machine.recall(key)
    if known is None:
        known = fastest_threads(work)
        machine.remember(key, known)
    return known


def fastest_threads(work: Callable[[], object]) -> int:
    """Return the number of threads, a power of two up to all cores, from which more are not clearly faster."""
    best, best_seconds = 1, seconds(work, 1)
    candidate = 2
    while candidate <= cores():
        now = seconds(work, candidate)
        if now > best_seconds * (1 - ENOUGH):
            break
        best, best_seconds, candidate = candidate, now, candidate * 2
    return best


def seconds(work: Callable[[], object], threads: int, *, repeats: int = 3) -> float:
    """Return the seconds of the fastest of ``repeats`` calls of ``work`` with ``threads``, after one to warm up."""
    with using_threads(threads):
        work()
        return min(_time(work) for _ in range(repeats))


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Let torch use ``threads`` inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and NumPy use one thread inside the block: what comes of it does not depend on the machine's cores."""
    with using_threads(1), threadpool_limits(1, "blas"):
        yield


def as_asked(compute: ComputeParams) -> AbstractContextManager:
    """Let torch use ``compute.threads`` inside the block; auto: those it has already."""
    return nullcontext() if compute.threads == "auto" else using_threads(compute.threads)


def workers_of(compute: ComputeParams) -> int:
    """Return how many images are worked on at once: ``compute.threads``, else as many as there are cores."""
    return cores() if compute.threads == "auto" else compute.threads


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Yield ``work(item)`` of each item, in their order, from so many threads at once, of which torch uses one each:
    for a network that looks at one image more threads are hardly faster, and the last bits do not depend on how many
    there are. At most two items a worker are ahead of what was taken."""
    if workers == 1:
        with using_threads(1):
            yield from map(work, items)
        return
    with threadpool_limits(1, "blas"):  # NumPy's, whose threads wait for work by using up the cores
        yield from by_threads(work, items, workers=workers, setup=partial(torch.set_num_threads, 1))


@cache
def keep_memory() -> bool:
    """Tell glibc to keep freed blocks instead of returning them to the system; return whether it did.

    A training step frees and takes the same large blocks again and again; fetching them from the system costs a page
    fault each 4 KiB, a third of a step's time as measured (tests/benchmarks). No effect outside Linux with glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 1 << 30) and mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1))


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
