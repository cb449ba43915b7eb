"""The one training procedure: Adam on windows, seeded, resumable, stage after stage as the objective says."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from flawline.checks import FlawlineError
from flawline.params import ComputeParams, TrainParams
from flawline.storage.digests import arrays_digest, settings_digest
from flawline.training.checkpoints import (
    CheckpointStore,
    NoCheckpoints,
    TrainingState,
    pack_optimizers,
    unpack_optimizers,
)
from flawline.training.compute import Forgetful, Machine, keep_memory, pick_device, pick_threads, using_threads
from flawline.training.objective import (
    VALIDATION_LOSS,
    Batch,
    Material,
    Objective,
    Stage,
    Tensors,
    check_objective,
    check_own,
    give,
)
from flawline.training.progress import Progress, Silent
from flawline.training.windows import CPU, Device, Windows

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Optimizers = Sequence[torch.optim.Optimizer]  # one a phase
Record = dict[str, float]
NOISE_STREAM = 2  # keeps the random numbers of different uses apart
SAMPLES = 3  # validation patches whose reconstructions are kept as training goes on


@dataclass(frozen=True)
class Tools:
    """What a training works with: the machine, a store of checkpoints, and who is told of its progress."""

    compute: ComputeParams = field(default_factory=ComputeParams)
    checkpoints: CheckpointStore = field(default_factory=NoCheckpoints)
    machine: Machine = field(default_factory=Forgetful)
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True)
class Fitted:
    """A trained model's weights, those of the last stage's best epoch, and a row for every epoch."""

    weights: dict[str, Tensor]
    history: pd.DataFrame
    threads: int
    resumed_from: int  # epochs already done when training started: 0 unless it was resumed
    # "patches" and "epoch_00000" (untrained), 1, 2, 4, ... and the last, each (n, C, s, s)
    sample_reconstructions: dict[str, Tensor]
    own: dict[str, Tensor] = field(default_factory=dict)  # the objective's own tensors at the end


def fit(
    make_model: Callable[[], nn.Module],
    objective: Objective,
    material: Material,
    params: TrainParams,
    *,
    tools: Tools | None = None,
) -> Fitted:
    """Train ``make_model()`` as ``objective`` says and return the weights of the best epoch.

    A row of the history has epoch, the stage's number where there are several, a loss of every phase, validation_loss,
    the stage's own series, and the seconds that the epoch's updates took. The same seed, parameters and number of
    threads give the same weights to the bit, also if the run was killed and taken up again from its checkpoints. Raise
    FlawlineError if the objective cannot end as it says, before anything is trained, or if a loss stops being a
    number."""
    check_objective(objective, params.epochs)
    keep_memory()
    tools = tools or Tools()
    fabric = _fabric(tools.compute, params)
    make = partial(_seeded_model, make_model, material.train.seed)
    training = Training(fabric, make, objective, material, params)
    threads = pick_threads(tools.compute, training.probe(), tools.machine, _machine_key(make, training))
    with using_threads(threads):
        return _fit(training, threads, tools)


@dataclass(frozen=True)
class Training:
    """All that one training consists of."""

    fabric: "Fabric"
    make: Callable[[], nn.Module]
    objective: Objective
    material: Material
    params: TrainParams

    def epochs(self, stage: Stage) -> int:
        """Return the most epochs of a stage."""
        return stage.epochs or self.params.epochs

    def has_ended(self, stage: Stage, records: Sequence[Record]) -> bool:
        """Return True if a stage with these epochs behind it goes no further."""
        return len(records) >= self.epochs(stage) or should_stop(stage, records, self.params)

    def place(self, model: nn.Module, stage: Stage) -> tuple[nn.Module, Optimizers]:
        """Return the model and an Adam for each phase of a stage, where they are to run."""
        adam = partial(torch.optim.Adam, lr=self.params.learning_rate, weight_decay=self.params.weight_decay)
        adams = [adam(phase.parameters(model)) for phase in stage.phases]
        placed, *optimizers = self.fabric.setup(model, *adams)
        return placed, optimizers

    def probe(self) -> Callable[[], object]:
        """Return a training step on a model of its own, to be timed."""
        parts: list = []
        stage, train = self.objective.stages[0], self.material.train

        def step() -> None:
            if not parts:
                windows = train.epoch(0)[: self.params.batch_size]
                model, optimizers = self.place(self.make(), stage)
                own = stage.start(model, self.material, {}) if stage.start else {}
                parts.extend([model, optimizers, Batch(train.cut(windows), windows, own), noise(train.seed, 0)])
            model, optimizers, batch, generator = parts
            _step(self.fabric, model, optimizers, stage, batch, generator)

        return step


def _fabric(compute: ComputeParams, params: TrainParams) -> "Fabric":
    """Return what places models and data, in the precision asked for: on one device, or under torchrun on several."""
    from lightning_fabric import Fabric  # a second to import, so only where something is trained

    return Fabric(accelerator=pick_device(compute), devices=1, precision=params.precision)


def _fit(training: Training, threads: int, tools: Tools) -> Fitted:
    model = training.make()
    key = run_key(model, training, threads)
    state = tools.checkpoints.load(key)
    if state is None or past_end(state.history, training):
        state = _start(training, model)
    resumed_from = state.epoch
    for record in state.history:  # so that whoever listens has the whole history
        tools.progress.epoch(record)
    for number in range(state.stage, len(training.objective.stages)):
        model, state = _run_stage(training, number, model, state, key=key, tools=tools)
    samples = _sampled(state.sample_reconstructions, state.epoch, model, training.objective)
    shown = {name: training.material.train.shown(samples[name]) for name in samples if name == "patches"}
    samples = {**samples, **shown}
    if training.objective.split is not None:
        samples |= {f"split_{name}": each for name, each in
                    training.objective.split(model, training.material, state.own).items()}  # fmt: skip
    return Fitted(state.best, pd.DataFrame(state.history), threads, resumed_from, samples, state.own)


def _run_stage(
    training: Training, number: int, model: nn.Module, state: TrainingState, *, key: str, tools: Tools
) -> tuple[nn.Module, TrainingState]:
    """Go through what is left of a stage; return the model and the state at its end."""
    stage, material = training.objective.stages[number], training.material
    goes_on = state.stage == number and bool(records_of(state.history, number))
    model, optimizers = _enter(training, stage, model, state, goes_on=goes_on)
    if not goes_on:
        own = stage.start(model, material, state.own) if stage.start else {}
        check_own(stage, own, "what start returns")
        state = replace(state, stage=number, own=own, best={})
    check_own(stage, state.own, "the checkpoint")
    while not training.has_ended(stage, records_of(state.history, number)):
        if stage.fresh_every and len(records_of(state.history, number)) % stage.fresh_every == 0:
            for optimizer in optimizers:
                optimizer.state.clear()
        record, state = _run_epoch(training, number, model, optimizers, state=state, progress=tools.progress)
        tools.checkpoints.save(key, state)
        tools.progress.epoch(record)
    return model, state


def _enter(
    training: Training, stage: Stage, model: nn.Module, state: TrainingState, *, goes_on: bool
) -> tuple[nn.Module, Optimizers]:
    """Return the model and a stage's optimizers, as its last epoch left them, or as the stage before ended."""
    bare = unwrapped(model)
    if not goes_on and state.best:  # what the stage before chose
        bare.load_state_dict(state.best)
    placed, optimizers = training.place(bare, stage)
    if goes_on:
        placed.load_state_dict(state.model)
        unpack_optimizers(optimizers, state.optimizer)
    return placed, optimizers


