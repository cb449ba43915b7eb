"""That `make bench` can measure: each part is imported, and a training step of every method that it times is made."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_every_part_has_rows(benchmarks):
    for part in benchmarks("run").PARTS:
        assert callable(benchmarks(f"bench_{part}").rows)


def test_a_training_step_is_made_of_every_method_that_is_timed(benchmarks):
    training = benchmarks("bench_training")
    for name in (*training.AUTOENCODERS, *training.OWN_SIZE):
        step, flops = training.training_step(32, "32-true", name=name)
        step()
        assert flops > 0
