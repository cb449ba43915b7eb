"""The one training procedure: Adam on random windows, seeded, resumable, stopped early on held-out windows."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from flawline.checks import FlawlineError
from flawline.params import ComputeParams, TrainParams
from flawline.training.checkpoints import (
    CheckpointStore,
    NoCheckpoints,
    TrainingState,
    pack_optimizers,
    unpack_optimizers,
)
from flawline.training.compute import Forgetful, Machine, keep_memory, pick_device, pick_threads, using_threads
from flawline.training.objective import Objective
from flawline.training.progress import Progress, Silent
from flawline.training.windows import Windows

Optimizers = Sequence[torch.optim.Optimizer]  # one a phase
NOISE_STREAM = 2  # keeps the random numbers of different uses apart
SKETCHED = 3  # validation patches whose reconstructions are kept as training goes on


@dataclass(frozen=True)
class Fitted:
    """A trained model's weights, those of its best epoch, and a row for every epoch."""

    weights: dict[str, Tensor]
    history: pd.DataFrame
    threads: int
    resumed_from: int  # epochs already done when training started: 0 unless it was resumed
    sample_reconstructions: dict[
        str, Tensor
    ]  # "patches" and "epoch_00000" (untrained), 1, 2, 4, ... and the last, each (n, C, s, s)


