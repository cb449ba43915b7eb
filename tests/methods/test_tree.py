import pytest
from base_params import BASE, TREE
from pydantic import create_model

from flawline.checks import FlawlineError
from flawline.methods import registry
from flawline.methods.one_class import OneClassScorer
from flawline.methods.registry import METHODS, RECONSTRUCTORS, Method, register
from flawline.methods.tree import parameters_type, validate_parameters
from flawline.params import BaseParameters, Params, PixelScorerParams


def test_the_tree_has_what_every_run_has_and_a_branch_of_every_row():
    fields = parameters_type().model_fields
    assert fields.keys() == {*BaseParameters.model_fields, *METHODS, *RECONSTRUCTORS}


def own_method(scorer):
    mine = create_model("MineParams", __base__=Params, scorer=scorer)
    return Method("mine", "Mine 2026", mine, type("Mine", (OneClassScorer,), {}))


def test_a_branch_whose_fields_all_have_defaults_may_be_missing_and_another_not(monkeypatch):
    monkeypatch.setattr(registry, "METHODS", dict(METHODS))
    register(own_method((PixelScorerParams, BASE.cae.scorer)))
    assert validate_parameters(TREE).mine.scorer == BASE.cae.scorer
    with pytest.raises(FlawlineError, match=r"parameters are not valid:\n  cae: is needed and was not given$"):
        validate_parameters({name: value for name, value in TREE.items() if name != "cae"})


def test_a_methods_branch_is_known_as_soon_as_it_is_registered(monkeypatch):
    monkeypatch.setattr(registry, "METHODS", dict(METHODS))
    with pytest.raises(FlawlineError, match=r"\n  mine: no such parameter$"):
        validate_parameters({**TREE, "mine": {}})
    register(own_method((PixelScorerParams, ...)))
    assert validate_parameters({**TREE, "mine": {"scorer": {"smoothing": 1.0}}}).mine.scorer.smoothing == 1.0
    with pytest.raises(FlawlineError, match=r"\n  mine.scorer.smothing: no such parameter \(did you mean 'smoothing'"):
        validate_parameters({**TREE, "mine": {"scorer": {"smothing": 1.0}}})


def test_what_is_wrong_in_one_place_of_a_tuple_is_named_by_its_number():
    scorer = TREE["patch_memory"]["scorer"]
    tree = {**TREE, "patch_memory": {"scorer": {**scorer, "features": {**scorer["features"], "layers": [2, -1]}}}}
    with pytest.raises(FlawlineError, match=r"\n  patch_memory.scorer.features.layers.1: input should .*, got -1$"):
        validate_parameters(tree)


def test_what_does_not_go_together_is_said_of_the_branch():
    tree = {**TREE, "cpcae": {**TREE["cpcae"], "folds": 1}}
    with pytest.raises(FlawlineError, match=r"\n  cpcae: folds must be 0 \(none\) or at least 2, got 1$"):
        validate_parameters(tree)
