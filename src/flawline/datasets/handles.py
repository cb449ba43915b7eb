"""Handles that nodes get as inputs, so that they stay pure: checkpoints, progress, the machine's memory, a folder."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from tqdm import tqdm

if TYPE_CHECKING:
    from flawline.training.checkpoints import FileCheckpoints

Sink = Callable[[dict[str, float]], None]


class Handle(AbstractDataset):
    """A dataset that only loads."""

    stamped = False

    def save(self, data: Any) -> NoReturn:
        raise DatasetError(f"{type(self).__name__} is a handle: it cannot be saved")

    def _describe(self) -> dict[str, Any]:
        return {}


class CheckpointsDataset(Handle):
    """Loads the store of a training's unfinished state."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> "FileCheckpoints":
        return self._store

    @cached_property
    def _store(self) -> "FileCheckpoints":
        from flawline.training.checkpoints import FileCheckpoints

        return FileCheckpoints(self._path)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class FolderDataset(Handle):
    """Loads a folder's path, or None where none was given."""

    def __init__(self, *, filepath: str | None = None, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath) if filepath else None
        self.metadata = metadata

    def load(self) -> Path | None:
        return self._folder

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder)}


class FileDataset(FolderDataset):
    """Loads a file's path, or None where none was given."""


class NewestFileDataset(Handle):
    """Loads the path of a file that was ``given``, or else of the newest version of ``filepath``."""

    def __init__(self, *, filepath: str, given: str | None = None, metadata: dict[str, Any] | None = None):
        self._versions, self._given = Path(filepath), given
        self.metadata = metadata

    def load(self) -> Path:
        from flawline.checks import FlawlineError

        if self._given:
            return Path(self._given)
        found = sorted(self._versions.glob(f"*/{self._versions.name}"))
        if not found:
            raise FlawlineError(f"there is no {self._versions.name} in {self._versions}. Inspect images first.")
        return found[-1]

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._versions), "given": self._given}


class MachineFile:
    """What was measured on this machine, kept in a JSON file; delete it to measure again."""

    def __init__(self, path: Path):
        self.path = path

    def recall(self, key: str) -> int | None:
        value = self._read().get(key)
        return value if isinstance(value, int) and value > 0 else None

    def remember(self, key: str, value: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps({**self._read(), key: value}, indent=1))
        partial.replace(self.path)

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self.path.read_text())
        except (OSError, ValueError):  # missing, cut off, not text: measure again
            return {}
        return known if isinstance(known, dict) else {}


class MachineDataset(Handle):
    """Loads the ``MachineFile``."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._machine = MachineFile(Path(filepath))
        self.metadata = metadata

    def load(self) -> MachineFile:
        return self._machine


class Bar:
    """Progress as a bar on a terminal and a line an epoch anywhere; every epoch's record also goes to a sink."""

    def __init__(self) -> None:
        self.sink: Sink = lambda record: None

    def track(self, items: Iterable[Any], *, total: int, label: str) -> Iterator[Any]:
        yield from tqdm(items, total=total, desc=label, leave=False, disable=not sys.stderr.isatty(), ncols=100)

    def epoch(self, record: dict[str, float]) -> None:
        self.sink(record)
        losses = ", ".join(f"{name.replace('_', ' ')} {value:.5f}" for name, value in record.items() if name != "epoch")
        tqdm.write(f"  epoch {record['epoch']:>4.0f}: {losses}", file=sys.stderr)


class ProgressDataset(Handle):
    """Loads the ``Bar``; hooks set its sink."""

    def __init__(self, *, metadata: dict[str, Any] | None = None):
        self._bar = Bar()
        self.metadata = metadata

    def load(self) -> Bar:
        return self._bar


class RunDataset(Handle):
    """Loads what names the run that is going on: its MLflow id and the commit of the code; empty outside a run."""

    def __init__(self, *, metadata: dict[str, Any] | None = None):
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        import mlflow
        from mlflow.tracking import MlflowClient

        run = mlflow.active_run()
        if run is None:
            return {}
        tags = MlflowClient().get_run(run.info.run_id).data.tags
        return {"MLflow run": run.info.run_id, "commit": tags.get("git_sha", "unknown")}
