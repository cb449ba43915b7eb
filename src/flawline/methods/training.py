"""The one training procedure: Adam on random windows, seeded, resumable, stopped early on held-out windows."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.checks import FlawlineError
from flawline.methods.checkpoints import (
    CheckpointStore,
    NoCheckpoints,
    TrainingState,
    pack_optimizer,
    unpack_optimizer,
)
from flawline.methods.compute import Forgetful, Machine, keep_memory, pick_device, pick_threads, using_threads
from flawline.methods.progress import Progress, Silent
from flawline.params import ComputeParams, PatchParams, TrainParams
from flawline.vision.patches import cut_windows, random_windows

Loss = Callable[[nn.Module, Tensor], Tensor]  # (model, patches (N, C, s, s)) -> scalar
VALIDATION_STREAM = 1  # keeps the validation windows' random numbers apart from every epoch's
MAX_VALIDATION = 256  # windows; enough for a loss, few enough to cost little


@dataclass(frozen=True)
class Windows:
    """Random windows of some images (C, H, W): ``epoch(e)`` is the same for the same seed, whatever ran before."""

    images: Sequence[NDArray]
    shapes: Sequence[tuple[int, ...]]
    patches: PatchParams
    seed: int

    def epoch(self, number: int) -> NDArray[np.int64]:
        """Return the windows (n, 3) as (image, y, x) of epoch ``number`` (from 0)."""
        generator = np.random.default_rng([self.seed, 0, number])
        return random_windows(self.shapes, self.patches.per_epoch, self.patches.size, generator)

    def fixed(self) -> NDArray[np.int64]:
        """Return windows (n, 3) that stay the same in all epochs, for validation."""
        count = min(self.patches.per_epoch, MAX_VALIDATION)
        generator = np.random.default_rng([self.seed, VALIDATION_STREAM])
        return random_windows(self.shapes, count, self.patches.size, generator)

    def batches(self, windows: NDArray, batch_size: int) -> Iterator[Tensor]:
        """Yield the windows' patches as float32 (n, C, s, s) in [0, 1]."""
        for start in range(0, len(windows), batch_size):
            yield to_unit(cut_windows(self.images, windows[start : start + batch_size], self.patches.size))


def windows_of(images: Sequence[NDArray], rows: Sequence[int], patches: PatchParams, *, seed: int) -> Windows:
    """Return the windows of the images at ``rows``.

    Raise FlawlineError if there is none, a patch does not fit, or 8 and 16 bit are mixed."""
    if not rows:
        raise FlawlineError("no image to cut windows from")
    chosen = [images[i] for i in rows]  # views of a memory map: no pixel is read yet
    types = sorted({str(image.dtype) for image in chosen})
    if len(types) > 1:
        raise FlawlineError(f"images must all have the same depth, got {' and '.join(types)}")
    windows = Windows(chosen, [image.shape for image in chosen], patches, seed)
    windows.fixed()
    return windows


def to_unit(patches: NDArray) -> Tensor:
    """Return uint8 or uint16 ``patches`` as a float32 tensor in [0, 1], channels last in memory."""
    if patches.dtype == np.uint8:
        tensor = torch.from_numpy(patches).float().div_(255)
    else:
        tensor = torch.from_numpy(patches.astype(np.float32)).div_(65535)
    return tensor.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Fitted:
    """A trained model's weights, those of its best epoch, and a row for every epoch."""

    weights: dict[str, Tensor]
    history: pd.DataFrame
    threads: int
    resumed_from: int  # epochs already done when training started: 0 unless it was resumed


