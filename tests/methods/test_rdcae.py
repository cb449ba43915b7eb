import logging

import numpy as np
import pytest
import torch
from base_params import BASE
from torch import nn, tensor

from flawline.checks import FlawlineError
from flawline.methods.cae import squared_residual
from flawline.methods.fitting import material_of, train_network
from flawline.methods.lenet import LeNet
from flawline.methods.linear_skip import LinearSkip
from flawline.methods.rdcae import (
    give_split,
    has_separated,
    join_pseudo,
    mirrored,
    patch_scores,
    penalty,
    pseudo_auroc,
    separate,
    shrink_groups,
    split_loss,
)
from flawline.methods.registry import RECONSTRUCTORS
from flawline.params import ComputeParams
from flawline.training.checkpoints import FileCheckpoints
from flawline.training.loop import Tools
from flawline.training.objective import Batch
from flawline.training.windows import PseudoWindows, windows_of

NETWORK = RECONSTRUCTORS["rdcae"].network
PATCHES = BASE.rdcae.patches.but(size=16, stride=8, per_epoch=24, pseudo_share=0.25)
MODEL = BASE.rdcae.model.but(components=4, latent_size=4, least_iterations=2, score_window=4)
PRINTED = MODEL.but(network="lenet", latent_size=8, known_s=False, restore=False, score_window=None, inner_epochs=2)
TRAIN = BASE.rdcae.train.but(epochs=4, batch_size=8)
ONE_THREAD = ComputeParams(device="cpu", threads=1)


def images(count=8, seed=0):
    return list(np.random.default_rng(seed).integers(90, 130, (count, 1, 40, 48), dtype=np.uint8))


def damaged(some):
    """Copies with a bright square, their masks, and what they were."""
    made, masks = [image.copy() for image in some], [np.zeros((40, 48), bool) for _ in some]
    for i, (image, mask) in enumerate(zip(made, masks, strict=True)):
        image[:, 10 + i : 14 + i, 20:24] = 255
        mask[10 + i : 14 + i, 20:24] = True
    return made, masks, list(some)


@pytest.fixture
def material():
    seen = images()
    pseudo = {"train": damaged(seen[:5]), "validation": damaged(seen[5:])}
    return material_of(NETWORK, seen, (range(5), range(5, 8)), patches=PATCHES, seed=0, pseudo=pseudo)


def taught(material, model=MODEL, patches=PATCHES, train=TRAIN, **tools):
    return train_network(
        NETWORK, material.train.images, material, patches=patches, model=model, train=train,
        tools=Tools(ONE_THREAD, **tools),
    )  # fmt: skip


# --- the proximal operator -------------------------------------------------------------------------------------------
def test_triangle_of_3_4_5_is_shortened_by_one():
    s = tensor([3.0, 0.0, 4.0, 0.0]).view(1, 1, 2, 2)
    torch.testing.assert_close(shrink_groups(s, 1.0, "patch"), s * 0.8)
    assert not shrink_groups(s, 5.0, "patch").any()


@pytest.mark.parametrize("group", ["patch", "pixel", "block"])
def test_shrinking_minimises_what_it_is_the_proximal_operator_of(group):
    """0.5 |s - r|^2 + lambda * sum of the groups' lengths, against random others."""
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(5, 2, 16, 16, generator=generator)

    def lengths(r):
        if group == "patch":
            return r.flatten(1).norm(dim=1).sum()
        if group == "pixel":
            return r.flatten(1).norm(dim=0).sum()
        return r.unfold(2, 8, 8).unfold(3, 8, 8).square().sum(dim=(1, 4, 5)).sqrt().sum()

    def cost(r):
        return float(0.5 * (s - r).square().sum() + 1.5 * lengths(r))

    found = shrink_groups(s, 1.5, group)
    for _ in range(50):
        assert cost(found) <= cost(found + 0.1 * torch.randn(s.shape, generator=generator)) + 1e-4
    assert cost(found) < min(cost(s), cost(torch.zeros_like(s)))


def test_blocks_at_the_rim_are_what_is_left():
    s = torch.ones(1, 1, 10, 10)
    found = shrink_groups(s, 1.0, "block")
    assert float(found[0, 0, 9, 9]) == pytest.approx(0.5)  # a block of 2 x 2 pixels has length 2
    assert float(found[0, 0, 0, 0]) == pytest.approx(1 - 1 / 8)


def test_lambda_is_for_3_x_32_x_32_values_or_a_quantile_of_normal_residuals():
    residual = torch.ones(4, 1, 32, 32) * tensor([1.0, 2, 3, 4]).view(4, 1, 1, 1)
    scaled = MODEL.but(l21_weight=1.6, l21_scaled=True)
    assert penalty(scaled, residual) == pytest.approx(1.6 / 3**0.5)
    assert penalty(scaled, torch.ones(1, 3, 64, 64)) == pytest.approx(3.2)  # the paper's KSDD2 has 3.3
    assert penalty(scaled.but(l21_scaled=False), residual) == 1.6
    assert penalty(MODEL.but(l21_weight=None, l21_quantile=0.5), residual) == pytest.approx(2.5 * 32)


