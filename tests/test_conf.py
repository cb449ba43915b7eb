"""Every environment and every pipeline load, and nothing that should be stored is forgotten in memory."""

import pytest
from kedro.io import MemoryDataset

from flawline.methods.registry import METHODS
from flawline.params import validate_parameters
from flawline.pipeline_registry import PAPERS, register_pipelines

ENVIRONMENTS = ("base", "paper", "smoke", "local")
# Drawn examples, which the report takes up; and that a check passed.
IN_MEMORY = {f"{name}.{what}" for name in METHODS for what in ("gathered", "result")} | {"cpcae.checked"}


@pytest.fixture(params=ENVIRONMENTS)
def context(project, request):
    with project.session(request.param) as session:
        yield session.load_context()


@pytest.mark.parametrize("name", register_pipelines())
def test_every_dataset_of_every_pipeline_is_stored_or_meant_not_to_be(finished_once, name):
    with finished_once.session() as session:
        catalog = session.load_context().catalog
    for dataset in register_pipelines()[name].datasets():
        if not dataset.startswith("params:") and dataset != "parameters":
            assert dataset in catalog, f"{dataset} has no entry in conf/base/catalog"
            assert isinstance(catalog.get(dataset), MemoryDataset) == (dataset in IN_MEMORY), dataset


def test_every_environment_holds_valid_parameters_for_every_pipeline(context):
    tree = context.config_loader["parameters"]
    validate_parameters(tree)
    needed = {name for pipeline in register_pipelines().values() for name in pipeline.datasets()
              if name.startswith("params:")}  # fmt: skip
    assert needed <= set(context.catalog.keys())


def test_environment_that_overrides_one_key_keeps_its_siblings(project):
    def parameters(env):
        with project.session(env) as session:
            return session.load_context().config_loader["parameters"]

    base, paper, smoke = parameters("base"), parameters("paper"), parameters("smoke")
    assert paper["cae"]["patches"] == base["cae"]["patches"] | {"size": 128}
    assert paper["cae"]["train"] == base["cae"]["train"]
    assert smoke["cae"]["train"] == base["cae"]["train"] | {"epochs": 2}
    assert smoke["ingestion"] == base["ingestion"]


def test_runtime_parameter_keeps_its_siblings(project):
    with project.session("base", **{"cae.train.epochs": 3}) as session:
        tree = session.load_context().config_loader["parameters"]
    assert tree["cae"]["train"]["epochs"] == 3
    assert tree["cae"]["train"]["batch_size"] == 16


def test_category_and_seed_are_in_every_path_they_belong_to(project):
    with project.session(category="nuts", seed=7) as session:
        catalog = session.load_context().catalog
    assert str(catalog.get("images")._filepath).endswith("data/03_primary/nuts/images")
    assert "/nuts/seed-7/cae/" in str(catalog.get("cae.weights")._filepath)
    assert "/nuts/seed-7/" in str(catalog.get("comparison")._filepath)


def test_the_autoencoders_of_schneider_2022_differ_in_nothing_but_the_method(context):
    """Section 3: the same images, epochs, architecture parameters, learning rate and minibatch."""
    methods = {
        name: getattr(validate_parameters(context.config_loader["parameters"]), name)
        for name in PAPERS["schneider2022"]
    }
    shared = [
        (own.patches, own.train, own.map, own.model.encoder, own.model.latent_size, own.model.hidden_size)
        for own in methods.values()
    ]
    assert shared == [shared[0]] * 3
