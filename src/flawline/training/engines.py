"""Inference engines: what runs a frozen network of images. PyTorch is always there; OpenVINO, an engine made for
inference on CPUs, runs the same network faster."""

import logging
import sys
import threading
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flawline.checks import FlawlineError
from flawline.training.runtime import Engine
from flawline.workers import cores

Precision = Literal["float32", "bfloat16"]
Shape = tuple[int, ...]  # of images (n, C, H, W)
FREE_SIZE, FREE_COUNT = (0, 2, 3), (0,)  # axes of images (n, C, H, W) whose lengths a trace of a network leaves open
TELEMETRY = "openvino_telemetry"
HINTS = {"float32": "f32", "bfloat16": "bf16"}  # OpenVINO's names
SHAPES = 4  # shapes of images for which what was compiled is kept, of a network that was not traced for any size

logger = logging.getLogger(__name__)


def running(
    network: nn.Module, engine: Engine, *, precision: Precision = "float32", free: Sequence[int] = ()
) -> "TorchNetwork | CompiledNetwork":
    """Return a frozen network of images (n, 3, H, W), which gives out layers (n, D, h, w), as ``engine`` runs it.

    A trace of it holds whatever the lengths of the axes ``free`` of the images are. Raise FlawlineError if this machine
    cannot compute in that precision."""
    plain = TorchNetwork(network, precision)
    if engine == "torch":
        return plain
    if precision == "bfloat16" and "BF16" not in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise FlawlineError(
            "features.precision is bfloat16, which this processor does not have, and OpenVINO would compute in another "
            "without a word. Set it to float32, or compute.engine to torch."
        )
    return CompiledNetwork(plain, precision=precision, free=free)


def compiled(model: nn.Module, engine: Engine) -> nn.Module:
    """Return a frozen model of patches (n, C, s, s), however many, whose ``forward`` an engine runs in float32; what
    else is asked of it the model itself does."""
    return model if engine == "torch" else CompiledModel(model)


class CompiledModel(nn.Module):
    """A model whose ``forward`` OpenVINO runs."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.eval()
        self._run = running(_OneLayer(model), "openvino", free=FREE_COUNT)

    def forward(self, x: Tensor) -> Tensor:
        return self._run(x)[0]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)


class _OneLayer(nn.Module):
    """A model as a network that gives out layers, of which it has one."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.model(x)]


class TorchNetwork:
    """A network that PyTorch runs."""

    def __init__(self, network: nn.Module, precision: Precision = "float32"):
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
        self._precision = precision

    def to(self, device: str) -> None:
        self.network.to(device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        lower = self._precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=lower):
            return self.network(images.contiguous(memory_format=torch.channels_last))


class CompiledNetwork:
    """A network that OpenVINO runs, each call on one thread, so that several threads can call it at once.

    It is compiled once for images that differ along ``free`` axes alone, and again for each other shape: what comes out
    for an image does not depend on what was looked at before. What OpenVINO cannot compile PyTorch runs, and the log
    says so."""

    def __init__(self, plain: TorchNetwork, *, precision: Precision, free: Sequence[int]):
        self._plain, self._hint, self._free = plain, HINTS[precision], free
        self._lock, self._own = threading.Lock(), threading.local()
        self._compiled: dict[Shape, Any] = {}  # the last ones; -1 is any
        self._failed = False

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        request = self._request(images)
        if request is None:
            return self._plain(images)
        found = request.infer([images.contiguous().numpy()], share_inputs=True)
        return [torch.from_numpy(found[k]) for k in range(len(found))]

    def _request(self, images: Tensor) -> Any:
        """Return this thread's request for images of that shape; None: PyTorch runs them."""
        shape = tuple(-1 if axis in self._free else length for axis, length in enumerate(images.shape))
        with self._lock:
            compiled = self._compiled_for(shape, images)
        own = self._own.__dict__
        if "request" not in own or own["compiled"] is not compiled:  # kept until another shape comes
            own["compiled"] = compiled
            own["request"] = None if compiled is None else compiled.create_infer_request()
        return own["request"]

    def _compiled_for(self, shape: Shape, images: Tensor) -> Any:
        """Return what was compiled for images of a shape; None if nothing can be."""
        if shape not in self._compiled and not self._failed:
            try:
                made = self._compile(images, shape)
            except Exception as error:  # a compiler raises what it likes
                self._failed = True
                logger.warning("OpenVINO cannot compile the network (%s: %s): PyTorch runs it.",
                               type(error).__name__, str(error).strip().split("\n")[0])  # fmt: skip
                return None
            if len(self._compiled) == SHAPES:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[shape] = made
        return self._compiled.get(shape)

    def _compile(self, images: Tensor, shape: Shape) -> Any:
        openvino, streams = _openvino(), cores()
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # that lists are returned, and that it is old
            traced = torch.jit.trace(self._plain.network, images.contiguous(), check_trace=False)
        model = openvino.convert_model(traced, input=[openvino.PartialShape(list(shape))])
        asked = {"INFERENCE_PRECISION_HINT": self._hint, "INFERENCE_NUM_THREADS": streams, "NUM_STREAMS": streams,
                 "ENABLE_CPU_PINNING": False}  # fmt: skip  # other processes have the same cores
        return _core().compile_model(model, "CPU", asked)


@cache
def _openvino() -> Any:
    """Return the package. It tells its maker of every import unless its telemetry cannot be imported: nothing that
    runs in a plant may call home."""
    known = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # how Python is told that a module is not there
    try:
        import openvino
    finally:
        if known is None:
            del sys.modules[TELEMETRY]
        else:
            sys.modules[TELEMETRY] = known
    return openvino


@cache
def _core() -> Any:
    return _openvino().Core()
