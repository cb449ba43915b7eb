import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from base_params import BASE, PROJECT
from safetensors import SafetensorError
from torch import nn

from flawline.checks import FlawlineError
from flawline.methods.cae import CAE, reconstruction_loss
from flawline.methods.registry import RECONSTRUCTORS, resolve
from flawline.params import ComputeParams
from flawline.storage.tensors import read_tensors
from flawline.training.checkpoints import FileCheckpoints, NoCheckpoints
from flawline.training.loop import (
    Tools,
    Training,
    batches_of,
    fit,
    noise,
    past_end,
    patience_exhausted,
    should_stop,
)
from flawline.training.objective import Best, Material, Objective, Phase, Stage, Stop, minimise, one_stage, warmed_up
from flawline.training.progress import Silent
from flawline.training.windows import PseudoWindows, to_unit, windows_of

PATCHES = BASE.cae.patches
CAE_MODEL = BASE.cae.model
TRAIN = BASE.cae.train

GEOMETRY = PATCHES.but(size=16, stride=8, per_epoch=20)
SIZES = {"latent_size": 3, "hidden_size": 8}
AUTOENCODERS = ("cae", "vae", "aae")
MODEL = CAE_MODEL.but(**SIZES)
BY_ERROR = minimise(reconstruction_loss)
ONE_THREAD = ComputeParams(device="cpu", threads=1)


def train(images, *, seed=0, make=None, objective=BY_ERROR, checkpoints=None, progress=None, geometry=GEOMETRY,
          **params):  # fmt: skip
    """Fit on the first two of ``images``, validate on the third."""
    channels = images[0].shape[0]
    return fit(
        make or partial(CAE, MODEL, channels=channels, size=geometry.size),
        objective,
        Material(windows_of(images, [0, 1], geometry, seed=seed), windows_of(images, [2], geometry, seed=seed)),
        TRAIN.but(**({"epochs": 4, "batch_size": 8} | params)),
        tools=Tools(ONE_THREAD, checkpoints or NoCheckpoints(), progress=progress or Silent()),
    )


def small(name, *, channels=1):
    """Return ``train``'s ``make`` and ``objective`` of a small network of the method ``name``."""
    network, params = RECONSTRUCTORS[name].network, model_params(name)
    make = partial(resolve(network.build), params, channels=channels, size=16)
    return {"make": make, "objective": resolve(network.objective)(params)}


def model_params(name, **changes):
    """Return small parameters of one stage, of a method that has a warm-up too."""
    base = getattr(BASE, name).model
    one_stage = {"warmup": 0} if hasattr(base, "warmup") else {}
    return base.but(**{**SIZES, **one_stage, **changes})


def assert_same(one, other):
    """The same weights, sample_reconstructions and history, to the bit; the clock alone may differ."""
    for mine, theirs in ((one.weights, other.weights), (one.sample_reconstructions, other.sample_reconstructions)):
        assert mine.keys() == theirs.keys()
        assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert timeless(one.history) == timeless(other.history)


def timeless(history):
    return history.drop(columns="seconds").to_dict("records")


def grey(*levels):
    """Return an image (1, 16, 16) of each level, read-only."""
    images = [np.full((1, 16, 16), level, np.uint8) for level in levels]
    for image in images:
        image.setflags(write=False)
    return images


@pytest.fixture
def colour_photographs():
    """Three colour images (3, 24, 28), uint8, read-only."""
    images = list(np.random.default_rng(8).integers(0, 256, (3, 3, 24, 28), dtype=np.uint8))
    for image in images:
        image.setflags(write=False)
    return images


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
    assert len(windows_of(photographs, [0], PATCHES.but(size=16, stride=8, per_epoch=300), seed=0).fixed()) == 256


def test_batches_are_the_images_pixels_in_0_to_1(photographs):
    windows = windows_of(photographs, [0, 2], GEOMETRY, seed=0)
    places = np.array([[0, 0, 0], [1, 8, 12], [0, 3, 4], [0, 1, 1]])  # image 1 of these is photograph 2
    first, second = (batch.x for batch in batches_of(windows, places, 2, {}))
    assert (first.shape, second.shape) == ((2, 1, 16, 16), (2, 1, 16, 16))
    np.testing.assert_allclose(first[1, 0].numpy(), photographs[2][0, 8:24, 12:28] / 255, rtol=1e-6)
    np.testing.assert_allclose(second[0, 0].numpy(), photographs[0][0, 3:19, 4:20] / 255, rtol=1e-6)


def test_a_last_window_alone_joins_the_batch_before(photographs):
    windows = windows_of(photographs, [0], GEOMETRY, seed=0)
    sizes = [[len(batch.x) for batch in batches_of(windows, windows.epoch(0)[:n], 2, {})] for n in (1, 2, 3, 5)]
    assert sizes == [[1], [2], [3], [2, 3]]


