"""The command that a stale result advises selects nodes, and mends it."""

import re

import pytest
from kedro.pipeline import Pipeline

from flawline.hooks.lineage import LineageHook, Problem, StaleError
from flawline.methods.registry import METHODS
from flawline.pipeline_registry import register_pipelines

STAGES = ("patching", "training", "embedding", "evaluation")


@pytest.fixture(scope="module")
def context(blank_once):
    with blank_once.session() as session:
        yield session.load_context()


def after(line: Pipeline, stage: str) -> set[str]:
    """Return what is stale once the results of a stage's first node are: its outputs, and all that is made of them."""
    stale: set[str] = set()
    for node in line.nodes:
        first = not stale and stage in node.tags
        if first or stale & set(node.inputs):
            stale |= set(node.outputs)
    return stale


def lacking(method):
    """Return the stages that a method has not: without a reconstructor nothing is trained, without a network nothing
    is cut."""
    row = METHODS[method].reconstructor
    return STAGES[:2] if row is None else () if row.network else STAGES[:1]


@pytest.mark.parametrize("method", METHODS)
def test_for_every_method_and_stage_the_advised_nodes_are_those_that_must_run(context, method):
    line = register_pipelines()[method]
    hook = LineageHook.over(context, line)
    hook.learn({method: line})
    for stage in STAGES:
        stale = after(line, stage)
        hook.problem = lambda name, pinned=False, stale=stale: Problem("stale", stale=True) if name in stale else None
        for wanted in sorted(name for name in stale if hook._lasts(name)):
            check_repair(hook, method, line, stale=stale, wanted=wanted)
        assert stale or stage in lacking(method)


def check_repair(hook, method, line, *, stale, wanted):
    ((option, nodes),) = hook.repair([wanted])
    assert option == f" --pipelines={method}"
    chosen = line.filter(node_names=nodes)
    assert wanted in chosen.all_outputs()
    read = {name for name in chosen.inputs() if not name.startswith("params:")}
    assert not read & stale  # every stale thing that is read is made anew by the same command
    assert all(hook._lasts(name) for name in read & line.all_outputs())  # and nothing is read that is only in memory


@pytest.mark.parametrize(
    "changed",
    [
        {"cpcae.patches.stride": 8},
        {"cpcae.train.learning_rate": 0.002},
        {"ae_l2.scorer.smoothing": 2.0},
        {"evaluation.target_overkill": 0.04},
    ],
    ids=STAGES,
)
def test_the_advised_command_mends_a_stale_result_of_a_shared_reconstructor(compared, changed):
    verdicts = {"node_names": ["ae_l2.judge_tests"]}
    with pytest.raises(StaleError, match=r"is stale: since it was made") as refused:
        compared.run("ae_l2", options=verdicts, **changed)
    advised = re.search(r"Make it with: kedro run --pipelines=(\S+) --nodes=(\S+) ", str(refused.value))
    compared.run(advised[1], options={"node_names": advised[2].split(",")}, **changed)
    compared.run("ae_l2", options=verdicts, **changed)
