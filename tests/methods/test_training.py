import os
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from flawline.checks import FlawlineError
from flawline.methods.cae import CAE, reconstruction_loss
from flawline.methods.checkpoints import FileCheckpoints, read_tensors
from flawline.methods.progress import Silent
from flawline.methods.training import fit, past_end, should_stop, to_unit, windows_of
from flawline.params import CAEModelParams, ComputeParams, PatchParams, TrainParams

GEOMETRY = PatchParams(size=16, stride=8, per_epoch=20)
MODEL = CAEModelParams(latent_size=3, hidden_size=8)
ONE_THREAD = ComputeParams(device="cpu", threads=1)


def train(images, *, seed=0, make=None, loss=reconstruction_loss, checkpoints=None, progress=None, geometry=GEOMETRY,
          **params):  # fmt: skip
    """Fit on the first two of ``images``, validate on the third."""
    channels = images[0].shape[0]
    return fit(
        make or partial(CAE, MODEL, channels=channels, size=geometry.size),
        loss,
        windows_of(images, [0, 1], geometry, seed=seed),
        windows_of(images, [2], geometry, seed=seed),
        TrainParams(**({"epochs": 4, "batch_size": 8} | params)),
        compute=ONE_THREAD,
        checkpoints=checkpoints,
        progress=progress,
    )


def assert_same(one, other):
    """The same weights and history, to the bit."""
    assert one.weights.keys() == other.weights.keys()
    assert [name for name in one.weights if not torch.equal(one.weights[name], other.weights[name])] == []
    assert one.history.to_dict("records") == other.history.to_dict("records")


class Interrupted(Silent):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.label = f"epoch {epoch}/"

    def track(self, items, *, total, label):
        for k, item in enumerate(items):
            if k == 1 and label.startswith(self.label):
                raise KeyboardInterrupt
            yield item


class Recorder(Silent):
    def __init__(self):
        self.epochs, self.totals = [], []

    def track(self, items, *, total, label):
        self.totals.append(total)
        yield from items

    def epoch(self, record):
        self.epochs.append(int(record["epoch"]))


# --- windows ---------------------------------------------------------------------------------------------------------
def test_windows_of_an_epoch_do_not_depend_on_what_ran_before(photographs):
    windows = windows_of(photographs, [0, 1, 2], GEOMETRY, seed=3)
    fifth = windows.epoch(5)
    windows.epoch(0), windows.fixed()
    np.testing.assert_array_equal(windows.epoch(5), fifth)
    assert not np.array_equal(windows.epoch(4), fifth)
    assert not np.array_equal(windows_of(photographs, [0, 1, 2], GEOMETRY, seed=4).epoch(5), fifth)


def test_validation_windows_stay_and_are_no_epochs_windows(photographs):
    windows = windows_of(photographs, [0], GEOMETRY, seed=0)
    np.testing.assert_array_equal(windows.fixed(), windows.fixed())
    assert not np.array_equal(windows.fixed(), windows.epoch(0))
    assert not np.array_equal(windows.fixed(), windows.epoch(1))


def test_validation_has_at_most_256_windows(photographs):
    assert len(windows_of(photographs, [0], PatchParams(size=16, stride=8, per_epoch=300), seed=0).fixed()) == 256


def test_batches_are_the_images_pixels_in_0_to_1(photographs):
    windows = windows_of(photographs, [0, 2], GEOMETRY, seed=0)
    places = np.array([[0, 0, 0], [1, 8, 12], [0, 3, 4]])  # image 1 of these is photograph 2
    first, second = windows.batches(places, 2)
    assert (first.shape, second.shape) == ((2, 1, 16, 16), (1, 1, 16, 16))
    np.testing.assert_allclose(first[1, 0].numpy(), photographs[2][0, 8:24, 12:28] / 255, rtol=1e-6)
    np.testing.assert_allclose(second[0, 0].numpy(), photographs[0][0, 3:19, 4:20] / 255, rtol=1e-6)


def test_no_image_is_an_error(photographs):
    with pytest.raises(FlawlineError, match="no image to cut windows from"):
        windows_of(photographs, [], GEOMETRY, seed=0)


def test_a_patch_larger_than_an_image_is_an_error(photographs):
    with pytest.raises(FlawlineError, match="size = 32 must fit every image; one has 24 x 28 pixels"):
        windows_of(photographs, [0, 1], PatchParams(size=32), seed=0)


def test_8_and_16_bit_images_are_not_mixed(photographs):
    deep = photographs[1].astype(np.uint16)
    with pytest.raises(FlawlineError, match="images must all have the same depth, got uint16 and uint8"):
        windows_of([photographs[0], deep], [0, 1], GEOMETRY, seed=0)


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_to_unit_divides_by_the_types_largest_value(dtype, largest):
    pixels = np.array([0, 1, largest], dtype).reshape(1, 1, 1, 3)
    assert to_unit(pixels).dtype == torch.float32
    np.testing.assert_allclose(to_unit(pixels).numpy().ravel(), [0, 1 / largest, 1], rtol=1e-6)


