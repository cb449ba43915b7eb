import json
from pathlib import Path

import pytest
import torch

from flawline.checks import FlawlineError
from flawline.methods import registry
from flawline.methods.one_class import IMAGE
from flawline.methods.registry import AUTOENCODERS, METHODS, ONE_CLASS, REDRAWERS, get_method
from flawline.params import Parameters

CODE = {"deep_feature_knn": "pooled_knn"}  # a method that is a head of its own kind without a file of its own


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=AUTOENCODERS)
def method(request):
    return get_method(request.param)


@pytest.fixture
def params(method):
    return method.model_params(hidden_size=8, latent_size=2)


@pytest.fixture
def model(method, params):
    return method.build(params, channels=3, size=32)


@pytest.fixture
def x():
    return torch.rand(2, 3, 32, 32, generator=seeded(0))


def test_a_method_redraws_and_scores(method, model, x):
    assert model(x).shape == x.shape
    assert method.residual(x, model(x)).shape == (2, 32, 32)


def test_every_phase_has_a_loss_to_learn_by(method, params, model, x):
    phases = method.objective(params).phases
    assert phases[0].name == "train"  # whose loss is the history's train_loss
    assert len({phase.name for phase in phases}) == len(phases)
    for phase in phases:
        given = phase.prepare(model, x)
        loss = phase.loss(model, given, seeded(0))
        assert (loss.shape, loss.requires_grad) == ((), True), phase.name
        assert torch.equal(loss, phase.loss(model, given, seeded(0))), phase.name


def test_what_is_watched_is_the_same_every_time(method, params, model, x):
    watched = method.objective(params).watched
    assert watched(model, x, None).shape == ()
    assert torch.equal(watched(model, x, None), watched(model, x, None))


def test_every_parameter_is_moved_by_some_phase(method, params, model):
    moved = {id(parameter) for phase in method.objective(params).phases for parameter in phase.parameters(model)}
    assert moved == {id(parameter) for parameter in model.parameters()}


def test_every_parameter_shows_in_the_network_or_the_objective(method, params):
    """Of these a training's key is made: a parameter that shows in neither lets it take up another run's checkpoint."""

    def shown(params):
        network = repr(method.build(params, channels=1, size=16))
        return network, json.dumps(method.objective(params).describe())

    for name, value in params.model_dump().items():
        other = "industrial" if name == "encoder" else 2 * value
        assert shown(params.model_copy(update={name: other})) != shown(params), name


@pytest.mark.parametrize("name", METHODS)
def test_a_methods_name_is_its_key_and_its_code_files(name):
    assert METHODS[name].name == name
    file = name.removesuffix("_map").removesuffix("_fused")  # what a head looks at is another method, not another file
    assert (Path(registry.__file__).parent / f"{CODE.get(file, file)}.py").is_file()


def test_a_one_class_method_looks_at_images_or_at_what_a_redrawer_leaves():
    for method in ONE_CLASS.values():
        assert set(method.views) <= {IMAGE, *REDRAWERS}
        assert (method.redrawer is None) == (method.views == (IMAGE,))


@pytest.mark.parametrize("name", ONE_CLASS)
def test_a_head_is_made_of_its_own_parameters(name):
    method = ONE_CLASS[name]
    head = method.head(method.scorer_params(), method.views)
    assert (head.by_map, head.embeds) == (method.by_map, method.embeds)


def test_the_whole_parameters_have_the_heads_own_for_every_method():
    fields = Parameters.model_fields
    for name, method in ONE_CLASS.items():
        assert fields[name].annotation.model_fields["head"].annotation is method.scorer_params


def test_an_unknown_method_is_refused_with_what_there_is():
    with pytest.raises(FlawlineError, match=r"no method 'caee' \(did you mean 'cae'\?\); there are: cae, vae, "):
        get_method("caee")
