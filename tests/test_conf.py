"""Every environment and every pipeline load, and nothing that should be stored is forgotten in memory."""

from typing import get_type_hints

import pytest
from kedro.io import MemoryDataset

from flawline.methods.registry import METHODS, PAPERS
from flawline.methods.tree import validate_parameters
from flawline.pipeline_registry import register_pipelines

ENVIRONMENTS = ("base", "full", "paper", "smoke", "local")
# Drawn examples, which the report takes up; and that a check passed.
IN_MEMORY = {f"{name}.{what}" for name in METHODS for what in ("gathered", "result")} | {"cpcae.checked"}


@pytest.fixture(params=ENVIRONMENTS)
def opened(blank_once, request):
    return blank_once.opened(env=request.param)


def test_every_dataset_of_every_pipeline_is_stored_or_meant_not_to_be(blank_once):
    catalog = blank_once.opened().catalog
    for dataset in datasets_of_all_pipelines():
        if not dataset.startswith("params:") and dataset != "parameters":
            assert dataset in catalog, f"{dataset} has no entry in conf/base/catalog"
            assert isinstance(catalog.get(dataset), MemoryDataset) == (dataset in IN_MEMORY), dataset


def test_hints_of_every_node_can_be_read():
    """Kedro reads them before a run, and warns of those that stand for a type checker alone."""
    functions = {node.func for pipeline in register_pipelines().values() for node in pipeline.nodes}
    assert all(get_type_hints(function) for function in functions)


def datasets_of_all_pipelines():
    return {name for pipeline in register_pipelines().values() for name in pipeline.datasets()}


def test_every_environment_holds_valid_parameters_for_every_pipeline(opened):
    validate_parameters(opened.parameters)
    needed = {name for name in datasets_of_all_pipelines() if name.startswith("params:")}
    assert needed <= set(opened.catalog.keys())


def test_environment_that_overrides_one_key_keeps_its_siblings(blank_once):
    base, paper, smoke = (blank_once.opened(env=env).parameters for env in ("base", "paper", "smoke"))
    assert paper["cae"]["patches"] == base["cae"]["patches"] | {"size": 128}
    assert paper["cae"]["train"] == base["cae"]["train"]
    assert smoke["cae"]["train"] == base["cae"]["train"] | {"epochs": 2}
    assert smoke["ingestion"] == base["ingestion"]


def test_runtime_parameter_keeps_its_siblings(blank_once):
    tree = blank_once.opened(env="base", **{"cae.train.epochs": 3}).parameters
    assert tree["cae"]["train"]["epochs"] == 3
    assert tree["cae"]["train"]["batch_size"] == 16


def test_category_and_seed_are_in_every_path_they_belong_to(blank_once):
    catalog = blank_once.opened(category="nuts", seed=7).catalog
    assert str(catalog.get("images")._filepath).endswith("data/03_primary/nuts/images")
    assert "/nuts/seed-7/cae/" in str(catalog.get("cae.weights")._filepath)
    assert "/nuts/seed-7/" in str(catalog.get("comparison")._filepath)


def test_the_autoencoders_of_schneider_2022_differ_in_nothing_but_the_method(opened):
    """Section 3: the same images, epochs, architecture parameters, learning rate and minibatch."""
    params = validate_parameters(opened.parameters)
    methods = {name: getattr(params, name) for name in PAPERS["schneider2022"].methods}
    shared = [
        (
            own.patches,
            own.train,
            own.scorer,
            own.model.encoder,
            own.model.latent_size,
            own.model.hidden_size,
            own.model.initialisation,
        )
        for own in methods.values()
    ]
    assert shared == [shared[0]] * 3


def test_settings_are_resolved_once_for_the_same_files_and_parameters(project, monkeypatch):
    """A session would take a second for it; what one does to its settings is not seen by the next."""

    def settings(key, category):
        with project.session(category=category) as session:
            return session.load_context().config_loader[key]

    settings("catalog", "bolt")
    settings("parameters", "bolt")["category"] = "changed here"
    with monkeypatch.context() as patch:
        patch.setattr("kedro.config.OmegaConfigLoader._read_raw_config", lambda _, key: pytest.fail(f"{key} again"))
        assert settings("parameters", "bolt")["category"] == "bolt"
        assert settings("catalog", "bolt")["manifest"]["filepath"].endswith("02_intermediate/bolt/manifest.csv")
    assert settings("parameters", "nut")["category"] == "nut"
    project.edit("base/parameters/evaluation.yml", **{"evaluation.target_overkill": 0.02})
    assert settings("parameters", "bolt")["evaluation"]["target_overkill"] == 0.02
