"""Every stage is a box in Kedro-Viz, and no name that a person types has changed by that."""

import warnings

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro_viz.data_access.managers import DataAccessManager

from flawline.methods.registry import DEFAULT, METHODS, PAPERS
from flawline.pipeline_registry import register_pipelines
from flawline.pipelines.boxes import BoxedNode, in_boxes, method_of

PROCESS = ("ingestion", "registration", "patching", "defect_injection", "training", "embedding", "evaluation",
           "reporting")  # fmt: skip
OUTSIDE = ("inspection", "feedback", "promotion")  # what is done with a finished detector has boxes of its own
SKIPPED = {"patching", "training"}  # of a method that has nothing to cut and nothing to train


def boxes_of(pipeline):
    return {(node.namespace or "").partition(".")[0] for node in pipeline.nodes}


def made(*names, tags="a", namespace=None):
    return Pipeline([Node(len, f"{name}_in", name, name=name) for name in names], tags=tags, namespace=namespace)


@pytest.mark.parametrize("name", ["__default__", *METHODS, *PAPERS])
def test_a_line_from_a_raw_folder_to_a_page_has_the_stages_as_boxes(name):
    found = boxes_of(register_pipelines()[name])
    assert found <= set(PROCESS)
    needed = {"patching", "training"} if name == "cae" else set()
    assert set(PROCESS) - found <= SKIPPED - needed


def test_every_node_of_every_pipeline_is_in_a_box():
    for name, pipeline in register_pipelines().items():
        assert boxes_of(pipeline) <= {*PROCESS, *OUTSIDE}, name


def test_boxes_stand_one_behind_the_other():
    """Kedro warns of a box that is left and entered again, which Kedro-Viz could not draw."""
    for name in ("cae", "rdcae", DEFAULT, *PAPERS):
        nodes = register_pipelines()[name].nodes
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Pipeline(nodes)


def test_kedro_viz_draws_the_stages_of_a_method_and_opens_them_to_its_nodes():
    manager = DataAccessManager()
    manager.add_catalog(DataCatalog(), {})
    manager.add_pipeline("cae", Pipeline(register_pipelines()["cae"].nodes))
    tree = manager.create_modular_pipelines_tree_for_registered_pipeline("cae")
    assert {child.id for child in tree["__root__"].children if child.type == "modularPipeline"} == set(PROCESS)
    task = {node.id: node.full_name for node in manager.nodes.as_list() if node.type == "task"}
    inside = {task[child.id] for child in tree["embedding"].children if child.id in task}
    assert {"cae.reconstruct", "cae.score_images", "cae.tabulate_scores"} <= inside


def test_of_several_methods_each_has_a_box_in_the_stage():
    paper = register_pipelines()["schneider2022"]
    assert {node.namespace for node in paper.nodes if "training" in node.tags} == {
        "training.cae", "training.vae", "training.aae"}  # fmt: skip
    assert {node.namespace for node in paper.nodes if "ingestion" in node.tags} == {"ingestion"}


def test_the_box_is_no_part_of_a_nodes_name_even_of_a_copy():
    boxed = in_boxes(made("b", tags=["a", "z"], namespace="cae"), ["a"])
    assert [(node.name, node.namespace) for node in boxed.nodes] == [("cae.b", "a")]
    (copy,) = Pipeline(boxed, tags="more").nodes
    assert (type(copy), copy.name, copy.namespace, copy.tags) == (BoxedNode, "cae.b", "a", {"a", "z", "more"})
    assert boxed.filter(node_names=["cae.b"]).nodes == boxed.nodes
    assert boxed.filter(node_namespaces=["a"]).nodes == boxed.nodes


def test_datasets_keep_their_names():
    before = made("b", namespace="cae")
    after = in_boxes(before, ["a"])
    assert (after.inputs(), after.outputs()) == (before.inputs(), before.outputs()) == ({"cae.b_in"}, {"cae.b"})


def test_which_method_a_node_is_of():
    named = {name: Node(len, "x", "y", name=name) for name in ("cae.train", "nobody.train", "ingest")}
    assert {name: method_of(node) for name, node in named.items()} == {
        "cae.train": "cae", "nobody.train": None, "ingest": None}  # fmt: skip


def test_a_node_without_a_stage_is_an_error():
    with pytest.raises(ValueError, match=r"node b has none of the tags \['x'\]"):
        in_boxes(made("b"), ["x"])