def fit(
    make_model: Callable[[], nn.Module],
    objective: Objective,
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

    A row of the history has epoch, train_loss (of the first phase), a loss of every other phase, validation_loss, and
    the seconds that the epoch's updates took. The same seed, parameters and number of threads give the same weights to
    the bit, also if the run was killed and taken up again from ``checkpoints``. Raise FlawlineError if the loss stops
    being a number."""
    keep_memory()
    compute, checkpoints, progress = compute or ComputeParams(), checkpoints or NoCheckpoints(), progress or Silent()
    fabric = Fabric(accelerator=pick_device(compute), devices=1, precision=params.precision)
    make = partial(_seeded_model, make_model, train.seed)
    probe = _probe(fabric, make, objective, train, params)
    threads = pick_threads(compute, probe, machine or Forgetful(), _machine_key(train, params))
    with using_threads(threads):
        return _fit(fabric, make, objective, train, validation, params, threads, checkpoints, progress)


def _fit(
    fabric: Fabric,
    make: Callable[[], nn.Module],
    objective: Objective,
    train: Windows,
    validation: Windows,
    params: TrainParams,
    threads: int,
    checkpoints: CheckpointStore,
    progress: Progress,
) -> Fitted:
    model, optimizers = _setup(fabric, make, objective, params)
    key = run_key(model, objective, train, validation, params, threads)
    held_out = list(validation.batches(validation.fixed(), params.batch_size))
    state = checkpoints.load(key)
    if state is None or past_end(state.history, params):
        state = _start(model, held_out)
    _restore(state, model, optimizers)
    resumed_from = state.epoch
    for record in state.history:  # so that whoever listens has the whole history
        progress.epoch(record)
    while state.epoch < params.epochs and not should_stop(state.history, params.patience):
        batches = _tracked(train, state.epoch, params, progress)
        losses = _train_epoch(fabric, model, optimizers, objective, batches, noise(train.seed, state.epoch))
        record = {"epoch": state.epoch + 1, **losses, "validation_loss": _mean(model, objective, held_out)}
        _check_finite(record, params)
        state = _advance(state, record, model, optimizers)
        checkpoints.save(key, state)
        progress.epoch(record)
    sample_reconstructions = _sketched(state.sample_reconstructions, state.epoch, model)
    return Fitted(state.best, pd.DataFrame(state.history), threads, resumed_from, sample_reconstructions)


def _tracked(train: Windows, epoch: int, params: TrainParams, progress: Progress) -> Iterator[Tensor]:
    windows = train.epoch(epoch)
    total = -(-len(windows) // params.batch_size)
    return progress.track(
        train.batches(windows, params.batch_size), total=total, label=f"epoch {epoch + 1}/{params.epochs}"
    )


def noise(seed: int, epoch: int) -> torch.Generator:
    """Return the generator of an epoch's losses, the same whatever ran before; on the CPU, whatever the device."""
    (state,) = np.random.SeedSequence([seed, NOISE_STREAM, epoch]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))


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
    model: nn.Module, objective: Objective, train: Windows, validation: Windows, params: TrainParams, threads: int
) -> str:
    """Return a digest of all that shapes a training: model, objective, data, geometry, seed, parameters, threads.

    ``epochs`` and ``patience`` are left out: a longer run goes on from a shorter one."""
    settings = {
        "model": [repr(model), objective.describe()],
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


def _setup(
    fabric: Fabric, make: Callable[[], nn.Module], objective: Objective, params: TrainParams
) -> tuple[nn.Module, Optimizers]:
    """Return the model and an Adam for each phase, where they are to run."""
    model = make()
    adams = [torch.optim.Adam(phase.parameters(model), lr=params.learning_rate) for phase in objective.phases]
    placed, *optimizers = fabric.setup(model, *adams)
    return placed, optimizers


def _start(model: nn.Module, held_out: Sequence[Tensor]) -> TrainingState:
    patches = held_out[0][:SKETCHED]
    return TrainingState(
        epoch=0, model={}, optimizer={}, best={}, sample_reconstructions=_sketched({"patches": patches}, 0, model)
    )


def _restore(state: TrainingState, model: nn.Module, optimizers: Optimizers) -> None:
    if state.epoch:
        model.load_state_dict(state.model)
        unpack_optimizers(optimizers, state.optimizer)


def _advance(state: TrainingState, record: dict[str, float], model: nn.Module, optimizers: Optimizers) -> TrainingState:
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    lowest = min((r["validation_loss"] for r in state.history), default=float("inf"))
    best = weights if record["validation_loss"] < lowest else state.best
    epoch = state.epoch + 1
    is_power_of_two = epoch & (epoch - 1) == 0
    sample_reconstructions = (
        _sketched(state.sample_reconstructions, epoch, model) if is_power_of_two else state.sample_reconstructions
    )
    return TrainingState(
        epoch, weights, pack_optimizers(optimizers), best, [*state.history, record], sample_reconstructions
    )


def _train_epoch(
    fabric: Fabric,
    model: nn.Module,
    optimizers: Optimizers,
    objective: Objective,
    batches: Iterator[Tensor],
    generator: torch.Generator,
) -> dict[str, float]:
    """Return the mean loss of each phase, as NAME_loss, and the seconds that it all took."""
    model.train()
    totals = torch.zeros(len(objective.phases), dtype=torch.float64)
    count = 0
    start = time.perf_counter()
    for batch in batches:
        values = _step(fabric, model, optimizers, objective, batch, generator)
        totals += torch.stack([value.detach() for value in values]).double().cpu() * len(batch)
        count += len(batch)
    losses = {f"{phase.name}_loss": float(total / count)
              for phase, total in zip(objective.phases, totals, strict=True)}  # fmt: skip
    return {**losses, "seconds": time.perf_counter() - start}


def _step(
    fabric: Fabric,
    model: nn.Module,
    optimizers: Optimizers,
    objective: Objective,
    batch: Tensor,
    generator: torch.Generator,
) -> list[Tensor]:
    """Run every phase on a batch; return each one's last loss."""
    placed = fabric.to_device(batch)
    values = []
    for phase, optimizer in zip(objective.phases, optimizers, strict=True):
        with fabric.autocast():
            given = phase.prepare(model, placed)
        for _ in range(phase.times):
            optimizer.zero_grad()
            with fabric.autocast():
                value = phase.loss(model, given, generator)
            fabric.backward(value)
            optimizer.step()
            if phase.after is not None:
                phase.after(model)
        values.append(value)
    return values


@torch.no_grad()
def _mean(model: nn.Module, objective: Objective, batches: Sequence[Tensor]) -> float:
    model.eval()
    device = next(model.parameters()).device
    sums = [float(objective.watched(model, batch.to(device), None)) * len(batch) for batch in batches]
    return sum(sums) / sum(len(batch) for batch in batches)


def _sketched(sample_reconstructions: dict[str, Tensor], epoch: int, model: nn.Module) -> dict[str, Tensor]:
    """Return the sample_reconstructions with those after ``epoch`` added."""
    return {**sample_reconstructions, f"epoch_{epoch:05d}": _redraw(model, sample_reconstructions["patches"])}


@torch.no_grad()
def _redraw(model: nn.Module, patches: Tensor) -> Tensor:
    model.eval()
    return model(patches.to(next(model.parameters()).device)).float().cpu()  # (n, C, s, s)


def _check_finite(record: dict[str, float], params: TrainParams) -> None:
    broken = [f"{name.replace('_', ' ')} is {value}" for name, value in record.items() if not np.isfinite(value)]
    if broken:
        raise FlawlineError(
            f"training diverged in epoch {record['epoch']}: the {', the '.join(broken)}. Lower "
            f"train.learning_rate (now {params.learning_rate:g})."
        )


def _probe(
    fabric: Fabric, make: Callable[[], nn.Module], objective: Objective, train: Windows, params: TrainParams
) -> Callable[[], object]:
    """Return a training step on a model of its own, to be timed."""
    parts: list = []

    def step() -> None:
        if not parts:
            batch = next(train.batches(train.epoch(0), params.batch_size))
            parts.extend([*_setup(fabric, make, objective, params), batch, noise(train.seed, 0)])
        model, optimizers, batch, generator = parts
        _step(fabric, model, optimizers, objective, batch, generator)

    return step


def _machine_key(train: Windows, params: TrainParams) -> str:
    channels = train.shapes[0][0]
    return f"training {channels}x{train.patches.size} batch {params.batch_size} {params.precision}"