def fit(
    make_model: Callable[[], nn.Module],
    loss: Loss,
    train: Windows,
    validation: Windows,
    params: TrainParams,
    *,
    compute: ComputeParams | None = None,
    checkpoints: CheckpointStore | None = None,
    machine: Machine | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Train ``make_model()`` on random windows and return the weights with the lowest validation loss.

    The same seed, parameters and number of threads give the same weights to the bit, also if the run was killed and
    taken up again from ``checkpoints``. Raise FlawlineError if the loss stops being a number."""
    keep_memory()
    compute, checkpoints, progress = compute or ComputeParams(), checkpoints or NoCheckpoints(), progress or Silent()
    fabric = Fabric(accelerator=pick_device(compute), devices=1, precision=params.precision)
    make = partial(_seeded_model, make_model, train.seed)
    probe = _probe(fabric, make, loss, train, params)
    threads = pick_threads(compute, probe, machine or Forgetful(), _machine_key(train, params))
    with using_threads(threads):
        return _fit(fabric, make, loss, train, validation, params, threads, checkpoints, progress)


def _fit(
    fabric: Fabric,
    make: Callable[[], nn.Module],
    loss: Loss,
    train: Windows,
    validation: Windows,
    params: TrainParams,
    threads: int,
    checkpoints: CheckpointStore,
    progress: Progress,
) -> Fitted:
    model, optimizer = _setup(fabric, make, params)
    key = run_key(model, loss, train, validation, params, threads)
    state = checkpoints.load(key)
    if state is None or past_end(state.history, params):
        state = TrainingState(0, {}, {}, {})
    _restore(state, model, optimizer)
    resumed_from = state.epoch
    for record in state.history:  # so that whoever listens has the whole history
        progress.epoch(record)
    held_out = list(validation.batches(validation.fixed(), params.batch_size))
    while state.epoch < params.epochs and not should_stop(state.history, params.patience):
        windows = train.epoch(state.epoch)
        batches = progress.track(
            train.batches(windows, params.batch_size),
            total=-(-len(windows) // params.batch_size),
            label=f"epoch {state.epoch + 1}/{params.epochs}",
        )
        train_loss = _train_epoch(fabric, model, optimizer, loss, batches)
        record = {"epoch": state.epoch + 1, "train_loss": train_loss, "validation_loss": _mean(model, loss, held_out)}
        _check_finite(record, params)
        state = _advance(state, record, model, optimizer)
        checkpoints.save(key, state)
        progress.epoch(record)
    return Fitted(state.best, pd.DataFrame(state.history), threads, resumed_from)


def should_stop(history: Sequence[dict[str, float]], patience: int | None) -> bool:
    """Return True when the last ``patience`` epochs brought no lower validation loss than the best before them."""
    if patience is None or len(history) <= patience:
        return False
    losses = [record["validation_loss"] for record in history]
    return min(losses[-patience:]) >= min(losses[:-patience])


def past_end(history: Sequence[dict[str, float]], params: TrainParams) -> bool:
    """Return True if a run with ``params`` would have ended before the last epoch of ``history``."""
    before = range(len(history))
    return len(history) > params.epochs or any(should_stop(history[:n], params.patience) for n in before)


def run_key(
    model: nn.Module, loss: Loss, train: Windows, validation: Windows, params: TrainParams, threads: int
) -> str:
    """Return a digest of all that shapes a training's result: model, loss, data, geometry, seed, parameters, threads.

    ``epochs`` and ``patience`` are left out: a longer run goes on from a shorter one."""
    settings = {
        "model": [repr(model), getattr(loss, "__qualname__", type(loss).__qualname__)],
        "data": [_data_digest(train), _data_digest(validation)],
        "patches": train.patches.model_dump(mode="json"),
        "train": params.model_dump(mode="json", exclude={"epochs", "patience"}),
        "seed": train.seed,
        "threads": threads,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _data_digest(windows: Windows) -> str:
    digest = hashlib.sha256()
    for image in windows.images:
        digest.update(f"{image.dtype.str}{image.shape}".encode())
        digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _seeded_model(make_model: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_model().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it


def _setup(fabric: Fabric, make: Callable[[], nn.Module], params: TrainParams) -> tuple[nn.Module, torch.optim.Adam]:
    model = make()
    return fabric.setup(model, torch.optim.Adam(model.parameters(), lr=params.learning_rate))


def _restore(state: TrainingState, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    if state.epoch:
        model.load_state_dict(state.model)
        unpack_optimizer(optimizer, state.optimizer)


def _advance(
    state: TrainingState, record: dict[str, float], model: nn.Module, optimizer: torch.optim.Optimizer
) -> TrainingState:
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    lowest = min((r["validation_loss"] for r in state.history), default=float("inf"))
    best = weights if record["validation_loss"] < lowest else state.best
    return TrainingState(state.epoch + 1, weights, pack_optimizer(optimizer), best, [*state.history, record])


def _train_epoch(
    fabric: Fabric, model: nn.Module, optimizer: torch.optim.Optimizer, loss: Loss, batches: Iterator[Tensor]
) -> float:
    model.train()
    total = torch.zeros((), dtype=torch.float64)
    count = 0
    for batch in batches:
        value = _step(fabric, model, optimizer, loss, batch)
        total += value.detach().double().cpu() * len(batch)
        count += len(batch)
    return float(total / count)


def _step(fabric: Fabric, model: nn.Module, optimizer: torch.optim.Optimizer, loss: Loss, batch: Tensor) -> Tensor:
    optimizer.zero_grad()
    value = loss(model, fabric.to_device(batch))
    fabric.backward(value)
    optimizer.step()
    return value


@torch.no_grad()
def _mean(model: nn.Module, loss: Loss, batches: Sequence[Tensor]) -> float:
    model.eval()
    device = next(model.parameters()).device
    sums = [float(loss(model, batch.to(device))) * len(batch) for batch in batches]
    return sum(sums) / sum(len(batch) for batch in batches)


def _check_finite(record: dict[str, float], params: TrainParams) -> None:
    if not all(np.isfinite(value) for value in record.values()):
        raise FlawlineError(
            f"training diverged in epoch {record['epoch']}: the loss is {record['train_loss']}. Lower "
            f"train.learning_rate (now {params.learning_rate:g})."
        )


def _probe(
    fabric: Fabric, make: Callable[[], nn.Module], loss: Loss, train: Windows, params: TrainParams
) -> Callable[[], object]:
    """Return a training step on a model of its own, to be timed."""
    parts: list = []

    def step() -> None:
        if not parts:
            model, optimizer = _setup(fabric, make, params)
            parts.extend([model, optimizer, next(train.batches(train.epoch(0), params.batch_size))])
        model, optimizer, batch = parts
        _step(fabric, model, optimizer, loss, batch)

    return step


def _machine_key(train: Windows, params: TrainParams) -> str:
    channels = train.shapes[0][0]
    return f"training {channels}x{train.patches.size} batch {params.batch_size} {params.precision}"
