"""How a method learns: one or several kinds of update on every batch, and the loss that is watched."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

# (model, patches (N, C, s, s), generator of the loss's random numbers, None: without any) -> scalar
Loss = Callable[[nn.Module, Tensor, torch.Generator | None], Tensor]


@dataclass(frozen=True)
class Phase:
    """One kind of update: an Adam of its own moves ``parts`` of the model down ``loss``, ``times`` in a row.

    The loss gets the patches, or what ``given`` makes of them: once a batch, without gradient, before the updates."""

    name: str
    loss: Loss
    parts: tuple[str, ...] = ()  # names of the model's children; empty: all of it
    times: int = 1
    after: Callable[[nn.Module], None] | None = None  # done to the model after each update
    given: Callable[[nn.Module, Tensor], Tensor] | None = None

    def parameters(self, model: nn.Module) -> list[nn.Parameter]:
        """Return the parameters that this phase moves."""
        moved = [getattr(model, part) for part in self.parts] or [model]
        return [parameter for part in moved for parameter in part.parameters()]

    def prepare(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return what the loss gets of patches x (N, C, s, s), without gradient."""
        with torch.no_grad():
            return x if self.given is None else self.given(model, x)

    def describe(self) -> list[Any]:
        hooks = [None if hook is None else describe(hook) for hook in (self.after, self.given)]
        return [self.name, describe(self.loss), list(self.parts), self.times, *hooks]


@dataclass(frozen=True)
class Objective:
    """The phases of every batch, in order, and the loss by which the best epoch is chosen on held-out patches.

    ``watched`` is called without a generator, so that it is the same every time."""

    phases: tuple[Phase, ...]
    watched: Loss

    def describe(self) -> list[Any]:
        """Return what shapes a training, as JSON has it: a part of its key."""
        return [*(phase.describe() for phase in self.phases), describe(self.watched)]


def minimise(loss: Loss) -> Objective:
    """Return the objective of a method with one loss, which also is the one watched."""
    return Objective((Phase("train", loss),), loss)


def describe(function: Callable) -> list[Any]:
    """Return a function's name and, of a partial one, the arguments it has already, as JSON has them."""
    if isinstance(function, partial):
        return [*describe(function.func), list(function.args), function.keywords]
    return [getattr(function, "__qualname__", type(function).__qualname__)]
