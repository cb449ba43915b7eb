"""How a network learns: its stages, the updates on every batch, when a stage ends, which epoch is the best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.checks import FlawlineError, near_name
from flawline.training.windows import PseudoWindows, Windows

# (model, what is given to it: by default the patches (N, C, s, s), generator of the loss's random numbers, None:
# without any) -> scalar
Loss = Callable[[nn.Module, Any, torch.Generator | None], Tensor]
Tensors = dict[str, Tensor]
VALIDATION_LOSS = "validation_loss"


@dataclass(frozen=True)
class Batch:
    """Patches on their way to a loss."""

    x: Tensor  # (n, C, s, s), on the device of the model
    windows: NDArray  # (n, 3) as (image, y, x), or (n, 4) with the grid position: which patches these are
    own: Mapping[str, Tensor] = field(default_factory=dict)  # the objective's own tensors, as ``start`` made them


Given = Callable[[nn.Module, Batch], Any]


@dataclass(frozen=True)
class Phase:
    """One kind of update: an Adam of its own moves ``parts`` of the model down ``loss``, ``times`` in a row.

    The loss gets the patches, or what ``given`` makes of the batch: once a batch, without gradient, before the
    updates."""

    name: str
    loss: Loss
    parts: tuple[str, ...] = ()  # names of the model's children; empty: all of it
    times: int = 1
    after: Callable[[nn.Module], None] | None = None  # done to the model after each update
    given: Given | None = None

    def parameters(self, model: nn.Module) -> list[nn.Parameter]:
        """Return the parameters that this phase moves."""
        moved = [getattr(model, part) for part in self.parts] or [model]
        return [parameter for part in moved for parameter in part.parameters()]

    def prepare(self, model: nn.Module, batch: Batch) -> Any:
        """Return what the loss gets of a batch, without gradient."""
        return give(self.given, model, batch)

    def describe(self) -> list[Any]:
        hooks = [None if hook is None else describe(hook) for hook in (self.after, self.given)]
        return [self.name, describe(self.loss), list(self.parts), self.times, *hooks]


def give(given: Given | None, model: nn.Module, batch: Batch) -> Any:
    """Return what ``given`` makes of a batch, without gradient; None: its patches."""
    with torch.no_grad():
        return batch.x if given is None else given(model, batch)


@dataclass(frozen=True)
class Material:
    """What a training learns from: windows of the training and of the validation images, and where the method asks for
    them, windows of pseudo-defective images, by the split whose images were damaged. Calibration images are never among
    them."""

    train: Windows
    validation: Windows
    pseudo: Mapping[str, PseudoWindows] = field(default_factory=dict)

    @cached_property
    def held_out_pseudo(self) -> NDArray[np.int64]:
        """Windows (n, 3) of held-out images with a defective pixel in each, as many as there are held-out normal ones;
        none where no image is damaged. Found once: each takes a look at a whole mask."""
        if "validation" not in self.pseudo:
            return np.zeros((0, 3), np.int64)
        return self.pseudo["validation"].defective(len(self.validation.fixed()))


# (model, material, the objective's own tensors so far) -> its own tensors
Start = Callable[[nn.Module, Material, Tensors], Tensors]
# the same -> (its own tensors, a number for each of the stage's series)
AfterEpoch = Callable[[nn.Module, Material, Tensors], tuple[Tensors, dict[str, float]]]


@dataclass(frozen=True)
class Stop:
    """When a stage ends before its last epoch: as soon as ``ended`` says so of the values of ``series`` so far.

    ``least_epochs`` is the number of epochs before which it cannot say so."""

    series: str
    ended: Callable[[Sequence[float]], bool]
    least_epochs: int = 1

    def describe(self) -> list[Any]:
        return [self.series, describe(self.ended), self.least_epochs]


@dataclass(frozen=True)
class Best:
    """Which epoch's weights are kept: the one with the lowest, or highest, value of ``series``; ties go to the earlier
    epoch."""

    series: str = VALIDATION_LOSS
    highest: bool = False

    def is_better(self, value: float, before: Sequence[float]) -> bool:
        """Return True if ``value`` is better than all ``before``."""
        return not before or (value > max(before) if self.highest else value < min(before))


@dataclass(frozen=True)
class Stage:
    """One part of a training: the phases of every batch in order, what is measured after each epoch, when it ends.

    ``watched`` is measured on held-out patches, without a generator, so that it is the same every time. ``own`` names
    the tensors that the objective keeps beside the model's: ``start`` makes them, ``after_epoch`` renews them,
    ``given`` can read them, and checkpoints hold them."""

    phases: tuple[Phase, ...]
    watched: Loss
    name: str = "train"
    epochs: int | None = None  # None: train.epochs
    given: Given | None = None  # what ``watched`` gets; None: the patches
    own: tuple[str, ...] = ()
    start: Start | None = None
    after_epoch: AfterEpoch | None = None
    series: tuple[str, ...] = ()  # what ``after_epoch`` measures, beside the losses
    stop: Stop | None = None  # None: train.patience on the validation loss
    best: Best = Best()
    fresh_every: int | None = None  # epochs after which the optimisers begin anew; null: never
    patience: Literal["off_plateau", "at_once", "never"] = "off_plateau"  # when train.patience begins to count

    def describe(self) -> list[Any]:
        """Return what shapes the stage's weights, as JSON has it."""
        given = [] if self.given is None else [describe(self.given)]
        hooks = [describe(hook) for hook in (self.start, self.after_epoch) if hook is not None]
        chosen = [] if self.best == Best() else [[self.best.series, self.best.highest]]
        chosen += [] if self.fresh_every is None else [[self.fresh_every]]
        return [*(phase.describe() for phase in self.phases), describe(self.watched), *given, *hooks, *chosen]

    def all_series(self) -> tuple[str, ...]:
        """Return the names of all that an epoch of this stage records."""
        return (*(f"{phase.name}_loss" for phase in self.phases), "seconds", VALIDATION_LOSS, *self.series)


