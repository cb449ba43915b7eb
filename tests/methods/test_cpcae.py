import json

import numpy as np
import pytest
import torch
from torch import nn, tensor

from flawline.checks import FlawlineError
from flawline.methods import cpcae
from flawline.methods.cpcae import (
    CPCAE,
    cpcae_objective,
    dead_share,
    fit_folds,
    fold_of,
    fold_weights,
    sparse_loss,
    train_cpcae,
)
from flawline.methods.grid_positions import grid_windows, split_position, with_position
from flawline.params import ComputeParams, CPCAEModelParams, GridPatchParams, TrainParams
from flawline.training.checkpoints import FileCheckpoints
from flawline.training.compute import using_threads
from flawline.training.progress import Silent

GEOMETRY = GridPatchParams(side=24, size=16, stride=8, per_epoch=20)
MODEL = CPCAEModelParams(channels=(4, 8), latent_size=6)
ONE_THREAD = ComputeParams(device="cpu", threads=1)


@pytest.fixture
def images():
    """Six downsized images (3, 24, 24), uint8, read-only."""
    images = list(np.random.default_rng(3).integers(0, 256, (6, 3, 24, 24), dtype=np.uint8))
    for image in images:
        image.setflags(write=False)
    return images


@pytest.fixture(autouse=True)
def one_thread():
    with using_threads(1):
        yield


def built(*, channels=3, size=16, seed=0, **params):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CPCAE(MODEL.model_copy(update=params), channels=channels, size=size)


def placed(places, *, channels=3, size=16, total=9):
    """Return a patch at random for each of ``places``."""
    patches = torch.rand(len(places), channels, size, size, generator=torch.Generator().manual_seed(1))
    return with_position(patches, np.array(places), total)


def train(images, rows=(0, 1, 2, 3), *, epochs=2, batch_size=8, **options):
    """Validate on the last two of ``images``."""
    params = TrainParams(epochs=epochs, batch_size=batch_size)
    return train_cpcae(images, list(rows), [4, 5], GEOMETRY, MODEL, params, seed=7, compute=ONE_THREAD, **options)


def folded(images, *, folds=2, epochs=2, seed=7, **options):
    params = TrainParams(epochs=epochs, batch_size=8)
    options = {"compute": ONE_THREAD, **options}
    return fit_folds(images, [0, 1, 2, 3], [4, 5], GEOMETRY, MODEL, params, folds=folds, seed=seed, **options)


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# --- network ---------------------------------------------------------------------------------------------------------
def test_a_network_of_the_default_sizes_has_the_parameters_counted_by_hand():
    def conv(inputs, outputs):
        return outputs * (16 * inputs + 1)  # 4 x 4 and a bias, both ways

    model = CPCAE(CPCAEModelParams(), channels=3, size=64)
    encoder = conv(3, 16) + conv(16, 32) + conv(32, 64) + conv(64, 64)
    decoder = conv(64, 64) + conv(64, 32) + conv(32, 16) + conv(16, 3)
    compress = 64 * (4 * 4 * 64 + 1 + 1)  # features, place, bias
    expand = 4 * 4 * 64 * (64 + 1 + 1)
    assert (encoder, compress, expand, decoder) == (107_440, 65_664, 67_584, 107_379)
    assert [count(part) for part in (model.encoder, model.compress, model.expand, model.decoder)] == [
        encoder, compress, expand, decoder]  # fmt: skip


def test_without_condition_the_dense_layers_lack_the_place():
    assert count(built()) - count(built(conditioned=False)) == 6 + 8 * 4 * 4


@pytest.mark.parametrize(("channels", "size", "widths"), [(1, 16, (4, 8)), (3, 24, (4,)), (3, 32, (4, 8, 8, 4))])
def test_patches_come_back_in_their_shape_without_the_place(channels, size, widths):
    model = CPCAE(CPCAEModelParams(channels=widths, latent_size=5), channels=channels, size=size)
    x = placed([0, 1], channels=channels, size=size)
    assert model(x).shape == (2, channels, size, size)
    assert model.encode(x).shape == (2, 5)
    assert 0 <= model(x).min() <= model(x).max() <= 1


@pytest.mark.parametrize("conditioned", [True, False])
def test_every_parameter_gets_a_gradient(conditioned):
    model = built(conditioned=conditioned)
    sparse_loss(model, placed([0, 3, 8, 5]), sparsity=1e-4).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_codes_are_activations_behind_a_relu():
    model = built()
    with torch.no_grad():
        model.compress[0].bias.copy_(tensor([9.0, -9, 9, -9, 9, -9]))  # far beyond what the weights can do
    codes = model.encode(placed([0, 1, 2]))
    assert (codes[:, ::2] > 5).all()
    assert (codes[:, 1::2] == 0).all()