def test_an_epoch_of_images_as_small_as_a_patch_is_all_of_them_in_another_order():
    images = list(np.random.default_rng(0).integers(0, 256, (9, 1, 16, 16), dtype=np.uint8))
    windows = windows_of(images, range(9), GEOMETRY, seed=0)
    first, second = windows.epoch(0), windows.epoch(1)
    assert sorted(first[:, 0]) == sorted(second[:, 0]) == list(range(9))
    assert first[:, 0].tolist() != second[:, 0].tolist()
    assert not first[:, 1:].any()
    assert len(windows.fixed()) == 9


def test_no_image_is_an_error(photographs):
    with pytest.raises(FlawlineError, match="no image to cut windows from"):
        windows_of(photographs, [], GEOMETRY, seed=0)


def test_a_patch_larger_than_an_image_is_an_error(photographs):
    with pytest.raises(FlawlineError, match="size = 32 must fit every image; one has 24 x 28 pixels"):
        windows_of(photographs, [0, 1], PATCHES.but(size=32), seed=0)


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
@pytest.mark.parametrize("name", AUTOENCODERS)
def test_one_seed_gives_the_same_weights_and_history_to_the_bit(photographs, name):
    assert_same(train(photographs, **small(name)), train(photographs, **small(name)))


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_global_random_state_neither_matters_nor_changes(photographs, name):
    one = train(photographs, epochs=1, **small(name))
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    assert_same(one, train(photographs, epochs=1, **small(name)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_gives_other_weights(photographs):
    one, other = train(photographs, epochs=1), train(photographs, epochs=1, seed=1)
    assert not torch.equal(one.weights["encoder.0.weight"], other.weights["encoder.0.weight"])


def test_16_bit_images_of_the_same_brightness_train_alike(photographs):
    deep = [image.astype(np.uint16) * 257 for image in photographs]  # 255 * 257 = 65535
    one, other = train(photographs, epochs=1), train(deep, epochs=1)
    assert one.history["validation_loss"][0] == pytest.approx(other.history["validation_loss"][0], rel=1e-4)


# --- the noise of losses ---------------------------------------------------------------------------------------------
def drawn(generator):
    return torch.randn(8, generator=generator).tolist()


def test_noise_is_the_same_for_one_seed_and_epoch_and_else_another():
    assert drawn(noise(3, 5)) == drawn(noise(3, 5))
    streams = [tuple(drawn(noise(seed, epoch))) for seed in range(4) for epoch in range(4)]
    assert len(set(streams)) == 16


def watch_draws(seeds, watched):
    """Return an objective whose loss notes the seed of the generator that it gets."""

    def loss(model, x, generator):
        (seeds if torch.is_grad_enabled() else watched).append(generator and generator.initial_seed())
        return reconstruction_loss(model, x)

    return minimise(loss)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_loss_gets_the_noise_of_seed_and_epoch_and_the_watched_one_none(photographs, seed):
    seeds, watched = [], []
    train(photographs, seed=seed, epochs=2, objective=watch_draws(seeds, watched))
    batches = 3  # 20 windows in batches of 8
    assert seeds == [noise(seed, epoch).initial_seed() for epoch in (0, 1) for _ in range(batches)]
    assert watched == [None] * 2 * batches


def test_two_seeds_draw_other_codes_of_the_same_patches():
    """All windows are alike and the first weights fixed, so that the seed shows in the draws alone."""
    images = grey(0, 0, 0)

    def make():
        torch.manual_seed(0)
        return small("vae")["make"]()

    one, same, other = (
        train(images, seed=seed, epochs=1, make=make, objective=small("vae")["objective"]) for seed in (0, 0, 1)
    )
    assert_same(one, same)
    assert torch.equal(one.sample_reconstructions["epoch_00000"], other.sample_reconstructions["epoch_00000"])
    assert one.history["train_loss"][0] != other.history["train_loss"][0]


# --- taken up again --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_an_interrupted_run_ends_as_the_unbroken_one_to_the_bit(tmp_path, photographs, epoch, name):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train(photographs, checkpoints=store, progress=Interrupted(epoch), **small(name))
    resumed = train(photographs, checkpoints=store, **small(name))
    assert resumed.resumed_from == epoch - 1
    assert_same(resumed, train(photographs, **small(name)))


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_an_interrupted_run_in_colour_ends_as_the_unbroken_one_to_the_bit(tmp_path, colour_photographs, name):
    store, method = FileCheckpoints(tmp_path / "state.safetensors"), small(name, channels=3)
    with pytest.raises(KeyboardInterrupt):
        train(colour_photographs, checkpoints=store, progress=Interrupted(2), **method)
    resumed = train(colour_photographs, checkpoints=store, **method)
    assert resumed.resumed_from == 1
    assert_same(resumed, train(colour_photographs, **method))


def test_a_resumed_run_tells_the_listener_its_whole_history(tmp_path, photographs):
    store, recorder = FileCheckpoints(tmp_path / "state.safetensors"), Recorder()
    train(photographs, epochs=2, checkpoints=store)
    train(photographs, epochs=4, checkpoints=store, progress=recorder)
    assert recorder.epochs == [1, 2, 3, 4]
    assert recorder.totals == [3, 3]  # 20 windows in batches of 8


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from flawline.training.checkpoints import FileCheckpoints
from flawline.training.progress import Silent
from flawline.methods.fitting import material_of, train_network
from flawline.methods.registry import RECONSTRUCTORS
from flawline.training.loop import Tools
from flawline.conf import read_parameters
from flawline.params import ComputeParams

class Slow(Silent):
    def track(self, items, *, total, label):
        for item in items:
            time.sleep(1.0 if label in ("epoch 5/8", "epoch 6/8", "epoch 7/8", "epoch 8/8") else 0.0)
            yield item

folder, row = Path(sys.argv[1]), RECONSTRUCTORS[sys.argv[2]]
images = list(np.load(folder / "images.npy"))
branch = getattr(read_parameters(Path(sys.argv[3])), row.name)
geometry = branch.patches.but(size=16, stride=8, per_epoch=20)
model = type(branch.model).model_validate_json(sys.argv[4])
material = material_of(row.network, images, ([0, 1], [2]), patches=geometry, seed=0)
tools = Tools(ComputeParams(device="cpu", threads=1), FileCheckpoints(folder / "state.safetensors"), progress=Slow())
train_network(row.network, images, material, patches=geometry, model=model,
              train=branch.train.but(epochs=8, batch_size=8), tools=tools)
"""


def wait_for_epoch(process, path, epoch, *, patience=300.0):
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


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_killed_run_is_taken_up_again_and_ends_as_the_unbroken_one_to_the_bit(tmp_path, name):
    images = np.random.default_rng(7).integers(0, 256, (3, 1, 24, 28), dtype=np.uint8)
    images.setflags(write=False)
    np.save(tmp_path / "images.npy", images)
    path = tmp_path / "state.safetensors"
    model = model_params(name).model_dump_json()
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), name, str(PROJECT), model]) as process:
        try:
            wait_for_epoch(process, path, 3)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    resumed = train(list(images), epochs=8, checkpoints=FileCheckpoints(path), **small(name))
    assert 3 <= resumed.resumed_from < 8
    assert_same(resumed, train(list(images), epochs=8, **small(name)))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"learning_rate": 2e-3},
        {"batch_size": 10},
        {"geometry": PATCHES.but(size=16, stride=8, per_epoch=21)},
        {"make": partial(CAE, CAE_MODEL.but(latent_size=4, hidden_size=8), channels=1, size=16)},
        {"make": partial(CAE, CAE_MODEL.but(encoder="industrial", latent_size=3, hidden_size=8), channels=1, size=16)},
        {"objective": minimise(lambda model, x, generator: (model(x) - x).abs().mean())},
        small("vae"),
        small("aae"),
    ],
    ids=["seed", "rate", "batch", "per_epoch", "latent", "encoder", "loss", "vae", "aae"],
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


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path, photographs, name):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    train(photographs, epochs=2, checkpoints=store, **small(name))
    longer = train(photographs, epochs=5, checkpoints=store, **small(name))
    assert longer.resumed_from == 2
    assert_same(longer, train(photographs, epochs=5, **small(name)))


def test_a_shorter_run_does_not_return_a_longer_ones_weights(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    train(photographs, epochs=4, checkpoints=store)
    shorter = train(photographs, epochs=2, checkpoints=store)
    assert shorter.resumed_from == 0
    assert_same(shorter, train(photographs, epochs=2))


@pytest.mark.parametrize("name", ["vae", "aae"])
def test_a_checkpoint_of_another_weight_of_the_loss_is_not_taken_up(tmp_path, photographs, name):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    train(photographs, epochs=1, checkpoints=store, **small(name))
    changed = model_params(name, **{"vae": {"kl_weight": 2.0}, "aae": {"clip": 0.02}}[name])
    other = {**small(name), "objective": resolve(RECONSTRUCTORS[name].network.objective)(changed)}
    assert train(photographs, epochs=2, checkpoints=store, **other).resumed_from == 0


def test_a_finished_run_is_returned_as_it_is(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    done = train(photographs, epochs=2, checkpoints=store)
    again = train(photographs, epochs=2, checkpoints=store)
    assert again.resumed_from == 2
    assert_same(done, again)
    assert done.history["seconds"].tolist() == again.history["seconds"].tolist()  # as it was then


# --- when to stop, what to keep --------------------------------------------------------------------------------------
def losses(*values, **more):
    return [{"epoch": k, **more, "validation_loss": value} for k, value in enumerate(values, start=1)]


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
    params = TRAIN.but(patience=patience)
    assert patience_exhausted([record["validation_loss"] for record in history], params) is stops
    assert should_stop(Stage((), reconstruction_loss), history, params) is stops


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ([8, 8, 8, 8, 8], False),  # rests on a plateau
        ([8, 8, 8, 3, 3], False),
        ([8, 8, 8, 3, 3, 3], True),
        ([8, 3, 9, 9], True),  # it has been below
        ([8, 4, 4, 4, 4], False),  # not below
    ],
)
def test_epochs_on_a_plateau_do_not_count(values, stops):
    assert patience_exhausted(values, TRAIN.but(patience=2, patience_from=0.5)) is stops


def test_in_a_warm_up_patience_never_counts_and_behind_it_at_once():
    first, then = warmed_up(BY_ERROR, reconstruction_loss, 3).stages
    params = TRAIN.but(patience=2, patience_from=0.5)
    assert not should_stop(first, losses(8, 9, 9, 9), params)
    assert should_stop(then, losses(8, 9, 9), params)
    assert not should_stop(BY_ERROR.stages[0], losses(8, 9, 9), params)


def planned(objective=BY_ERROR, **params):
    """Return a training of which only its plan counts."""
    return Training(None, None, objective, None, TRAIN.but(**params))


def test_a_history_beyond_the_parameters_end_is_known():
    history = losses(3, 1, 2, 2, 2)
    assert not past_end(history, planned(epochs=5))
    assert past_end(history, planned(epochs=4))
    assert past_end(history, planned(epochs=9, patience=2))  # it would have stopped after the fourth
    assert not past_end(history, planned(epochs=9, patience=3))


def test_a_history_with_another_end_of_an_earlier_stage_is_known():
    history = [*losses(3, 2, stage=0), *losses(5, stage=1)]
    stages = (Stage((), reconstruction_loss), Stage((), reconstruction_loss))
    assert not past_end(history, planned(Objective(stages), epochs=2))
    assert past_end(history, planned(Objective(stages), epochs=1))
    assert past_end(history, planned(Objective(stages), epochs=3))  # the first stage would have gone on
    longer = Objective((replace(stages[0], epochs=2), stages[1]))
    assert not past_end(history, planned(longer, epochs=3))


class Drifting(nn.Module):
    """A model of one number, drawn to the training images' mean and so past the validation image's."""

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.level * torch.ones_like(x)


def test_best_weights_are_those_of_the_lowest_validation_loss_and_patience_stops():
    images = grey(255, 255, 51)  # train 1.0, validation 0.2
    fitted = train(images, make=Drifting, epochs=30, learning_rate=0.02, patience=3)
    validation = fitted.history["validation_loss"]
    best = int(validation.idxmin())
    assert 0 < best < 29
    assert len(fitted.history) == best + 1 + 3
    assert (fitted.weights["level"].item() - 0.2) ** 2 == pytest.approx(validation[best], rel=1e-4)


def test_history_has_a_row_an_epoch_with_losses_as_the_model_had_them():
    images = grey(255, 255, 255)
    history = train(images, make=Drifting, epochs=2, batch_size=20, learning_rate=0.25).history
    assert list(history.columns) == ["epoch", "train_loss", "seconds", "validation_loss"]
    assert history["epoch"].tolist() == [1, 2]
    # One step an epoch: Adam's first step is the learning rate, so 0 -> 0.25, and the loss before it is (1 - 0)^2.
    assert history["train_loss"].tolist() == pytest.approx([1, 0.75**2], rel=1e-4)
    assert history["validation_loss"][0] == pytest.approx(0.75**2, rel=1e-4)


def test_a_methods_history_has_a_loss_of_every_phase(photographs):
    columns = ["epoch", "train_loss", "critic_loss", "generator_loss", "seconds", "validation_loss"]
    history = train(photographs, epochs=3, **small("aae")).history
    assert list(history.columns) == columns
    assert np.isfinite(history.to_numpy()).all()
    assert (history[["train_loss", "validation_loss"]] > 0).all(axis=None)
    assert list(train(photographs, epochs=1, **small("vae")).history.columns) == [*columns[:2], *columns[-2:]]


class TwoLevels(nn.Module):
    """Reconstructs by ``level``; ``other`` is for another phase."""

    def __init__(self):
        super().__init__()
        self.level, self.other = Drifting(), Drifting()

    def forward(self, x):
        return self.level(x)


def test_phases_have_adams_of_their_own_and_each_ones_last_loss_is_its_in_the_history():
    def to_three(model, x, generator):
        return (model.other.level - 3).square().mean()

    phases = (Phase("train", reconstruction_loss, ("level",)), Phase("other", to_three, ("other",), times=2))
    objective = one_stage(phases, reconstruction_loss)
    fitted = train(grey(255, 255, 255), make=TwoLevels, objective=objective, epochs=1, batch_size=20,
                   learning_rate=0.25)  # fmt: skip
    # Adam's first step is the learning rate, so level goes 0 -> 0.25 and other 0 -> 0.25 -> 0.5, a little less.
    assert fitted.weights["level.level"].item() == pytest.approx(0.25, rel=1e-4)
    assert fitted.weights["other.level"].item() == pytest.approx(0.5, rel=1e-2)
    assert fitted.history["train_loss"].tolist() == pytest.approx([1], rel=1e-4)
    assert fitted.history["other_loss"].tolist() == pytest.approx([(3 - 0.25) ** 2], rel=1e-4)


def test_what_a_phase_does_after_an_update_is_done_after_each():
    levels = []

    def halve(model):
        levels.append(model.level.item())
        with torch.no_grad():
            model.level *= 0.5

    objective = one_stage((Phase("train", reconstruction_loss, times=2, after=halve),), reconstruction_loss)
    fitted = train(grey(255, 255, 255), make=Drifting, objective=objective, epochs=1, batch_size=20, learning_rate=0.25)
    assert len(levels) == 2
    assert levels[0] == pytest.approx(0.25, rel=1e-4)
    assert fitted.weights["level"].item() == pytest.approx(levels[1] / 2)


def test_seconds_are_those_of_the_updates(photographs):
    def slow(model, x, generator):
        if torch.is_grad_enabled():  # an update, three in an epoch
            time.sleep(0.02)
        return reconstruction_loss(model, x)

    start = time.perf_counter()
    history = train(photographs, epochs=2, objective=minimise(slow)).history
    assert (history["seconds"] >= 3 * 0.02).all()
    assert history["seconds"].sum() < time.perf_counter() - start


# --- sample reconstructions --------------------------------------------------------------------------------
def test_the_last_epoch_is_sampled_also_where_training_stopped_early():
    fitted = train(grey(255, 255, 51), make=Drifting, epochs=30, learning_rate=0.02, patience=3)
    last = len(fitted.history)
    assert last < 30
    assert f"epoch_{last:05d}" in fitted.sample_reconstructions


def test_a_run_that_goes_on_has_the_samples_of_an_unbroken_one(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    assert "epoch_00003" in train(photographs, epochs=3, checkpoints=store).sample_reconstructions
    assert "epoch_00003" not in train(photographs, epochs=5, checkpoints=store).sample_reconstructions


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_samples_show_validation_patches_and_how_they_were_reconstructed_from_the_start(photographs, name):
    sample_reconstructions = train(photographs, epochs=5, seed=4, **small(name)).sample_reconstructions
    assert sample_reconstructions.keys() == {"patches", *(f"epoch_{epoch:05d}" for epoch in (0, 1, 2, 4, 5))}
    assert {(tuple(value.shape), value.dtype) for value in sample_reconstructions.values()} == {
        ((3, 1, 16, 16), torch.float32)
    }
    windows = windows_of(photographs, [2], GEOMETRY, seed=4)
    assert torch.equal(sample_reconstructions["patches"], windows.cut(windows.fixed()[:3]))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(4)
        untrained = small(name)["make"]()
        torch.testing.assert_close(sample_reconstructions["epoch_00000"], untrained(sample_reconstructions["patches"]))
    assert not torch.allclose(sample_reconstructions["epoch_00000"], sample_reconstructions["epoch_00001"], atol=1e-5)


def test_a_sample_is_what_the_model_draws_after_that_epoch():
    sample_reconstructions = train(
        grey(255, 255, 255), make=Drifting, epochs=3, batch_size=20, learning_rate=0.25
    ).sample_reconstructions
    levels = [sample_reconstructions[f"epoch_{epoch:05d}"].unique() for epoch in range(4)]
    assert [len(level) for level in levels] == [1, 1, 1, 1]
    assert levels[0].item() == 0
    assert levels[1].item() == pytest.approx(0.25, rel=1e-4)  # Adam's first step is the learning rate
    assert levels[1] < levels[2] < levels[3]


def test_samples_survive_a_resume(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    first = train(photographs, epochs=2, checkpoints=store).sample_reconstructions
    later = train(photographs, epochs=4, checkpoints=store).sample_reconstructions
    assert later.keys() - first.keys() == {"epoch_00004"}
    assert [name for name in first if not torch.equal(first[name], later[name])] == []


# --- divergence ------------------------------------------------------------------------------------------------------
def test_a_diverging_loss_stops_the_run(photographs):
    said = r"training diverged in epoch 1, step 1: .* train.learning_rate \(now 0.001\)"
    with pytest.raises(FlawlineError, match=said):
        train(photographs, objective=minimise(lambda model, x, generator: model(x).mean() * float("nan")))


def test_a_later_phase_that_diverges_stops_the_run_too(photographs):
    def broken(model, x, generator):
        return model(x).mean() * float("inf")

    first = Phase("train", reconstruction_loss)
    objective = one_stage((first, Phase("late", broken, after=lambda model: None)), reconstruction_loss)
    with pytest.raises(FlawlineError, match=r"training diverged in epoch 1, step 1: the late loss is inf"):
        train(photographs, objective=objective, epochs=1)


def test_a_diverging_step_is_named_and_the_last_one_that_is_taken(photographs):
    steps = []

    def failing(model, x, generator):
        if generator is not None:
            steps.append(1)
        return reconstruction_loss(model, x) * (float("nan") if len(steps) == 2 else 1.0)

    with pytest.raises(FlawlineError, match=r"training diverged in epoch 1, step 2: the train loss is nan\. Lower"):
        train(photographs, objective=minimise(failing))
    assert len(steps) == 2


def test_a_diverged_epoch_is_not_saved(tmp_path, photographs):
    store, calls = FileCheckpoints(tmp_path / "state.safetensors"), []

    def failing(model, x, generator):
        calls.append(1)
        return reconstruction_loss(model, x) * (float("nan") if len(calls) > 10 else 1.0)

    with pytest.raises(FlawlineError, match=r"diverged in epoch 2.*: .*The checkpoint of epoch 1 is kept\."):
        train(photographs, objective=minimise(failing), checkpoints=store)
    assert read_tensors(store.path)[1]["epoch"] == 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_loss_falls_on_a_pattern_that_is_easy_to_learn(precision):
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 16), (1, 16, 1))  # (1, 16, 32): dark left, bright right
    stripes.setflags(write=False)
    geometry = PATCHES.but(size=16, stride=16, per_epoch=64)
    model = partial(CAE, CAE_MODEL.but(latent_size=4, hidden_size=32), channels=1, size=16)
    fitted = train([stripes] * 3, make=model, geometry=geometry, epochs=12, learning_rate=3e-3, precision=precision)
    assert fitted.history["validation_loss"].min() < 0.5 * fitted.history["validation_loss"][0]
    assert {value.dtype for value in fitted.weights.values()} == {torch.float32}


def test_windows_are_of_views_of_the_images(photographs):
    windows = windows_of(photographs, [1], GEOMETRY, seed=0)
    assert np.shares_memory(windows.images[0], photographs[1])


# --- stages ----------------------------------------------------------------------------------------------------------
class TwoParts(nn.Module):
    """Reconstructs by ``level``; ``guess`` is what the second stage learns, the image's own mean."""

    def __init__(self):
        super().__init__()
        self.level, self.guess = nn.Parameter(torch.zeros(1)), nn.Linear(1, 1)

    def forward(self, x):
        return self.level * torch.ones_like(x)


def guess_loss(model, given, generator=None):
    x, own = given
    return (model.guess(own["mean"].reshape(1, 1)) - x.mean() - model.level).square().mean()


def with_own(model, batch):
    return batch.x, batch.own


def start_sum(model, material, own):
    return {"sum": torch.zeros(3), "seen": torch.tensor(0)}


def add_level(model, material, own):
    """Renew the own tensors, and measure how far the level has come."""
    level = model.level.detach().reshape(())
    renewed = {"sum": own["sum"] + level * torch.tensor([1.0, 0.1, 1 / 3]), "seen": own["seen"] + 1}
    return renewed, {"level": float(level), "falling": -float(renewed["seen"])}


def start_mean(model, material, own):
    """Take over what the stage before summed."""
    return {"mean": own["sum"][:1] / own["seen"]}


def halve_mean(model, material, own):
    return {"mean": own["mean"] * 0.5 + 1 / 3}, {}


FIRST = Stage((Phase("train", reconstruction_loss),), reconstruction_loss, name="level",
              own=("sum", "seen"), start=start_sum, after_epoch=add_level, series=("level", "falling"))  # fmt: skip
SECOND = Stage((Phase("guess", guess_loss, ("guess",), given=with_own),), guess_loss, name="guess", given=with_own,
               own=("mean",), start=start_mean, after_epoch=halve_mean)  # fmt: skip
STAGES = Objective((FIRST, SECOND))


def in_stages(images, objective=STAGES, *, make=TwoParts, **options):
    return train(images, make=make, objective=objective, **{"epochs": 3, "learning_rate": 0.05, **options})


def assert_same_own(one, other):
    assert one.own.keys() == other.own.keys()
    assert all(torch.equal(one.own[name], other.own[name]) for name in one.own)


def test_two_stages_run_one_after_the_other_each_with_its_own_series():
    history = in_stages(grey(255, 255, 255)).history
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history["stage"].tolist() == [0, 0, 0, 1, 1, 1]
    first, second = history[history["stage"] == 0], history[history["stage"] == 1]
    assert first[["train_loss", "level", "falling"]].notna().all(axis=None)
    assert first["falling"].tolist() == [-1, -2, -3]
    assert second["guess_loss"].notna().all()
    assert second[["train_loss", "level"]].isna().all(axis=None)
    assert first["guess_loss"].isna().all()
    assert history["validation_loss"].notna().all()


def test_a_stage_begins_with_the_best_weights_of_the_one_before_and_moves_its_own_parts():
    """The level goes past the validation image's brightness, so its best epoch is not the last."""
    fitted = in_stages(grey(255, 255, 51), epochs=6, learning_rate=0.1)
    first = fitted.history[fitted.history["stage"] == 0]
    best = int(first["validation_loss"].idxmin())
    assert best < 5
    assert fitted.weights["level"].item() == pytest.approx(first["level"][best], rel=1e-6)


def test_a_stage_has_epochs_of_its_own():
    history = in_stages(grey(255, 255, 255), Objective((replace(FIRST, epochs=1), SECOND))).history
    assert history["stage"].tolist() == [0, 1, 1, 1]


def test_the_own_tensors_are_those_of_the_last_stage_renewed_after_each_epoch():
    fitted = in_stages(grey(255, 255, 255))
    levels = fitted.history["level"].dropna()
    mean = torch.tensor([np.mean(levels)], dtype=torch.float32)
    for _ in range(3):
        mean = mean * 0.5 + 1 / 3
    assert fitted.own.keys() == {"mean"}
    torch.testing.assert_close(fitted.own["mean"], mean)


@pytest.mark.parametrize("epoch", range(1, 7))
def test_stages_broken_off_in_any_epoch_end_as_the_unbroken_ones_to_the_bit(tmp_path, photographs, epoch):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        in_stages(photographs, checkpoints=store, progress=InterruptedBatch(3 * (epoch - 1) + 1))
    assert (store.path.is_file()) == (epoch > 1)
    resumed, unbroken = in_stages(photographs, checkpoints=store), in_stages(photographs)
    assert resumed.resumed_from == epoch - 1
    assert resumed.weights.keys() == unbroken.weights.keys()
    assert all(torch.equal(resumed.weights[name], unbroken.weights[name]) for name in unbroken.weights)
    assert timeless(resumed.history.fillna(-1)) == timeless(unbroken.history.fillna(-1))
    assert_same_own(resumed, unbroken)


class InterruptedBatch(Silent):
    """Presses Ctrl-C before a batch, counted from 0 over all epochs."""

    def __init__(self, batch):
        self.left = batch

    def track(self, items, *, total, label):
        for item in items:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield item


def test_a_checkpoint_between_two_stages_goes_on_with_the_second(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        in_stages(photographs, checkpoints=store, progress=InterruptedBatch(9))
    assert read_tensors(store.path)[1]["stage"] == 0
    resumed = in_stages(photographs, checkpoints=store)
    assert resumed.resumed_from == 3
    assert_same_own(resumed, in_stages(photographs))


def test_own_tensors_are_kept_in_checkpoints(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    fitted = in_stages(photographs, Objective((FIRST,)), checkpoints=store)
    stored, meta = read_tensors(store.path)
    assert {name for name in stored if name.startswith("own")} == {"own/sum", "own/seen"}
    assert torch.equal(stored["own/sum"], fitted.own["sum"])
    assert fitted.own["seen"].item() == 3
    assert meta["stage"] == 0
    longer = in_stages(photographs, Objective((FIRST,)), checkpoints=store, epochs=5)
    assert longer.resumed_from == 3
    assert_same_own(longer, in_stages(photographs, Objective((FIRST,)), epochs=5))


def test_stages_that_get_more_epochs_do_not_go_on_from_fewer(tmp_path, photographs):
    """A longer first stage would have handed other weights to the second."""
    store = FileCheckpoints(tmp_path / "state.safetensors")
    in_stages(photographs, epochs=2, checkpoints=store)
    longer = in_stages(photographs, epochs=3, checkpoints=store)
    assert longer.resumed_from == 0
    assert_same_own(longer, in_stages(photographs, epochs=3))


def test_a_last_stage_that_gets_more_epochs_goes_on(tmp_path, photographs):
    store, objective = FileCheckpoints(tmp_path / "state.safetensors"), Objective((replace(FIRST, epochs=2), SECOND))
    in_stages(photographs, objective, epochs=1, checkpoints=store)
    longer = in_stages(photographs, objective, epochs=3, checkpoints=store)
    assert longer.resumed_from == 3
    assert_same_own(longer, in_stages(photographs, objective, epochs=3))


def test_a_checkpoint_whose_own_tensors_do_not_fit_is_an_error(tmp_path, photographs):
    store = FileCheckpoints(tmp_path / "state.safetensors")
    in_stages(photographs, Objective((FIRST,)), checkpoints=store, epochs=1)
    other = Objective((replace(FIRST, own=("sum", "seen", "more")),))  # the same functions, so the same key
    with pytest.raises(
        FlawlineError,
        match=r"the checkpoint must hold the objective's own tensors of the stage 'level': wanted more, seen, sum, got "
        r"seen, sum\.",
    ):
        in_stages(photographs, other, checkpoints=store)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"own": ("sum",)}, "what start returns must hold .* of the stage 'level': wanted sum, got seen, sum"),
        ({"start": None}, "what start returns must hold .* of the stage 'level': wanted seen, sum, got none"),
        (
            {"after_epoch": lambda model, material, own: ({"sum": own["sum"]}, {"level": 0.0, "falling": 0.0})},
            "what after_epoch returns must hold .*: wanted seen, sum, got sum",
        ),
    ],
    ids=["start", "no start", "after_epoch"],
)
def test_own_tensors_that_are_not_those_named_are_an_error(photographs, changes, message):
    with pytest.raises(FlawlineError, match=message):
        in_stages(photographs, Objective((replace(FIRST, **changes),)))