# --- the same seed, the same result ----------------------------------------------------------------------------------
def test_one_seed_gives_the_same_weights_and_history_to_the_bit(photographs):
    assert_same(train(photographs), train(photographs))


def test_global_random_state_neither_matters_nor_changes(photographs):
    one = train(photographs, epochs=1)
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    assert_same(one, train(photographs, epochs=1))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_gives_other_weights(photographs):
    one, other = train(photographs, epochs=1), train(photographs, epochs=1, seed=1)
    assert not torch.equal(one.weights["encoder.0.weight"], other.weights["encoder.0.weight"])


def test_16_bit_images_of_the_same_brightness_train_alike(photographs):
    deep = [image.astype(np.uint16) * 257 for image in photographs]  # 255 * 257 = 65535
    one, other = train(photographs, epochs=1), train(deep, epochs=1)
    assert one.history["validation_loss"][0] == pytest.approx(other.history["validation_loss"][0], rel=1e-4)


# --- taken up again --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_an_interrupted_run_ends_as_the_unbroken_one_to_the_bit(tmp_path, photographs, epoch):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train(photographs, checkpoints=store, progress=Interrupted(epoch))
    resumed = train(photographs, checkpoints=store)
    assert resumed.resumed_from == epoch - 1
    assert_same(resumed, train(photographs))


def test_a_resumed_run_tells_the_listener_its_whole_history(tmp_path, photographs):
    store, recorder = FileCheckpoints(tmp_path / "state.safetensors"), Recorder()
    train(photographs, epochs=2, checkpoints=store)
    train(photographs, epochs=4, checkpoints=store, progress=recorder)
    assert recorder.epochs == [1, 2, 3, 4]
    assert recorder.totals == [3, 3]  # 20 windows in batches of 8


KILLED = """
import sys, time
from functools import partial
from pathlib import Path
import numpy as np
from flawline.methods.cae import CAE, reconstruction_loss
from flawline.methods.checkpoints import FileCheckpoints
from flawline.methods.progress import Silent
from flawline.methods.training import fit, windows_of
from flawline.params import CAEModelParams, ComputeParams, PatchParams, TrainParams

class Slow(Silent):
    def track(self, items, *, total, label):
        for item in items:
            time.sleep(1.0 if label in ("epoch 5/8", "epoch 6/8", "epoch 7/8", "epoch 8/8") else 0.0)
            yield item

folder = Path(sys.argv[1])
images = list(np.load(folder / "images.npy"))
geometry = PatchParams(size=16, stride=8, per_epoch=20)
fit(partial(CAE, CAEModelParams(latent_size=3, hidden_size=8), channels=1, size=16), reconstruction_loss,
    windows_of(images, [0, 1], geometry, seed=0), windows_of(images, [2], geometry, seed=0),
    TrainParams(epochs=8, batch_size=8), compute=ComputeParams(device="cpu", threads=1),
    checkpoints=FileCheckpoints(folder / "state.safetensors"), progress=Slow())
"""


