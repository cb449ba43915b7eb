"""A reconstructor's network taught as its row says, on images downsized already."""

import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.methods.cpcae import CPCAE, CPCAEReconstructor
from flawline.methods.fitting import material_of, train_network
from flawline.methods.grid_positions import GridWindows, grid_windows, split_position
from flawline.methods.maps import load_model
from flawline.methods.registry import RECONSTRUCTORS
from flawline.params import ComputeParams
from flawline.training.checkpoints import FileCheckpoints, NoCheckpoints
from flawline.training.compute import using_threads
from flawline.training.folds import fit_folds, fold_of, fold_weights
from flawline.training.loop import Tools
from flawline.training.progress import Silent

GEOMETRY = BASE.cpcae.patches.but(side=24, size=16, stride=8, per_epoch=20)
MODEL = BASE.cpcae.model.but(channels=(4, 8), latent_size=6)
CPCAE_NETWORK, CAE_NETWORK = RECONSTRUCTORS["cpcae"].network, RECONSTRUCTORS["cae"].network
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


def tools_of(*, checkpoints=None, progress=None):
    return Tools(ONE_THREAD, checkpoints or NoCheckpoints(), progress=progress or Silent())


def train(images, rows=(0, 1, 2, 3), *, epochs=2, validated=(4, 5), patches=GEOMETRY, seed=7, tools=None, **train):
    """Validate on the last two of ``images``."""
    params = BASE.cae.train.but(**{"epochs": epochs, "batch_size": 8, **train})
    material = material_of(CPCAE_NETWORK, images, (rows, validated), patches=patches, seed=seed)
    return train_network(CPCAE_NETWORK, images, material, patches=patches, model=MODEL, train=params,
                         tools=tools or tools_of())  # fmt: skip


def folded(images, *, folds=2, epochs=2, seed=7, **tools):
    def train_one(rows, tools):
        return train(images, rows, epochs=epochs, seed=seed, tools=tools)

    return fit_folds(train_one, [0, 1, 2, 3], folds, seed=seed, tools=tools_of(**tools))


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


# --- what is learned from --------------------------------------------------------------------------------------------
def test_the_windows_are_those_that_the_row_names(images):
    material = material_of(CPCAE_NETWORK, images, ([0, 2], [4]), patches=GEOMETRY, seed=3)
    assert isinstance(material.train, GridWindows)
    assert [image is images[row] for image, row in zip(material.train.images, (0, 2), strict=True)] == [True, True]
    assert (len(material.validation.images), material.validation.seed, material.pseudo) == (1, 3, {})
    plain = material_of(CAE_NETWORK, images, ([0, 2], [4]), patches=BASE.cae.patches.but(size=16, stride=8), seed=3)
    assert not isinstance(plain.train, GridWindows)


def test_pseudo_defective_images_come_with_their_masks(images):
    damaged, masks = images[:3], [np.zeros((24, 24), bool) for _ in range(3)]
    masks[2][:] = True
    material = material_of(CAE_NETWORK, images, ([0], [4]), patches=BASE.cae.patches.but(size=16, stride=8), seed=3,
                           pseudo={"train": (damaged, masks)})  # fmt: skip
    pseudo = material.pseudo["train"]
    assert len(pseudo.windows.images) == 3
    assert pseudo.shares(np.array([[0, 0, 0], [2, 4, 4]])).tolist() == [0, 1]


# --- training --------------------------------------------------------------------------------------------------------
def test_training_is_the_same_to_the_bit_for_a_seed_and_lowers_the_loss(images):
    one, other = train(images, epochs=3), train(images, epochs=3)
    assert_same(one.weights, other.weights)
    assert one.history["train_loss"].is_monotonic_decreasing