def test_the_place_adds_its_weight_to_the_code_and_to_the_decoder():
    """The same grey patch at place 3 and 6 of 9: the code moves by a third of the weight, as by hand."""
    model = built()
    with torch.no_grad():
        model.compress[0].weight.zero_()
        model.compress[0].weight[:, -1] = tensor([0.0, 1, 2, 3, 4, -5])
        model.compress[0].bias.zero_()
    here, there = (with_position(torch.full((1, 3, 16, 16), 0.5), np.array([place]), 9) for place in (3, 6))
    torch.testing.assert_close(model.encode(here), tensor([[0, 1, 2, 3, 4, 0]]) / 3)
    torch.testing.assert_close(model.encode(there), tensor([[0, 1, 2, 3, 4, 0]]) * 2 / 3)
    same = torch.zeros(1, 6)
    assert not torch.allclose(model.decode(same, tensor([[0.0]])), model.decode(same, tensor([[0.9]])))


def test_a_network_without_condition_draws_the_same_everywhere():
    one, other = (with_position(torch.full((1, 3, 16, 16), 0.5), np.array([place]), 9) for place in (0, 8))
    free, bound = built(conditioned=False), built()
    assert torch.equal(free(one), free(other))
    assert not torch.equal(bound(one), bound(other))


def test_a_network_learns_what_belongs_where():
    """Black patches in the first half of the places hide white ones there; the patch alone cannot tell which."""
    torch.manual_seed(0)
    places = np.arange(8).repeat(4)
    target = with_position(torch.full((32, 1, 8, 8), 0.0), places, 8)
    target[places >= 4, :1] = 1
    blind = with_position(torch.full((32, 1, 8, 8), 0.5), places, 8)  # what is given says nothing

    def error(conditioned):
        model = built(channels=1, size=8, conditioned=conditioned)
        adam = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(60):
            adam.zero_grad()
            loss = (model(blind) - target[:, :1]).square().mean()
            loss.backward()
            adam.step()
        return loss.item()

    assert error(conditioned=False) > 0.24  # a quarter: grey everywhere
    assert error(conditioned=True) < 0.1


def test_a_patch_of_another_side_or_without_place_is_refused():
    with pytest.raises(FlawlineError, match=r"patches must have shape \(N, 4, 16, 16\), got \(2, 3, 16, 16\)"):
        built()(torch.rand(2, 3, 16, 16))


def test_a_side_that_cannot_be_halved_often_enough_is_refused():
    with pytest.raises(FlawlineError, match="size must be a multiple of 16, got 40"):
        CPCAE(CPCAEModelParams(), channels=1, size=40)


# --- how it learns ---------------------------------------------------------------------------------------------------
class Fixed(nn.Module):
    """Codes and reconstructions that are known."""

    def encode(self, x):
        return tensor([[1.0, -3.0], [0.0, 2.0]]).requires_grad_()

    def decode(self, codes, place):
        return torch.zeros(2, 1, 1, 2) + place[:, :, None, None]


def test_eq_3_by_hand():
    patches = tensor([[0.0, 1.0], [0.5, 0.0]]).reshape(2, 1, 1, 2)
    x = with_position(patches, np.array([0, 1]), 2)  # redrawn as 0, 0 and 0.5, 0.5
    error = (0 + 1 + 0 + 0.25) / 4
    assert sparse_loss(Fixed(), x, sparsity=0.0).item() == pytest.approx(error)
    assert sparse_loss(Fixed(), x, sparsity=0.1).item() == pytest.approx(error + 0.1 * (1 + 3 + 0 + 2) / 4)


def test_sparsity_brings_the_codes_down(images):
    windows = grid_windows(images, [0, 1], GEOMETRY, seed=0)
    x = windows.cut(windows.fixed())

    def mean_code(sparsity):
        model = built()
        adam = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(30):
            adam.zero_grad()
            sparse_loss(model, x, sparsity=sparsity).backward()
            adam.step()
        return model.encode(x).abs().mean()

    assert mean_code(1.0) < 0.1 * mean_code(0.0)


@pytest.mark.parametrize(
    "change", [{"channels": (4, 16)}, {"latent_size": 7}, {"conditioned": False}, {"sparsity": 0.5}], ids=str
)
def test_every_parameter_shows_in_the_network_or_the_objective(change):
    """Of these a training's key is made: a parameter that shows in neither lets it take up another run's checkpoint."""

    def shown(params):
        return repr(CPCAE(params, channels=1, size=16)), json.dumps(cpcae_objective(params).describe())

    assert change.keys() <= MODEL.model_dump().keys()
    assert shown(MODEL.model_copy(update=change)) != shown(MODEL)


def test_the_dead_are_those_that_no_patch_wakes():
    codes = tensor([[0.0, 0.0, 1e-4, -2.0], [0.0, 0.5, -1e-4, 0.0]])
    assert dead_share(codes) == 0.5
    assert dead_share(codes, tiny=1e-5) == 0.25
    assert dead_share(codes, tiny=0.6) == 0.75


# --- training --------------------------------------------------------------------------------------------------------
def test_training_is_the_same_to_the_bit_for_a_seed_and_lowers_the_loss(images):
    one, other = train(images, epochs=3), train(images, epochs=3)
    assert_same(one.weights, other.weights)
    assert one.history["train_loss"].is_monotonic_decreasing