def test_the_best_epoch_may_be_that_of_the_highest_of_a_series():
    images = grey(255, 255, 51)  # by the validation loss an early epoch is the best
    by_loss, by_level, by_falling = (
        in_stages(images, Objective((replace(FIRST, best=best),)), epochs=8, learning_rate=0.03)
        for best in (Best(), Best("level", highest=True), Best("falling", highest=True))
    )
    levels = by_level.history["level"]
    assert levels.is_monotonic_increasing
    assert by_level.weights["level"].item() == pytest.approx(levels.iloc[-1])
    assert by_falling.weights["level"].item() == pytest.approx(levels.iloc[0])
    assert by_loss.weights["level"].item() == pytest.approx(levels[by_loss.history["validation_loss"].idxmin()])
    assert levels.iloc[0] < by_loss.weights["level"].item() < levels.iloc[-1]


def test_a_stop_on_a_series_ends_its_stage_and_the_next_goes_on():
    stop = Stop("falling", lambda values: values[-1] <= -2, least_epochs=2)
    history = in_stages(grey(255, 255, 255), Objective((replace(FIRST, stop=stop), SECOND)), epochs=4).history
    assert history["stage"].tolist() == [0, 0, 1, 1, 1, 1]


def test_a_stop_goes_before_patience():
    never = Stop("validation_loss", lambda values: False)
    images = grey(255, 255, 51)  # the level goes past it, so patience would end the stage
    history = in_stages(images, Objective((replace(FIRST, stop=never),)), epochs=9, learning_rate=0.1, patience=1)
    assert len(history.history) == 9
    patient = in_stages(images, Objective((FIRST,)), epochs=9, learning_rate=0.1, patience=1)
    assert len(patient.history) < 9