def wait_for_epoch(process, path, epoch, *, patience=60.0):
    """Wait until the checkpoint at ``path`` has reached ``epoch``."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        assert process.poll() is None, "the training ended by itself"
        try:
            if read_tensors(path)[1]["epoch"] >= epoch:
                return
        except (FileNotFoundError, SafetensorError):
            pass
        time.sleep(0.01)
    pytest.fail(f"no epoch {epoch} within {patience} s")


def test_a_killed_run_is_taken_up_again_and_ends_as_the_unbroken_one_to_the_bit(tmp_path):
    images = np.random.default_rng(7).integers(0, 256, (3, 1, 24, 28), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    path = tmp_path / "state.safetensors"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)]) as process:
        try:
            wait_for_epoch(process, path, 3)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    resumed = train(list(images), epochs=8, checkpoints=FileCheckpoints(path))
    assert 3 <= resumed.resumed_from < 8
    assert_same(resumed, train(list(images), epochs=8))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"learning_rate": 2e-3},
        {"batch_size": 10},
        {"geometry": PatchParams(size=16, stride=8, per_epoch=21)},
        {"make": partial(CAE, CAEModelParams(latent_size=4, hidden_size=8), channels=1, size=16)},
        {"make": partial(CAE, CAEModelParams(encoder="industrial", latent_size=3, hidden_size=8), channels=1, size=16)},
        {"loss": lambda model, x: (model(x) - x).abs().mean()},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_checkpoint_of_another_run_is_not_taken_up(tmp_path, photographs, other):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    train(photographs, epochs=1, checkpoints=store)
    assert train(photographs, epochs=2, checkpoints=store, **other).resumed_from == 0


@pytest.mark.parametrize("changed", [0, 2])
def test_a_checkpoint_of_other_data_is_not_taken_up(tmp_path, photographs, changed):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    train(photographs, epochs=1, checkpoints=store)
    photographs[changed] = photographs[changed].copy()
    photographs[changed][0, 0, 0] ^= 1
    assert train(photographs, epochs=2, checkpoints=store).resumed_from == 0


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    train(photographs, epochs=2, checkpoints=store)
    longer = train(photographs, epochs=5, checkpoints=store)
    assert longer.resumed_from == 2
    assert_same(longer, train(photographs, epochs=5))


def test_a_shorter_run_does_not_return_a_longer_ones_weights(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    train(photographs, epochs=4, checkpoints=store)
    shorter = train(photographs, epochs=2, checkpoints=store)
    assert shorter.resumed_from == 0
    assert_same(shorter, train(photographs, epochs=2))


def test_a_finished_run_is_returned_as_it_is(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    done = train(photographs, epochs=2, checkpoints=store)
    again = train(photographs, epochs=2, checkpoints=store)
    assert again.resumed_from == 2
    assert_same(done, again)


# --- when to stop, what to keep --------------------------------------------------------------------------------------
def losses(*values):
    return [{"epoch": k, "validation_loss": value} for k, value in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("history", "patience", "stops"),
    [
        (losses(3, 2, 1), 2, False),
        (losses(1, 2, 3), 2, True),
        (losses(1, 2, 0.5), 2, False),
        (losses(1, 1, 1), 2, True),  # as good is not better
        (losses(1, 2), 2, False),  # the first epoch and one more
        (losses(1, 2, 3, 4, 5), None, False),
        ([], 1, False),
    ],
)
def test_training_stops_after_patience_epochs_without_a_lower_validation_loss(history, patience, stops):
    assert should_stop(history, patience) is stops


def test_a_history_beyond_the_parameters_end_is_known():
    history = losses(3, 1, 2, 2, 2)
    assert not past_end(history, TrainParams(epochs=5))
    assert past_end(history, TrainParams(epochs=4))
    assert past_end(history, TrainParams(epochs=9, patience=2))  # it would have stopped after the fourth
    assert not past_end(history, TrainParams(epochs=9, patience=3))


class Drifting(nn.Module):
    """A model of one number, drawn to the training images' mean and so past the validation image's."""

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.level.expand_as(x)


def test_best_weights_are_those_of_the_lowest_validation_loss_and_patience_stops():
    images = [np.full((1, 16, 16), value, np.uint8) for value in (255, 255, 51)]  # train 1.0, validation 0.2
    fitted = train(images, make=Drifting, epochs=30, learning_rate=0.02, patience=3)
    validation = fitted.history["validation_loss"]
    best = int(validation.idxmin())
    assert 0 < best < 29
    assert len(fitted.history) == best + 1 + 3
    assert (fitted.weights["level"].item() - 0.2) ** 2 == pytest.approx(validation[best], rel=1e-4)


def test_history_has_a_row_an_epoch_with_losses_as_the_model_had_them():
    images = [np.full((1, 16, 16), 255, np.uint8)] * 3
    history = train(images, make=Drifting, epochs=2, batch_size=20, learning_rate=0.25).history
    assert list(history.columns) == ["epoch", "train_loss", "validation_loss"]
    assert history["epoch"].tolist() == [1, 2]
    # One step an epoch: Adam's first step is the learning rate, so 0 -> 0.25, and the loss before it is (1 - 0)^2.
    assert history["train_loss"].tolist() == pytest.approx([1, 0.75**2], rel=1e-4)
    assert history["validation_loss"][0] == pytest.approx(0.75**2, rel=1e-4)


def test_a_diverging_loss_stops_the_run(photographs):
    with pytest.raises(FlawlineError, match=r"training diverged in epoch 1: .* train.learning_rate \(now 0.001\)"):
        train(photographs, loss=lambda model, x: model(x).mean() * float("nan"))


def test_a_diverged_epoch_is_not_saved(tmp_path, photographs):
    store, calls = FileCheckpoints(tmp_path / "state.safetensors"), []

    def failing(model, x):
        calls.append(1)
        return reconstruction_loss(model, x) * (float("nan") if len(calls) > 10 else 1.0)

    with pytest.raises(FlawlineError, match="diverged in epoch 2"):
        train(photographs, loss=failing, checkpoints=store)
    assert read_tensors(store.path)[1]["epoch"] == 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_loss_falls_on_a_pattern_that_is_easy_to_learn(precision):
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 32), (1, 32, 1))  # (1, 32, 64): dark left, bright right
    geometry = PatchParams(size=32, stride=32, per_epoch=64)
    model = partial(CAE, CAEModelParams(latent_size=4, hidden_size=32), channels=1, size=32)
    fitted = train([stripes] * 3, make=model, geometry=geometry, epochs=12, learning_rate=3e-3, precision=precision)
    assert fitted.history["validation_loss"].min() < 0.5 * fitted.history["validation_loss"][0]
    assert {value.dtype for value in fitted.weights.values()} == {torch.float32}


def test_windows_are_of_views_of_the_images(photographs):
    windows = windows_of(photographs, [1], GEOMETRY, seed=0)
    assert np.shares_memory(windows.images[0], photographs[1])
