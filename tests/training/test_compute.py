import itertools
import subprocess
import sys
import threading
import time

import pytest
import torch
from threadpoolctl import threadpool_info

from flawline.checks import FlawlineError
from flawline.params import ComputeParams
from flawline.training import compute
from flawline.training.compute import (
    Forgetful,
    fastest_threads,
    keep_memory,
    pick_device,
    pick_threads,
    side_by_side,
    using_threads,
)


class Memory:
    def __init__(self, **known):
        self.known = known

    def recall(self, key):
        return self.known.get(key)

    def remember(self, key, value):
        self.known[key] = value


@pytest.fixture
def eight_cores(monkeypatch):
    """Return a function that sets the seconds that work takes with 1, 2, 4, ... threads of eight cores."""
    asked = []

    def set_seconds(*values):
        table = dict(zip((1, 2, 4, 8), values, strict=False))
        monkeypatch.setattr(compute, "cores", lambda: 8)
        monkeypatch.setattr(compute, "seconds", lambda work, threads: asked.append(threads) or table[threads])
        return asked

    return set_seconds


def work():
    pass


@pytest.mark.parametrize(
    ("seconds", "threads"),
    [
        ((1.0, 1.6), 1),  # two get in each other's way
        ((1.0, 0.9), 1),  # a tenth is not worth a core
        ((1.0, 0.6, 0.55), 2),
        ((1.0, 0.6, 0.35, 0.2), 8),
    ],
)
def test_more_threads_are_taken_while_they_are_clearly_faster(eight_cores, seconds, threads):
    asked = eight_cores(*seconds)
    assert fastest_threads(work) == threads
    assert len(asked) == len(seconds)  # and no more are tried


def test_one_core_has_one_thread(monkeypatch):
    monkeypatch.setattr(compute, "cores", lambda: 1)
    monkeypatch.setattr(compute, "seconds", lambda work, threads: 1.0)
    assert fastest_threads(work) == 1


def test_threads_are_measured_once_and_remembered(eight_cores):
    asked, memory = eight_cores(1.0, 0.5, 0.5), Memory()
    assert pick_threads(ComputeParams(), work, memory, "step") == 2
    assert memory.known == {"step": 2}
    assert pick_threads(ComputeParams(), work, memory, "step") == 2
    assert asked == [1, 2, 4]


def test_what_was_remembered_of_other_work_does_not_count(eight_cores):
    eight_cores(1.0, 1.0)
    assert pick_threads(ComputeParams(), work, Memory(other=8), "step") == 1


def test_threads_given_are_taken_unmeasured(eight_cores):
    asked, memory = eight_cores(1.0, 1.0), Memory(step=2)
    assert pick_threads(ComputeParams(threads=5), work, memory, "step") == 5
    assert (asked, memory.known) == ([], {"step": 2})


def test_forgetful_measures_every_time(eight_cores):
    asked = eight_cores(1.0, 1.0)
    pick_threads(ComputeParams(), work, Forgetful(), "step")
    pick_threads(ComputeParams(), work, Forgetful(), "step")
    assert asked == [1, 2, 1, 2]


def test_seconds_are_of_the_fastest_call_after_one_to_warm_up(monkeypatch):
    clock = iter([0, 5, 10, 12, 20, 24])  # three timed calls of 5, 2 and 4 seconds
    monkeypatch.setattr(compute.time, "perf_counter", lambda: next(clock))
    calls = []
    assert compute.seconds(lambda: calls.append(torch.get_num_threads()), 1) == 2
    assert calls == [1, 1, 1, 1]


def test_threads_are_put_back_also_after_an_error():
    before = torch.get_num_threads()
    with using_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(RuntimeError, match="oh"), using_threads(before + 1):
        raise RuntimeError("oh")
    assert torch.get_num_threads() == before


def test_device_is_the_parameters_or_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [pick_device(ComputeParams(device=name)) for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [pick_device(ComputeParams(device=name)) for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(FlawlineError, match=r"compute\.device is cuda, but PyTorch finds no CUDA device"):
        pick_device(ComputeParams(device="cuda"))


def test_keep_memory_says_whether_it_did():
    assert keep_memory() in (True, False)
    assert keep_memory() is keep_memory()


def test_keep_memory_does_nothing_outside_linux(monkeypatch):
    monkeypatch.setattr(compute.sys, "platform", "darwin")
    assert keep_memory.__wrapped__() is False


FAULTS = """
import resource, sys
import numpy as np
from flawline.training.compute import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(4 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

without = faults()
print(without, faults() if keep_memory() and faults() is not None else -1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc only")
def test_kept_memory_is_not_fetched_again():
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    without, kept = map(int, said.split())
    if kept < 0:
        pytest.skip("not glibc")
    assert kept < without / 10 or without < 200  # where pages are huge there is little to fetch in the first place


def test_work_side_by_side_comes_in_its_order_and_no_more_than_is_wanted_is_ahead():
    begun, lock = [], threading.Lock()

    def work(k):
        with lock:
            begun.append(k)
        time.sleep(0.002 * (k % 3))
        return k

    taken = []
    for each in side_by_side(work, range(40), workers=3):
        taken.append(each)
        assert len(begun) <= len(taken) + 3 * 3
    assert taken == list(range(40))


@pytest.mark.parametrize("workers", [1, 3])
def test_each_of_those_who_work_side_by_side_has_one_thread_of_torch(workers):
    before = torch.get_num_threads()
    assert set(side_by_side(lambda _: torch.get_num_threads(), range(9), workers=workers)) == {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_side_by_side_ends_the_work_where_it_came(workers):
    def work(k):
        if k == 4:
            raise ValueError("four")
        return k

    made = side_by_side(work, itertools.count(), workers=workers)
    assert list(itertools.islice(made, 4)) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="four"):
        next(made)


def test_work_that_nobody_takes_any_more_is_not_begun():
    begun = []
    made = side_by_side(lambda k: begun.append(k), itertools.count(), workers=2)
    next(made)
    made.close()
    ended = len(begun)
    assert ended <= 1 + 3 * 2
    time.sleep(0.05)
    assert len(begun) == ended


def test_beside_others_numpy_takes_one_thread_too_and_as_many_as_before_afterwards():
    def blas(_=None):
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = blas()
    assert all(found <= {1} for found in side_by_side(blas, range(4), workers=2))
    assert blas() == before
