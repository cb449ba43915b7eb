"""Files of named tensors (safetensors, no pickle), written whole or not at all, with a digest of their content."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from flawline.storage.digests import tensors_digest

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["packed", "part", "read_tensors", "tensors_digest", "write_tensors"]


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", meta: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able ``meta``, with a digest of both, to one safetensors file: to PATH.partial first, then
    renamed."""
    from safetensors.torch import save_file  # imports torch, which takes seconds

    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        text = json.dumps(meta)
        # One entry: safetensors writes several in any order, and the same content must be the same file.
        save_file(plain, partial, metadata={"flawline": f"{tensors_digest(plain, text)} {text}"})
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_tensors(path: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Read what ``write_tensors`` wrote. Raise FileNotFoundError or SafetensorError if there is no whole file."""
    with safe_open(path, framework="pt") as file:
        digest, _, text = (file.metadata() or {}).get("flawline", "").partition(" ")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if digest != tensors_digest(tensors, text):
        raise SafetensorError("its checksum does not fit: it was changed or damaged after it was written")
    return tensors, json.loads(text)


def packed(groups: "Mapping[str, Mapping[str, Tensor]]") -> "dict[str, Tensor]":
    """Return several groups of tensors as one, "GROUP/NAME": what ``part`` takes apart."""
    return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def part(tensors: "Mapping[str, Tensor]", group: str) -> "dict[str, Tensor]":
    """Return the tensors of one group of ``packed``."""
    mark = f"{group}/"
    return {name.removeprefix(mark): tensor for name, tensor in tensors.items() if name.startswith(mark)}