def test_sketches_show_the_images_channels_and_what_the_network_drew(images):
    fitted = train(images)
    assert {tuple(value.shape) for value in fitted.sample_reconstructions.values()} == {(3, 3, 16, 16)}
    windows = grid_windows(images, [4, 5], GEOMETRY, seed=7)
    x = windows.cut(windows.fixed()[:3])
    assert torch.equal(fitted.sample_reconstructions["patches"], split_position(x)[0])
    model = built()
    model.load_state_dict(fitted.weights)  # the best epoch is the last
    torch.testing.assert_close(fitted.sample_reconstructions["epoch_00002"], model(x).detach())


class Interrupted(Silent):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, label):
        self.label = label

    def track(self, items, *, total, label):
        for k, item in enumerate(items):
            if k == 1 and label.startswith(self.label):
                raise KeyboardInterrupt
            yield item


def test_a_killed_training_goes_on_as_if_it_had_not_been(tmp_path, images):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train(images, epochs=3, checkpoints=store, progress=Interrupted("epoch 3/"))
    resumed = train(images, epochs=3, checkpoints=store)
    assert resumed.resumed_from == 2
    unbroken = train(images, epochs=3)
    assert_same(resumed.weights, unbroken.weights)
    assert_same(resumed.sample_reconstructions, unbroken.sample_reconstructions)


def test_a_killed_trainings_state_does_not_fit_one_with_other_places(tmp_path, images):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    train(images, checkpoints=store)
    params = TrainParams(epochs=2, batch_size=8)
    other = GEOMETRY.model_copy(update={"stride": 4})
    fitted = train_cpcae(images, [0, 1, 2, 3], [4, 5], other, MODEL, params, seed=7, compute=ONE_THREAD,
                         checkpoints=store)  # fmt: skip
    assert fitted.resumed_from == 0


# --- folds -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("images", "folds"), [(10, 2), (11, 3), (4, 4), (209, 5)])
def test_folds_are_balanced_and_all_there(images, folds):
    of = fold_of(images, folds, 0)
    sizes = np.bincount(of)
    assert (len(of), len(sizes)) == (images, folds)
    assert sizes.max() - sizes.min() <= 1


def test_folds_are_drawn_by_the_seed():
    np.testing.assert_array_equal(fold_of(50, 5, 3), fold_of(50, 5, 3))
    assert not np.array_equal(fold_of(50, 5, 3), fold_of(50, 5, 4))
    assert not np.array_equal(fold_of(50, 5, 3), np.arange(50) % 5)


@pytest.mark.parametrize("folds", [1, 5])
def test_too_few_or_too_many_folds_are_refused(folds):
    with pytest.raises(FlawlineError, match=rf"from 2 to the number of training images, 4; got {folds}"):
        fold_of(4, folds, 0)


def test_each_folds_network_saw_all_training_images_but_the_folds(images):
    weights, history = folded(images)
    of = fold_of(4, 2, 7)
    for k in range(2):
        alone = train(images, [row for row in range(4) if of[row] != k])
        assert_same(fold_weights(weights, k), alone.weights)
        assert history.loc[history["fold"] == k, "train_loss"].tolist() == alone.history["train_loss"].tolist()
    assert len(weights) == 2 * len(alone.weights)


def test_what_a_fold_looks_like_does_not_matter_to_its_own_network(images):
    """Changing an image changes every network but the one that maps it."""
    before, _ = folded(images)
    changed = [images[0] // 2, *images[1:]]
    after, _ = folded(changed)
    unseen = fold_of(4, 2, 7)[0]
    assert_same(fold_weights(before, unseen), fold_weights(after, unseen))
    seen = fold_weights(before, 1 - unseen), fold_weights(after, 1 - unseen)
    assert not torch.equal(seen[0]["encoder.0.weight"], seen[1]["encoder.0.weight"])


def test_fold_1_is_not_fold_10():
    weights = {"fold_1/a": tensor([1.0]), "fold_10/a": tensor([10.0])}
    assert fold_weights(weights, 1) == {"a": tensor([1.0])}


def test_killed_folds_go_on_where_they_stopped(tmp_path, images, monkeypatch):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        folded(images, checkpoints=store, progress=Interrupted("fold 2/2, epoch 2/"))
    resumed_from, original = [], cpcae.fit

    def watched(*args, **options):
        fitted = original(*args, **options)
        resumed_from.append(fitted.resumed_from)
        return fitted

    monkeypatch.setattr(cpcae, "fit", watched)
    resumed, _ = folded(images, checkpoints=store)
    assert resumed_from == [2, 1]
    assert_same(resumed, folded(images)[0])
    store.clear()
    assert list(tmp_path.iterdir()) == []


def test_folds_show_their_progress_but_keep_out_of_the_record(images):
    class Recorder(Silent):
        labels, epochs = [], []

        def track(self, items, *, total, label):
            self.labels.append((label, total))
            yield from items

        def epoch(self, record):
            self.epochs.append(record)

    folded(images, epochs=1, progress=Recorder())
    assert Recorder.labels == [("fold 1/2, epoch 1/1", 3), ("fold 2/2, epoch 1/1", 3)]
    assert Recorder.epochs == []