def test_samples_show_the_images_channels_and_what_the_network_drew(images):
    fitted = train(images)
    assert {tuple(value.shape) for value in fitted.sample_reconstructions.values()} == {(3, 3, 16, 16)}
    windows = grid_windows(images, [4, 5], GEOMETRY, seed=7)
    x = windows.cut(windows.fixed()[:3])
    assert torch.equal(fitted.sample_reconstructions["patches"], split_position(x)[0])
    model = CPCAE(MODEL, channels=3, size=16)
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
        train(images, epochs=3, tools=tools_of(checkpoints=store, progress=Interrupted("epoch 3/")))
    resumed = train(images, epochs=3, tools=tools_of(checkpoints=store))
    assert resumed.resumed_from == 2
    unbroken = train(images, epochs=3)
    assert_same(resumed.weights, unbroken.weights)
    assert_same(resumed.sample_reconstructions, unbroken.sample_reconstructions)


def test_a_killed_trainings_state_does_not_fit_one_with_other_places(tmp_path, images):
    tools = tools_of(checkpoints=FileCheckpoints(tmp_path / "state.safetensors"))
    train(images, tools=tools)
    assert train(images, patches=GEOMETRY.model_copy(update={"stride": 4}), tools=tools).resumed_from == 0


# --- folds -----------------------------------------------------------------------------------------------------------
def test_each_folds_network_saw_all_training_images_but_the_folds(images):
    weights = folded(images)
    of = fold_of(4, 2, 7)
    for k in range(2):
        alone = train(images, [row for row in range(4) if of[row] != k])
        assert_same(fold_weights(weights, k), alone.weights)
    assert len(weights) == 2 * len(alone.weights)


def test_what_a_fold_looks_like_does_not_matter_to_its_own_network(images):
    """Changing an image changes every network but the one that maps it."""
    before, after = folded(images), folded([images[0] // 2, *images[1:]])
    unseen = fold_of(4, 2, 7)[0]
    assert_same(fold_weights(before, unseen), fold_weights(after, unseen))
    seen = fold_weights(before, 1 - unseen), fold_weights(after, 1 - unseen)
    assert not torch.equal(seen[0]["encoder.0.weight"], seen[1]["encoder.0.weight"])


def test_killed_folds_go_on_where_they_stopped(tmp_path, images):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        folded(images, checkpoints=store, progress=Interrupted("fold 2/2, epoch 2/"))
    epochs = Recorder()
    resumed = folded(images, checkpoints=store, progress=epochs)
    assert [label for label, _ in epochs.labels] == ["fold 2/2, epoch 2/2"]  # all that was left to do
    assert_same(resumed, folded(images))
    store.clear()
    assert list(tmp_path.iterdir()) == []


class Recorder(Silent):
    def __init__(self):
        self.labels, self.epochs = [], []

    def track(self, items, *, total, label):
        self.labels.append((label, total))
        yield from items

    def epoch(self, record):
        self.epochs.append(record)


def test_folds_show_their_progress_but_keep_out_of_the_record(images):
    recorder = Recorder()
    folded(images, epochs=1, progress=recorder)
    assert recorder.labels == [("fold 1/2, epoch 1/1", 3), ("fold 2/2, epoch 1/1", 3)]
    assert recorder.epochs == []


def test_each_training_image_is_reconstructed_by_the_network_that_did_not_see_it():
    """Black images but one, white: the network that saw it draws it brighter than the one that did not."""
    images = [np.full((1, 24, 24), level, np.uint8) for level in (0, 255, 0, 0, 0)]

    def train_one(rows, tools):
        return train(images, rows, validated=[0, 1], seed=2, tools=tools, epochs=14, batch_size=4, learning_rate=1e-2)

    weights = fit_folds(train_one, [0, 1, 2, 3], 2, seed=2, tools=tools_of())
    own = fold_of(4, 2, 2)[1]

    def mean_of(fold):
        network = load_model(CPCAE(MODEL, channels=1, size=16), fold_weights(weights, fold), ONE_THREAD)
        return CPCAEReconstructor(network, GEOMETRY).reconstruct(images[1]).image.mean()

    assert mean_of(1 - own) > 0.8
    assert mean_of(own) < 0.6
