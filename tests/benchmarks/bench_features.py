"""The pretrained network on images of 256 x 256 pixels, against the FLOPs of its convolutions at the rate of a large
matrix product, and against itself as it was published: with batch normalisation, channels first."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from measure import BASE, Row, matmul_rate, seconds
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from flawline.methods.features import load_extractor
from flawline.methods.lite import EPSILON, Convolution, load_lite
from flawline.training.compute import keep_memory, using_threads
from flawline.workers import cores

SIDE = 256
LAYERS = ((2, 3, 4), (7,))  # what the patch scorers and the pooled ones take


def rows() -> Iterator[Row]:
    keep_memory()
    for layers in LAYERS:
        for batch in (1, 8):
            for threads in sorted({1, cores()}):
                with using_threads(threads):
                    yield extractor_row(layers, batch, threads)
        with using_threads(1):
            yield from ratio_rows(layers)


def extractor_row(layers: tuple[int, ...], batch: int, threads: int) -> Row:
    extractor, images = load_extractor(BASE.cpcae.scorer.features.but(layers=layers)), torch.rand(batch, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as counter:
        extractor(images)
    floor = counter.get_total_flops() / batch / matmul_rate(torch.float32)
    took = seconds(lambda: extractor(images), least=1.0) / batch
    what = f"lite0 up to layer {max(layers)}, {batch} image(s) at once, {threads} thread(s)"
    return Row(what, f"{1000 * took:.1f} ms/image", f"{1000 * floor:.1f} ms/image", floor / took)


def ratio_rows(layers: tuple[int, ...], *, batch: int = 8, rounds: int = 4) -> Iterator[Row]:
    """Yield the extractor beside networks that lack one or both of its savings; they take turns, so that what else the
    machine does meets all of them."""
    images = torch.rand(batch, 3, SIDE, SIDE)
    works: dict[str, Callable[[], object]] = {
        "as it is": partial(load_extractor(BASE.cpcae.scorer.features.but(layers=layers)), images)
    }
    for what, normalised, layout in (
        ("channels first", False, torch.contiguous_format),
        ("normalisation not folded", True, torch.channels_last),
        ("neither", True, torch.contiguous_format),
    ):
        network = unfolded(layers) if normalised else load_lite("lite0", layers)[0].eval()
        network.to(memory_format=layout)  # type: ignore[call-overload]
        works[what] = partial(look, network, images, layout)
    turns = [{what: seconds(work, least=0.3) for what, work in works.items()} for _ in range(rounds)]
    took = {what: min(turn[what] for turn in turns) / batch for what in works}
    best = took["as it is"]
    for what, each in took.items():
        yield Row(f"  up to layer {max(layers)}, {batch} at once, 1 thread: {what}", f"{1000 * each:.1f} ms/image",
                  f"{1000 * best:.1f} ms/image", best / each)  # fmt: skip


@torch.no_grad()
def look(network: nn.Module, images: Tensor, layout: torch.memory_format) -> list[Tensor]:
    return network(((images - 0.5) / 0.5).contiguous(memory_format=layout))


def unfolded(layers: tuple[int, ...]) -> nn.Module:
    """Return lite0 with a normalisation behind every convolution: what it costs is the same whatever its numbers."""
    network = load_lite("lite0", layers)[0]
    for module in network.modules():
        if isinstance(module, Convolution):
            channels = module.conv.out_channels
            module.register_forward_hook(Normalise(channels))
    return network.eval()


class Normalise:
    def __init__(self, channels: int):
        self.norm = nn.BatchNorm2d(channels, eps=EPSILON).eval().requires_grad_(False)

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return self.norm(output)
