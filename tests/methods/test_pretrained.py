from types import SimpleNamespace

import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.features import load_extractor
from flawline.methods.one_class import NO_MAP, Scored, check_learns
from flawline.methods.pretrained import PretrainedScorer

FEATURES = BASE.patch_memory.scorer.features


class LayerMean(PretrainedScorer):
    """The score is the mean of the last layer."""

    def embed(self, views):
        return torch.stack([self._extractor(view)[-1].mean(dim=(1, 2, 3)) for view in views]).mean(dim=0).numpy()

    def check_count(self, count):
        check_learns(count, 2, "layer_mean")

    def score(self, state, inputs):
        return Scored(float(inputs.embedding), NO_MAP)


def scorer(features=FEATURES, **options):
    return LayerMean(SimpleNamespace(features=features), **options)


def test_the_network_that_is_given_is_looked_through():
    seen = scorer(extractor=lambda images: [images, 3 * images])
    assert seen.embeds
    assert seen.embed((torch.full((2, 1, 4, 4), 0.2),)).tolist() == pytest.approx([0.6, 0.6])


def test_without_one_the_network_of_the_parameters_is_loaded_when_it_is_needed():
    named = FEATURES.but(layers=(1,))
    image = torch.rand(1, 3, 32, 32)
    expected = load_extractor(named)(image)[-1].mean().item()
    assert scorer(named).embed((image,)).tolist() == pytest.approx([expected])
    scorer(FEATURES.but(backbone="lite9"))  # not needed yet


def test_too_few_images_are_told_before_the_network_is_loaded():
    unknown = scorer(FEATURES.but(backbone="lite9"))
    with pytest.raises(FlawlineError, match="layer_mean needs at least 2 normal images"):
        unknown.check(1)
    with pytest.raises(FlawlineError, match="no backbone 'lite9'"):
        unknown.check(2)
