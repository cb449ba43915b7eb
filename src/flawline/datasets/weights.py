"""Weights as safetensors: no pickle."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

if TYPE_CHECKING:
    from torch import Tensor


class WeightsDataset(AbstractDataset["dict[str, Tensor]", "dict[str, Tensor]"]):
    """A model's state dict in one safetensors file."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = PurePosixPath(filepath)
        self.metadata = metadata

    def load(self) -> "dict[str, Tensor]":
        from flawline.storage.tensors import read_tensors

        return read_tensors(Path(self._filepath))[0]

    def save(self, data: "dict[str, Tensor]") -> None:
        from flawline.storage.tensors import write_tensors

        write_tensors(Path(self._filepath), data, {})

    def _exists(self) -> bool:
        return Path(self._filepath).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
