"""Training state on disk: whole or not at all, no pickle, and never taken up by a run it does not belong to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from typing import Protocol

import torch
from torch import Tensor

from flawline.storage.tensors import packed, part
from flawline.storage.unfinished import UnfinishedFile


@dataclass
class TrainingState:
    """All that training needs to go on after ``epoch`` epochs as if it had never stopped."""

    epoch: int
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]  # "PHASE.PARAMETER.NAME", numbers and the name of a tensor that Adam keeps
    best: dict[str, Tensor]  # the weights of the best epoch of the stage so far
    history: list[dict[str, float]] = field(default_factory=list)
    sample_reconstructions: dict[str, Tensor] = field(default_factory=dict)  # patches, and how they came out over time
    own: dict[str, Tensor] = field(default_factory=dict)  # the objective's own tensors
    stage: int = 0  # the stage that is going on


PARTS = ("model", "optimizer", "best", "sample_reconstructions", "own")


class CheckpointStore(Protocol):
    def load(self, key: str) -> TrainingState | None:
        """Return the state saved under ``key``, or None."""
        ...

    def save(self, key: str, state: TrainingState) -> None: ...

    def clear(self) -> None:
        """Remove what was saved, here and in all parts."""
        ...

    def part(self, name: str) -> "CheckpointStore":
        """Return a store of its own for one of several trainings that belong together."""
        ...


class NoCheckpoints:
    """Forgets everything."""

    def load(self, key: str) -> TrainingState | None:
        return None

    def save(self, key: str, state: TrainingState) -> None:
        pass

    def clear(self) -> None:
        pass

    def part(self, name: str) -> "NoCheckpoints":
        return self


class FileCheckpoints(UnfinishedFile):
    """The file of a training, replaced after every epoch."""

    def load(self, key: str) -> TrainingState | None:
        """Return the saved state if it is whole and its key is ``key``; a file of another run is left alone."""
        found = self.read(key)
        if found is None:
            return None
        tensors, meta = found
        parts = {name: part(tensors, name) for name in PARTS}
        return TrainingState(meta["epoch"], history=meta["history"], stage=meta.get("stage", 0), **parts)

    def save(self, key: str, state: TrainingState) -> None:
        tensors = packed({name: getattr(state, name) for name in PARTS})
        self.write(key, tensors, {"epoch": state.epoch, "stage": state.stage, "history": state.history})

    def clear(self) -> None:
        """Remove what was saved, here and in all parts."""
        super().clear()
        for path in self.path.parent.glob(f"{escape(self.path.name)}.part_*"):
            path.unlink(missing_ok=True)

    def part(self, name: str) -> "FileCheckpoints":
        return FileCheckpoints(self.path.with_name(f"{self.path.name}.part_{name}"))


def pack_optimizers(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Flatten the per-parameter tensors of some optimizers to {"PHASE.PARAMETER.NAME": tensor}."""
    return {
        f"{number}.{i}.{name}": torch.as_tensor(value)
        for number, optimizer in enumerate(optimizers)
        for i, slots in optimizer.state_dict()["state"].items()
        for name, value in slots.items()
    }


def unpack_optimizers(optimizers: Sequence[torch.optim.Optimizer], packed: Mapping[str, Tensor]) -> None:
    """Put back what ``pack_optimizers`` took; the learning rate and the like stay as the optimizers have them."""
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    for key, value in packed.items():
        number, index, name = key.split(".", 2)
        states[int(number)].setdefault(int(index), {})[name] = value
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