@dataclass(frozen=True)
class Objective:
    """The stages of a training, one after the other: each begins with the best weights of the one before.

    ``reconstructs`` is False of a network whose output is no image: then no sample reconstructions are kept. ``split``
    makes more patches to look at, once the training has ended: (model, material, the objective's own tensors) -> x, l
    and s, (n, C, s, s) each."""

    stages: tuple[Stage, ...]
    reconstructs: bool = True
    split: Start | None = None

    def describe(self) -> list[Any]:
        """Return what shapes a training, as JSON has it: a part of its key."""
        first, *more = [stage.describe() for stage in self.stages]
        return [first, *more] if more else first


def one_stage(phases: tuple[Phase, ...], watched: Loss, **more: Any) -> Objective:
    """Return the objective of a method that learns in one stage; ``more`` are fields of `Stage`."""
    return Objective((Stage(phases, watched, **more),))


def minimise(loss: Loss, **more: Any) -> Objective:
    """Return the objective of a method with one loss, which also is the one watched; ``more`` are fields of `Stage`."""
    return one_stage((Phase("train", loss),), loss, **more)


def warmed_up(objective: Objective, loss: Loss, epochs: int) -> Objective:
    """Return an objective with so many epochs before it in which the model learns by ``loss`` alone; 0: as it is. Off
    the plateau by then, it is not waited for any more."""
    if not epochs:
        return objective
    first = Stage((Phase("train", loss),), loss, name="warmup", epochs=epochs, patience="never")
    return replace(objective, stages=(first, *(replace(stage, patience="at_once") for stage in objective.stages)))


def check_objective(objective: Objective, epochs: int) -> None:
    """Raise FlawlineError, before anything long starts, if a stage watches what it does not record, or has a stop that
    cannot fire within its epochs."""
    if not objective.stages:
        raise FlawlineError("an objective needs at least one stage, got none")
    for stage in objective.stages:
        _check_watched(stage, "stop", stage.stop.series if stage.stop else VALIDATION_LOSS)
        _check_watched(stage, "best", stage.best.series)
        most = stage.epochs or epochs
        if stage.stop and stage.stop.least_epochs > most:
            raise FlawlineError(
                f"the stop of the stage '{stage.name}' never fires: it needs {stage.stop.least_epochs} epochs, the "
                f"stage has {most}. Give it more epochs (train.epochs), or a stop that needs fewer."
            )


def _check_watched(stage: Stage, what: str, series: str) -> None:
    known = stage.all_series()
    if series not in known:
        raise FlawlineError(
            f"the {what} of the stage '{stage.name}' looks at '{series}'{near_name(series, known)}, which the stage "
            f"never records: it would never fire. The stage records {', '.join(known)}."
        )


def check_own(stage: Stage, own: Mapping[str, Tensor], whose: str) -> None:
    """Raise FlawlineError unless ``own`` are the tensors that ``stage`` names."""
    if set(own) != set(stage.own):
        raise FlawlineError(
            f"{whose} must hold the objective's own tensors of the stage '{stage.name}': wanted "
            f"{', '.join(sorted(stage.own)) or 'none'}, got {', '.join(sorted(own)) or 'none'}."
        )


def describe(function: Callable) -> list[Any]:
    """Return a function's name and, of a partial one, the arguments it has already, as JSON has them."""
    if isinstance(function, partial):
        keywords = {name: _as_json(value) for name, value in function.keywords.items()}
        return [*describe(function.func), [_as_json(value) for value in function.args], keywords]
    return [getattr(function, "__qualname__", type(function).__qualname__)]


def _as_json(value: Any) -> Any:
    """Return an argument of an objective's function, or the parameters that it is, as JSON has them."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
