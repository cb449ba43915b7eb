"""Where frozen networks run, and by which engine."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Literal

from flawline.checks import FlawlineError, how_to_install

Engine = Literal["torch", "openvino"]


@dataclass(frozen=True)
class Runtime:
    """Where frozen networks run, and by what."""

    device: str = "cpu"
    engine: Engine = "torch"

    def __str__(self) -> str:
        """Say the engine with its version, as a detector says what it was calibrated with."""
        return f"{self.engine} {_version_of(self.engine)} on {self.device}"


TORCH_ON_CPU = Runtime()


@cache
def _version_of(package: str) -> str:
    """Return the version that is installed; its file is read once, which takes two milliseconds."""
    return version(package)


def is_installed(engine: Engine) -> bool:
    """Return True if an engine can be used here."""
    return find_spec(engine) is not None


def check_engine(engine: Engine, device: str) -> None:
    """Raise FlawlineError if an engine is not installed, or does not run on the device."""
    if not is_installed(engine):
        raise FlawlineError(
            f"compute.engine is {engine}, which is not installed; {how_to_install(engine)}, or set it to torch"
        )
    if engine == "openvino" and device != "cpu":
        raise FlawlineError(f"compute.engine is openvino, which runs on the CPU, not on {device}; set it to torch")
