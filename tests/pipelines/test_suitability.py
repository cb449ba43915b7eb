"""The verdict on a trained network as its stage makes it."""

import numpy as np
import pandas as pd
import pytest
import torch
from base_params import BASE

from flawline.methods.cae import CAE
from flawline.methods.registry import get_method
from flawline.params import ComputeParams
from flawline.pipelines.embedding.reconstructing import make_judge_suitability
from flawline.pipelines.patching.nodes import make_expect_suitability

PARTS = {
    "patches": BASE.cae.patches.but(size=32, per_epoch=64),
    "model": BASE.cae.model.but(latent_size=3, hidden_size=8),
}
MANIFEST = pd.DataFrame({"split": ["train", "train", "validation"], "label": 0})


class Images(list):
    """Images with their shapes, as a store of them has."""

    @property
    def shapes(self):
        return [image.shape for image in self]


def gratings(factor):
    x = np.arange(96)
    waves = [0.55 + 0.3 * np.sin(2 * np.pi * (x + shift) / 8) for shift in range(3)]
    return Images(np.rint(65535 * factor * np.tile(wave, (1, 96, 1))).astype(np.uint16) for wave in waves)


def judged(images, weights):
    row = get_method("cae").reconstructor
    before = make_expect_suitability(row)(
        images, MANIFEST, patches=PARTS["patches"], code_length=3, seed=0, suitability=BASE.suitability
    )
    return make_judge_suitability(row)(
        images, MANIFEST, weights, expected_suitability=before, seed=0, suitability=BASE.suitability,
        compute=ComputeParams(device="cpu", threads=1, engine="torch"), **PARTS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def weights():
    """Of a network that draws an even grey, whatever it is shown; with -30 instead of 0, black."""
    with torch.random.fork_rng(devices=[]):
        state = CAE(PARTS["model"], channels=1, size=32).state_dict()
    last = [name for name in state if name.startswith("decoder")][-2:]
    return state | {name: torch.zeros_like(state[name]) for name in last}


def drawing(weights, level):
    bias = [name for name in weights if name.startswith("decoder")][-1]
    return weights | {bias: torch.full_like(weights[bias], level)}


def test_darker_images_look_the_same_before_training(weights):
    verdicts = [judged(gratings(factor), weights)["before"] for factor in (1, 1 / 2, 1 / 4, 1 / 16)]
    assert {each["verdict"] for each in verdicts} == {"suited"}
    for name in ("regularity", "linear"):
        assert [each[name] for each in verdicts] == pytest.approx([verdicts[0][name]] * 4, rel=1e-3)


def test_a_network_that_learned_nothing_is_unsuited_of_bright_images_and_doubtful_of_dark_ones(weights):
    assert judged(gratings(1), weights)["verdict"] == "unsuited"
    dark = judged(gratings(1 / 16), weights)
    assert dark["verdict"] == "doubtful"
    assert "The images reach 5% of the range" in dark["reason"]


def test_a_network_that_draws_black_is_doubtful_of_any_image(weights):
    for factor in (1, 1 / 2, 1 / 4):
        said = judged(gratings(factor), drawing(weights, -30.0))
        assert said["verdict"] == "doubtful"
        assert "It draws black" in said["reason"]