# --- the set X -------------------------------------------------------------------------------------------------------
def test_x_is_the_same_windows_every_epoch_with_its_share_of_pseudo_defects_last(material):
    train = material.train
    assert (len(train.sample), train.pseudo) == (24 + 8, 8)  # n r / (1 - r)
    first, second = train.epoch(0), train.epoch(1)
    assert sorted(first[:, 3]) == sorted(second[:, 3]) == list(range(32))
    assert first[:, 3].tolist() != second[:, 3].tolist()
    last = train.cut(train.sample[24:])
    assert (last.amax(dim=(1, 2, 3)) == 1).all()  # a pixel of the square is in each
    assert (train.cut(train.sample[:24]) < 0.6).all()


def test_what_damage_has_changed_is_known(material):
    train = material.train
    last = train.cut(train.sample[24:])
    before = last - train.differences
    assert (before < 0.6).all()
    assert ((train.differences != 0).sum(dim=(1, 2, 3)) <= 16).all()


def test_mirrored_windows_are_each_there_four_times():
    seen = images(4)
    train = windows_of(seen, range(4), PATCHES, seed=0)
    made, masks, originals = damaged(seen)
    pseudo = PseudoWindows(windows_of(made, range(4), PATCHES, seed=0), masks, originals)
    joined = join_pseudo(train, pseudo, PATCHES.but(mirror=True))
    assert (len(joined.sample), joined.pseudo) == (4 * 32, 4 * 8)
    plain, across, down, both = (joined.cut(joined.sample[k * 24 : (k + 1) * 24]) for k in range(4))
    torch.testing.assert_close(across, plain.flip(3))
    torch.testing.assert_close(down, plain.flip(2))
    torch.testing.assert_close(both, plain.flip(2, 3))
    assert (joined.cut(joined.sample[96:]) - joined.differences < 0.6).all()


def test_mirroring_by_hand():
    patch = tensor([[1.0, 2], [3, 4]]).expand(4, 1, 2, 2)
    found = mirrored(patch, np.arange(4))[:, 0].flatten(1).tolist()
    assert found == [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]]


# --- what is learned -------------------------------------------------------------------------------------------------
def test_network_sees_the_background_as_printed_or_gives_it_for_x():
    x, s = torch.rand(3, 1, 4, 4), torch.rand(9, 1, 4, 4)
    windows = np.zeros((3, 5), np.int64)
    windows[:, 3] = [7, 0, 2]
    batch = Batch(x, windows, {"s": s})
    background = x - s[[7, 0, 2]]
    for restore, seen in ((False, background), (True, x)):
        given = give_split(None, batch, restore=restore)
        torch.testing.assert_close(given, (seen, background))
    held_out = Batch(x, np.zeros((3, 3), np.int64), {"s": s})
    assert all(part is x for part in give_split(None, held_out, restore=True))


def test_loss_is_the_mean_squared_error_against_the_background():
    loss = split_loss(nn.Identity(), (torch.full((2, 1, 4, 4), 0.5), torch.full((2, 1, 4, 4), 0.2)))
    assert float(loss) == pytest.approx(0.09)


class Mean(nn.Module):
    """Reconstructs every patch as grey."""

    def __init__(self, level):
        super().__init__()
        self.level = nn.Parameter(tensor(level))

    def forward(self, x):
        return torch.full_like(x, float(self.level))


def test_what_is_left_of_patches_lands_in_s_beyond_lambda(material):
    model, own = Mean(110 / 255), {"s": torch.zeros(32, 1, 16, 16)}
    with torch.no_grad():
        s, told = separate(model, MODEL.but(known_s=False, l21_quantile=0.5), material, own)
    assert told["s_share_pseudo"] == 1.0
    assert 0 < told["s_share"] < 1
    x = material.train.cut(material.train.sample)
    torch.testing.assert_close(s, shrink_groups(x - 110 / 255, told["l21_weight"], "patch"))
    with torch.no_grad():
        known, _ = separate(model, MODEL, material, own)
    torch.testing.assert_close(known[24:], material.train.differences)


def test_s_that_holds_all_normal_patches_is_an_error(material):
    with torch.no_grad(), pytest.raises(FlawlineError, match=r"S holds all 24 normal patches: lambda = 0.01"):
        separate(Mean(0.2), MODEL.but(l21_weight=0.01, l21_scaled=False), material, {"s": torch.zeros(32, 1, 16, 16)})
    with torch.no_grad():
        allowed = MODEL.but(l21_weight=0.01, l21_scaled=False, full_s=True)
        _, told = separate(Mean(0.2), allowed, material, {"s": torch.zeros(32, 1, 16, 16)})
    assert told["s_share"] == 1.0


def test_patch_scores_by_hand():
    errors = torch.zeros(1, 8, 8)
    errors[0, 2:4, 2:4] = 4.0
    assert patch_scores(errors, None).tolist() == [16.0]
    assert patch_scores(errors, 2).tolist() == [4.0]
    assert patch_scores(errors, 4).tolist() == [1.0]


