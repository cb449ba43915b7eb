"""The floor, the training step of the convolutional autoencoder against it, and the other methods' against that."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from measure import BASE, Row, matmul_rate, seconds
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from flawline.methods.registry import METHODS, RECONSTRUCTORS, SCHNEIDER, resolve
from flawline.params import FramePatchParams
from flawline.training.compute import keep_memory, using_threads
from flawline.training.loop import Training, _seeded_model, _step, noise
from flawline.training.objective import Batch
from flawline.vision.turning import frame_side
from flawline.workers import cores

BATCH = 32
Precision = Literal["32-true", "bf16-mixed"]
TYPES: dict[Precision, torch.dtype] = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}
THREADS = sorted({1, cores()})
AUTOENCODERS = [name for name, method in METHODS.items() if method.paper == SCHNEIDER]
OWN_SIZE = ("rdcae", "dcae", "deep_svdd", "ae", "stn_ae")
# The memory-bound part of a step by the name of the operator; what matches none is "other".
KINDS = {
    "convolution": ("conv",),
    "linear": ("addmm", "aten::mm", "mkldnn_linear", "aten::linear"),
    "leaky ReLU": ("leaky_relu",),
    "upsampling": ("upsample",),
    "optimizer": ("optimizer", "addcmul", "addcdiv", "lerp", "sqrt"),
    "loss": ("mse_loss",),
    "cast and copy": ("copy_", "aten::to", "contiguous"),
}


def training_step(
    size: int, precision: Precision, *, name: str = "cae", channels_last: bool = True
) -> tuple[Callable[[], object], int]:
    """Return a training step on a batch, all phases of the last stage of the method ``name``, and its FLOPs (forward
    and backward), as ``methods.training`` makes it. ``size`` is the side of a patch."""
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network, params = RECONSTRUCTORS[name].network, getattr(BASE, name).model
    assert network is not None
    make = partial(_seeded_model, partial(resolve(network.build), params, channels=1, size=size), 0)
    objective = resolve(network.objective)(params)
    stage = objective.stages[-1]
    training = Training(fabric, make, objective, None, BASE.cae.train.but(epochs=1))  # type: ignore[arg-type]  # no material
    model, optimizers = training.place(make(), stage)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    batch = Batch(patches_for(name, size).contiguous(memory_format=layout), np.zeros((BATCH, 3), np.int64))
    step = partial(_step, fabric, model, optimizers, stage, batch, noise(0, 0))
    with FlopCounterMode(display=False) as counter:
        step()
    return step, counter.get_total_flops()


def patches_for(name: str, size: int) -> Tensor:
    """Return random patches as the network of a method is given them: with a margin and what counts, if it turns
    them."""
    if not isinstance(getattr(BASE, name).patches, FramePatchParams):
        return torch.rand(BATCH, 1, size, size)
    side = frame_side(size)
    return torch.cat([torch.rand(BATCH, 1, side, side), torch.ones(BATCH, 1, side, side)], dim=1)


def floor() -> Iterator[Row]:
    for name, dtype in TYPES.items():
        for threads in THREADS:
            with using_threads(threads):
                rate = matmul_rate(dtype)
            yield Row(f"matrix product 1024^3, {name}, {threads} thread(s)", f"{rate / 1e9:.0f} GFLOP/s")


def step_row(size: int, precision: Precision, threads: int, *, channels_last: bool, note: str) -> Row:
    with using_threads(threads):
        rate = matmul_rate(TYPES[precision])
        step, flops = training_step(size, precision, channels_last=channels_last)
        took = seconds(step, least=1.0)
    layout = "channels last" if channels_last else "channels first"
    return Row(
        f"training step {size}, {precision}, {layout}, {threads} thread(s){note}",
        f"{BATCH / took:.0f} patches/s",
        f"{rate * BATCH / flops:.0f} patches/s",
        flops / took / rate,
    )


def rows() -> Iterator[Row]:
    yield from floor()
    yield from without_kept_memory()
    keep_memory()
    for size in (64, 128):
        for precision in TYPES:
            for threads in THREADS:
                yield step_row(size, precision, threads, channels_last=True, note="")
        yield step_row(size, "32-true", 1, channels_last=False, note="")
        yield from method_rows(size)
    yield from own_size_rows()
    for precision in TYPES:
        yield from where_it_goes(64, precision)


def own_size_rows() -> Iterator[Row]:
    """Yield a step of each other method that trains, on one thread, at the size that its patches have in conf, against
    the seconds of a matrix product with as many FLOPs."""
    with using_threads(1):
        rate = matmul_rate(torch.float32)
        for name in OWN_SIZE:
            size = getattr(BASE, name).patches.size
            step, flops = training_step(size, "32-true", name=name)
            took = seconds(step, least=1.0)
            yield Row(f"training step {size}, 32-true, 1 thread: {name}", f"{BATCH / took:.0f} patches/s",
                      f"{rate * BATCH / flops:.0f} patches/s", flops / took / rate)  # fmt: skip


def method_rows(size: int, *, rounds: int = 3) -> Iterator[Row]:
    """Yield a step of each method beside the first one's (cae), on one thread, and the ratio of the two; the methods
    take turns, so that what else the machine does meets all of them."""
    with using_threads(1):
        steps = {name: training_step(size, "32-true", name=name)[0] for name in AUTOENCODERS}
        turns = [{name: seconds(step, least=1.0) for name, step in steps.items()} for _ in range(rounds)]
    took = {name: min(turn[name] for turn in turns) for name in AUTOENCODERS}
    first = next(iter(AUTOENCODERS))
    for name, each in took.items():
        yield Row(f"training step {size}, 32-true, 1 thread: {name} (floor: {first})", f"{1000 * each:.1f} ms",
                  f"{1000 * took[first]:.1f} ms", each / took[first])  # fmt: skip


def without_kept_memory() -> Iterator[Row]:
    """Measure in a process of its own: what ``keep_memory`` does cannot be undone."""
    said = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True).stdout
    for fields in json.loads(said):
        yield Row(**fields)


def where_it_goes(size: int, precision: Precision) -> Iterator[Row]:
    """Yield the share of each kind of operator in a step's time on one thread."""
    with using_threads(1):
        step, _ = training_step(size, precision)
        step()
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            for _ in range(5):
                step()
    took: dict[str, float] = dict.fromkeys([*KINDS, "other"], 0.0)
    for event in seen.key_averages():
        took[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(took.values())
    for kind, microseconds in took.items():
        yield Row(f"  of a step {size}, {precision}, 1 thread: {kind}", f"{microseconds / 5000:.1f} ms", "",
                  microseconds / total)  # fmt: skip


def kind_of(operator: str) -> str:
    name = operator.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "other")


def as_fields(row: Row) -> dict[str, Any]:
    return dict(vars(row))


if __name__ == "__main__":
    note = ", memory not kept"
    print(json.dumps([as_fields(step_row(size, "32-true", 1, channels_last=True, note=note)) for size in (64, 128)]))
