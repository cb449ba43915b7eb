from pathlib import Path

import pytest
import torch

from flawline.checks import FlawlineError
from flawline.methods import registry
from flawline.methods.registry import METHODS, get_method


@pytest.mark.parametrize("name", METHODS)
def test_a_method_redraws_scores_and_can_be_trained(name):
    method = get_method(name)
    model = method.build(method.model_params(hidden_size=8, latent_size=2), channels=3, size=32)
    x = torch.rand(2, 3, 32, 32)
    assert model(x).shape == x.shape
    assert method.residual(x, model(x)).shape == (2, 32, 32)
    assert method.loss(model, x).shape == ()
    assert method.loss(model, x).requires_grad


@pytest.mark.parametrize("name", METHODS)
def test_a_methods_name_is_its_key_and_its_code_files(name):
    assert METHODS[name].name == name
    assert (Path(registry.__file__).parent / f"{name}.py").is_file()


def test_an_unknown_method_is_refused_with_what_there_is():
    with pytest.raises(FlawlineError, match=r"no method 'caee' \(did you mean 'cae'\?\); there are: cae"):
        get_method("caee")