def test_auroc_of_pseudo_defects_is_of_held_out_ones(material):
    assert len(material.held_out_pseudo) == len(material.validation.fixed())
    with torch.no_grad():
        assert pseudo_auroc(Mean(110 / 255), material, MODEL) == 1.0
        bright = pseudo_auroc(Mean(1.0), material, MODEL.but(score_window=None))
    assert bright < 0.5  # bright squares fit a bright model


# --- when it ends ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "values", "ended"),
    [
        ({}, [0.5, 0.9995], True),
        ({}, [0.9995], False),  # before the least iterations
        ({"stop_auroc": None}, [0.5, 1.0], False),
        ({"inner_epochs": 2}, [0.5, 0.5, 0.5, 1.0], True),
        ({"inner_epochs": 2}, [0.5, 0.5, 1.0], False),  # within an iteration
        ({"patience": 2}, [0.9, 0.8, 0.8], True),
        ({"patience": 2}, [0.9, 0.8, 0.91], False),
        ({"patience": 2, "least_gain": 0.02}, [0.9, 0.91, 0.919], True),  # less than a gain counts as none
        ({"patience": 2, "least_gain": 0.02}, [0.9, 0.91, 0.921], False),
        ({"patience": 2, "least_gain": 0.02}, [0.8, 0.9, 0.91, 0.915], True),  # behind the last gain
        ({"patience": None}, [0.9] * 50, False),
    ],
)
def test_stop(changes, values, ended):
    params = MODEL.but(least_iterations=2, inner_epochs=1, patience=9, least_gain=0.0).but(**changes)
    assert has_separated(values, params=params) is ended


def test_stop_without_pseudo_defects_is_an_error_and_without_a_stop_it_learns(material):
    none = PATCHES.but(pseudo_share=0.0)
    bare = material_of(NETWORK, images(), (range(5), range(5, 8)), patches=none, seed=0,
                       pseudo={"train": damaged(images()[:5]), "validation": damaged(images()[5:])})  # fmt: skip
    with pytest.raises(FlawlineError, match=r"raise rdcae.patches.pseudo_share above 0, or set .*stop_auroc to null"):
        taught(bare, patches=none)
    assert len(taught(bare, MODEL.but(stop_auroc=None), none).history) == TRAIN.epochs


# --- all of it -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", [MODEL, PRINTED], ids=["base", "printed"])
def test_training_tells_of_every_iteration_and_is_the_same_again(material, model):
    fitted, again = taught(material, model.but(stop_auroc=None)), taught(material, model.but(stop_auroc=None))
    history = fitted.history
    assert {"train_loss", "l21_weight", "s_share", "s_share_pseudo", "pseudo_auroc"} <= set(history)
    assert history["outer_iteration"].tolist() == ([1, 2, 3, 4] if model is MODEL else [0, 1, 1, 2])
    for name, value in fitted.weights.items():
        assert torch.equal(value, again.weights[name]), name
    assert fitted.own["s"].shape == (32, 1, 16, 16)


def test_training_that_was_broken_off_goes_on_with_its_s(material, tmp_path):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    model = PRINTED.but(stop_auroc=None)
    taught(material, model, train=TRAIN.but(epochs=3), checkpoints=store)
    longer = taught(material, model, checkpoints=store)
    assert longer.resumed_from == 3
    whole = taught(material, model)
    assert torch.equal(longer.own["s"], whole.own["s"])
    assert all(torch.equal(longer.weights[name], whole.weights[name]) for name in whole.weights)


def test_many_normal_patches_in_s_are_said(material, caplog):
    with caplog.at_level(logging.WARNING):
        taught(material, MODEL.but(l21_weight=0.0, stop_auroc=None), train=TRAIN.but(epochs=1))
    assert "of the normal patches are in S, more than 5 %" in caplog.text


@pytest.mark.parametrize(("network", "kind"), [("lenet", LeNet), ("linear_skip", LinearSkip)])
def test_trained_network_reconstructs_images_of_any_size(material, network, kind):
    params = MODEL.but(network=network, latent_size=8, stop_auroc=None)
    fitted = taught(material, params, train=TRAIN.but(epochs=1))
    parts = {"patches": PATCHES, "model": params}
    ready = RECONSTRUCTORS["rdcae"].ready(fitted.weights, parts, channels=1, compute=ONE_THREAD)  # PyTorch's, always
    assert isinstance(ready.network, kind)
    image = images(seed=5)[0]
    found = ready.reconstruct(image)
    assert found.image.shape == (1, 40, 48)
    assert found.residual.shape == (40, 48)
    assert ready.codes(image).shape == (4, 5, 8)
    if network == "lenet":
        x = torch.from_numpy(image[None, :, :16, :16]).float() / 255
        with torch.no_grad():
            wanted = squared_residual(x, ready.network(x))
        np.testing.assert_allclose(ready.reconstruct(image[:, :16, :16]).residual, wanted[0], rtol=2e-3, atol=1e-6)
