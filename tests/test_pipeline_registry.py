"""Pipelines by name, built when they are looked into."""

import pickle
import subprocess
import sys
from copy import deepcopy

import pytest
from kedro.pipeline import Node, Pipeline

from flawline.pipeline_registry import DEFAULT, LaterPipeline, inspected_with, judged_with, register_pipelines

LIGHT = """
import sys
{imports}
heavy = {{"torch", "mlflow", "kedro_mlflow", "lightning_fabric", "skimage", "sklearn", "scipy", "matplotlib", "pandas"}}
ours = [name for name in sys.modules if name.startswith("flawline")]
print(sorted(heavy & set(sys.modules)), [name for name in ours if name.endswith(".nodes")])
"""


def made() -> Pipeline:
    return Pipeline([Node(len, "letters", "count", name="count"), Node(abs, "count", "size", name="size")])


def imported_by(imports: str) -> str:
    """Return which large libraries and which nodes a new process has imported."""
    return subprocess.run([sys.executable, "-c", LIGHT.format(imports=imports)], capture_output=True, text=True,
                          check=True).stdout.strip()  # fmt: skip


def test_a_pipeline_is_built_once_and_only_when_it_is_looked_into():
    calls = []
    later = LaterPipeline(lambda: (calls.append(1), made())[1])
    assert isinstance(later, Pipeline)
    assert calls == []
    assert [node.name for node in later.nodes] == ["count", "size"]
    assert later.inputs() == {"letters"}
    assert calls == [1]


def test_a_pipeline_that_was_not_built_yet_does_all_that_kedros_own_does():
    assert (LaterPipeline(made) + Pipeline([])).nodes == made().nodes
    assert sum([LaterPipeline(made), LaterPipeline(made)], Pipeline([])).nodes == made().nodes
    assert LaterPipeline(made).filter(node_names=["size"]).inputs() == {"count"}
    assert Pipeline([LaterPipeline(made)], namespace="a").all_outputs() == {"a.count", "a.size"}
    assert (made() - LaterPipeline(made)).nodes == []
    assert LaterPipeline(made).to_json() == made().to_json()
    assert repr(LaterPipeline(made)) == f"Later{made()!r}"
    assert pickle.loads(pickle.dumps(LaterPipeline(made))).nodes == made().nodes
    assert deepcopy(LaterPipeline(made)).nodes == made().nodes


def test_what_a_pipeline_does_not_have_is_told_as_for_any_other():
    with pytest.raises(AttributeError, match="nodez"):
        LaterPipeline(made).nodez  # noqa: B018


def test_a_mistake_in_a_pipeline_is_told_as_it_is_and_every_time():
    def broken() -> Pipeline:
        raise ImportError("no module named x")

    later = LaterPipeline(broken)
    for _ in range(2):
        with pytest.raises(ImportError, match="no module named x"):
            later.nodes  # noqa: B018


def test_every_pipeline_has_its_nodes_and_is_built_once():
    first, second = register_pipelines(), register_pipelines()
    assert all(pipeline.nodes for pipeline in first.values())
    assert first["__default__"].nodes[0] is second["__default__"].nodes[0]


def test_a_list_of_the_names_imports_nothing_large():
    assert imported_by("import flawline.pipeline_registry as r; list(r.register_pipelines())") == "[] []"


def test_settings_and_commands_import_nothing_large():
    assert imported_by("import flawline.settings, flawline.cli") == "[] []"


def test_datasets_import_what_they_need_when_they_load():
    assert imported_by("import flawline.datasets") == "[] []"


def test_which_detector_a_pipeline_judges_with():
    assert inspected_with("inspection") == DEFAULT
    assert inspected_with("vae_inspection") == "vae"
    assert [inspected_with(name) for name in ("vae", "nothing_inspection", "reporting", "promotion")] == [None] * 4
    assert [judged_with(name) for name in ("promotion", "vae_promotion", "vae_inspection")] == [DEFAULT, "vae", "vae"]
    assert judged_with("vae") is None