def _run_epoch(
    training: Training, number: int, model: nn.Module, optimizers: Optimizers, *, state: TrainingState,
    progress: Progress,
) -> tuple[Record, TrainingState]:  # fmt: skip
    """Train one epoch and measure it; return its record and the state after it."""
    stage, material = training.objective.stages[number], training.material
    batches = _tracked(training, stage, state, progress)
    generator = noise(material.train.seed, state.epoch)
    check = partial(_check_step, epoch=state.epoch + 1, stage=stage, params=training.params)
    losses = _train_epoch(training.fabric, model, optimizers, stage, batches=batches, generator=generator, check=check)
    watched = _watch(model, stage, material.validation, training.params.batch_size, own=state.own)
    which = {"stage": number} if len(training.objective.stages) > 1 else {}
    record: Record = {"epoch": state.epoch + 1, **which, **losses, VALIDATION_LOSS: watched}
    own, measured = stage.after_epoch(model, material, state.own) if stage.after_epoch else (state.own, {})
    check_own(stage, own, "what after_epoch returns")
    record |= measured
    _check_finite(record, training.params)
    return record, _advance(training, state, record, model, optimizers=optimizers, own=own)


def _tracked(training: Training, stage: Stage, state: TrainingState, progress: Progress) -> Iterator[Batch]:
    train, size = training.material.train, training.params.batch_size
    windows = train.epoch(state.epoch)
    done = len(records_of(state.history, state.stage))
    batches = batches_of(train, windows, size, state.own, training.fabric.device)
    label = f"epoch {done + 1}/{training.epochs(stage)}"
    return progress.track(batches, total=-(-len(windows) // size), label=label)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network itself, which Lightning wraps while it is trained."""
    return getattr(model, "module", model)


def batches_of(windows: Windows, which: np.ndarray, size: int, own: Tensors, device: Device = CPU) -> Iterator[Batch]:
    """Yield the batches of the windows ``which`` (n, 3), their patches on ``device``. A last one of a single window
    joins the one before: batch normalisation needs two."""
    starts = list(range(0, len(which), size))
    if len(starts) > 1 and len(which) - starts[-1] == 1:
        starts.pop()
    for start, end in pairwise([*starts, len(which)]):
        some = which[start:end]
        yield Batch(windows.cut(some, device), some, own)


def noise(seed: int, epoch: int) -> torch.Generator:
    """Return the generator of an epoch's losses, the same whatever ran before; on the CPU, whatever the device."""
    (state,) = np.random.SeedSequence([seed, NOISE_STREAM, epoch]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))


def records_of(history: Sequence[Record], stage: int) -> list[Record]:
    """Return the records of one stage."""
    return [record for record in history if record.get("stage", 0) == stage]


def should_stop(stage: Stage, records: Sequence[Record], params: TrainParams) -> bool:
    """Return True if a stage's stop, or without one ``params.patience``, ends it after these records."""
    if stage.stop is None:
        params = params.but(patience_from=None) if stage.patience == "at_once" else params
        losses = [record[VALIDATION_LOSS] for record in records]
        return stage.patience != "never" and patience_exhausted(losses, params)
    return bool(records) and stage.stop.ended([record[stage.stop.series] for record in records])


def patience_exhausted(losses: Sequence[float], params: TrainParams) -> bool:
    """Return True when the last ``patience`` epochs brought no lower validation loss than the best before them. Epochs
    before the loss has come below ``patience_from`` of its first value do not count: it may rest on a plateau."""
    if params.patience is None or not losses:
        return False
    limit = float("inf") if params.patience_from is None else params.patience_from * losses[0]
    start = next((epoch for epoch, loss in enumerate(losses) if loss < limit), len(losses))
    return len(losses) - start > params.patience and min(losses[-params.patience :]) >= min(losses[: -params.patience])


def past_end(history: Sequence[Record], training: Training) -> bool:
    """Return True unless this training begins as ``history`` does: if it would have ended one of its stages earlier, or
    would not have ended one after which ``history`` goes on with the next."""
    last = max((int(record.get("stage", 0)) for record in history), default=0)
    for number, stage in enumerate(training.objective.stages):
        records = records_of(history, number)
        if any(training.has_ended(stage, records[:n]) for n in range(len(records))):
            return True
        if number < last and not training.has_ended(stage, records):
            return True
    return False


def run_key(model: nn.Module, training: Training, threads: int) -> str:
    """Return a digest of all that shapes a training: model, objective, data, geometry, seed, parameters, threads.

    ``epochs`` and what ends a stage are left out: a longer run goes on from a shorter one."""
    material, params = training.material, training.params
    pseudo = [arrays_digest(each.windows.images) for each in material.pseudo.values()]
    settings = {
        "model": [repr(model), training.objective.describe()],
        "data": [arrays_digest(material.train.images), arrays_digest(material.validation.images), *pseudo],
        "patches": material.train.patches.model_dump(mode="json"),
        "train": params.model_dump(mode="json", exclude={"epochs", "patience", "patience_from"}),
        "seed": material.train.seed,
        "threads": threads,
    }
    return settings_digest(settings)


def _seeded_model(make_model: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_model().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it


def _start(training: Training, model: nn.Module) -> TrainingState:
    validation = training.material.validation
    patches = {"patches": validation.cut(validation.fixed()[:SAMPLES])} if training.objective.reconstructs else {}
    samples = _sampled(patches, 0, model.to(training.fabric.device), training.objective)
    return TrainingState(epoch=0, model={}, optimizer={}, best={}, sample_reconstructions=samples)


def _advance(
    training: Training, state: TrainingState, record: Record, model: nn.Module, *, optimizers: Optimizers, own: Tensors
) -> TrainingState:
    """Return the state after an epoch."""
    stage, epoch = training.objective.stages[state.stage], state.epoch + 1
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    before = [each[stage.best.series] for each in records_of(state.history, state.stage)]
    best = weights if stage.best.is_better(record[stage.best.series], before) else state.best
    samples, is_power_of_two = state.sample_reconstructions, epoch & (epoch - 1) == 0
    if is_power_of_two:
        samples = _sampled(samples, epoch, model, training.objective)
    history = [*state.history, record]
    return TrainingState(epoch, weights, pack_optimizers(optimizers), best, history, samples, own, state.stage)


def _train_epoch(
    fabric: "Fabric", model: nn.Module, optimizers: Optimizers, stage: Stage, *, batches: Iterator[Batch],
    generator: torch.Generator, check: Callable[[int, Tensor], None],
) -> Record:  # fmt: skip
    """Return the mean loss of each phase, as NAME_loss, and the seconds that it all took; ``check`` is told each step's
    number and losses."""
    model.train()
    totals = torch.zeros(len(stage.phases), dtype=torch.float64)
    count = 0
    start = time.perf_counter()
    for number, batch in enumerate(batches, start=1):
        values = _step(fabric, model, optimizers, stage, batch, generator)
        losses_now = torch.stack([value.detach() for value in values]).double().cpu()
        check(number, losses_now)
        totals += losses_now * len(batch.x)
        count += len(batch.x)
    losses = {f"{phase.name}_loss": float(total / count) for phase, total in zip(stage.phases, totals, strict=True)}
    return {**losses, "seconds": time.perf_counter() - start}


def _step(
    fabric: "Fabric", model: nn.Module, optimizers: Optimizers, stage: Stage, batch: Batch, generator: torch.Generator
) -> list[Tensor]:
    """Run every phase on a batch; return each one's last loss."""
    placed = _on(batch, fabric.to_device)
    values = []
    for phase, optimizer in zip(stage.phases, optimizers, strict=True):
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


def _on(batch: Batch, move: Callable[[Tensor], Tensor]) -> Batch:
    """Return a batch with its tensors moved."""
    return replace(batch, x=move(batch.x), own={name: move(value) for name, value in batch.own.items()})


@torch.no_grad()
def _watch(model: nn.Module, stage: Stage, validation: Windows, size: int, *, own: Tensors) -> float:
    """Return the watched loss on the validation windows that stay the same."""
    model.eval()
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for batch in batches_of(validation, validation.fixed(), size, own, device):
        placed = _on(batch, lambda tensor: tensor.to(device))
        total += float(stage.watched(model, give(stage.given, model, placed), None)) * len(batch.x)
        count += len(batch.x)
    return total / count


def _sampled(samples: dict[str, Tensor], epoch: int, model: nn.Module, objective: Objective) -> dict[str, Tensor]:
    """Return the sample reconstructions with those after ``epoch`` added, if the network reconstructs anything."""
    if not objective.reconstructs:
        return samples
    return {**samples, f"epoch_{epoch:05d}": _reconstruct(model, samples["patches"])}


@torch.no_grad()
def _reconstruct(model: nn.Module, patches: Tensor) -> Tensor:
    model.eval()
    return model(patches.to(next(model.parameters()).device)).float().cpu()  # (n, C, s, s)


def _check_step(number: int, losses: Tensor, *, epoch: int, stage: Stage, params: TrainParams) -> None:
    """Raise FlawlineError if a loss of a step is no number: what comes after it can only be worse."""
    if not torch.isfinite(losses).all():
        named = {f"{phase.name}_loss": float(loss) for phase, loss in zip(stage.phases, losses, strict=True)}
        _raise_diverged(named, f"epoch {epoch}, step {number}", epoch, params)


def _check_finite(record: Record, params: TrainParams) -> None:
    if not np.isfinite(list(record.values())).all():
        _raise_diverged(record, f"epoch {record['epoch']}", int(record["epoch"]), params)


def _raise_diverged(measured: Record, when: str, epoch: int, params: TrainParams) -> NoReturn:
    """Raise the FlawlineError of a training in whose epoch something measured is no number."""
    broken = [f"{name.replace('_', ' ')} is {value}" for name, value in measured.items() if not np.isfinite(value)]
    kept = f"The checkpoint of epoch {epoch - 1} is kept. " if epoch > 1 else ""
    raise FlawlineError(
        f"training diverged in {when}: the {', the '.join(broken)}. {kept}Lower train.learning_rate (now "
        f"{params.learning_rate:g})."
    )


def _machine_key(make: Callable[[], nn.Module], training: Training) -> str:
    """Return under what the measured number of threads is kept: the model and the size of its batches."""
    model, train, params = make(), training.material.train, training.params
    channels, weights = train.shapes[0][0], sum(parameter.numel() for parameter in model.parameters())
    kind = f"{type(model).__name__} of {weights} weights"
    return f"training {kind} {channels}x{train.patches.size} batch {params.batch_size} {params.precision}"