def test_a_stop_that_never_fires_is_refused_before_anything_is_made(photographs):
    def make():
        pytest.fail("a model was made")

    objective = Objective((replace(FIRST, stop=Stop("losss", max)),))
    with pytest.raises(FlawlineError, match="the stop of the stage 'level' looks at 'losss'"):
        in_stages(photographs, objective, make=make)


def test_a_network_whose_output_is_no_image_keeps_no_samples(tmp_path, photographs):
    class Vector(TwoParts):
        def forward(self, x):
            raise AssertionError("its output was asked for as if it were an image")

    def level_loss(model, x, generator=None):
        return (x.mean() - model.level).square().mean()

    store, objective = (
        FileCheckpoints(tmp_path / "state.safetensors"),
        replace(minimise(level_loss), reconstructs=False),
    )
    fitted = in_stages(photographs, objective, make=Vector, checkpoints=store)
    assert fitted.sample_reconstructions == {}
    assert len(fitted.history) == 3
    assert in_stages(photographs, objective, make=Vector, checkpoints=store, epochs=4).sample_reconstructions == {}


def test_the_history_of_one_stage_has_no_column_of_stages(photographs):
    assert "stage" not in in_stages(photographs, Objective((FIRST,)), epochs=1).history


def test_pseudo_defective_material_reaches_the_hooks_and_the_key(tmp_path, photographs):
    store, seen = FileCheckpoints(tmp_path / "state.safetensors"), []

    def note(model, material, own):
        seen.append(material.pseudo)
        return own, {}

    windows = windows_of(photographs, [0, 1], GEOMETRY, seed=0)
    masks = [np.zeros(image.shape[1:], bool) for image in photographs]

    def fitted(damaged):
        pseudo = {"train": PseudoWindows(windows_of(damaged, range(len(damaged)), GEOMETRY, seed=0), masks)}
        objective = minimise(reconstruction_loss, after_epoch=note)
        material = Material(windows, windows, pseudo)
        return fit(TwoParts, objective, material, TRAIN.but(epochs=1), tools=Tools(ONE_THREAD, store)), pseudo

    assert fitted(photographs)[0].resumed_from == 0
    again, pseudo = fitted(photographs)
    assert (again.resumed_from, len(seen)) == (1, 1)
    assert seen[0]["train"].masks is pseudo["train"].masks
    assert fitted([image // 2 for image in photographs])[0].resumed_from == 0
