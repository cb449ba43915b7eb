"""SHA-256 digests, in hexadecimal: of bytes, of files, of settings, of arrays and of tensors.

Digests are stored beside users' data: what one of these functions returns for a content must never change."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


class Digest:
    """The digest of all that is added, in the order in which it is; every method returns the digest itself."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, content: bytes | str) -> "Digest":
        """Add bytes, or a text in UTF-8."""
        self._sha256.update(content.encode() if isinstance(content, str) else content)
        return self

    def add_array(self, array: NDArray) -> "Digest":
        """Add the type, the shape and the values of an array."""
        self.add(f"{array.dtype.str}{array.shape}")
        self._sha256.update(np.ascontiguousarray(array).data)
        return self

    def add_tensors(self, tensors: "Mapping[str, Tensor]") -> "Digest":
        """Add the names, types, shapes and values of tensors, in the order of their names."""
        import torch  # whoever has a tensor has imported it

        for name in sorted(tensors):
            self.add(f"{name}{tensors[name].dtype}{tuple(tensors[name].shape)}")
            self._sha256.update(tensors[name].cpu().reshape(-1).view(torch.uint8).numpy().data)
        return self

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def content_digest(content: bytes | str) -> str:
    """Return the digest of bytes, or of a text in UTF-8."""
    return Digest().add(content).hexdigest()


def file_digest(path: Path) -> str:
    """Return the digest of a file's content, which is not read into memory as a whole."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_digest(settings: Any) -> str:
    """Return the digest of what JSON can hold; the order of a mapping's keys does not matter."""
    return content_digest(json.dumps(settings, sort_keys=True))


def arrays_digest(arrays: Iterable[NDArray]) -> str:
    """Return the digest of arrays in their order: of their types, shapes and values."""
    digest = Digest()
    for array in arrays:
        digest.add_array(array)
    return digest.hexdigest()


def tensors_digest(tensors: "Mapping[str, Tensor]", text: str = "") -> str:
    """Return the digest of a text and of named tensors: of their names, types, shapes and values."""
    return Digest().add(text).add_tensors(tensors).hexdigest()
