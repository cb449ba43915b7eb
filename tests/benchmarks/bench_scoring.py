"""Reconstructions and residual images, smoothed to anomaly maps, of 256 x 256 images."""

from collections.abc import Iterator

import numpy as np
import torch
from bench_training import THREADS
from measure import BASE, Row, matmul_rate, seconds
from torch.utils.flop_counter import FlopCounterMode

from flawline.methods.cae import CAE, squared_residual
from flawline.methods.maps import load_model, smooth
from flawline.methods.reconstruction import PatchReconstructor
from flawline.params import ComputeParams
from flawline.training.compute import keep_memory, using_threads
from flawline.vision.patches import patch_grid

SIDE = 256


def rows() -> Iterator[Row]:
    keep_memory()
    fresh = CAE(BASE.cae.model, channels=1, size=64)
    model = load_model(fresh, fresh.state_dict(), ComputeParams(device="cpu"))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 1, 64, 64))
    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE), dtype=np.uint8)
    for stride in (16, 32):
        reconstructor = PatchReconstructor(model, BASE.cae.patches.but(size=64, stride=stride), squared_residual)
        grid = patch_grid(SIDE, SIDE, size=64, stride=stride)
        flops = counter.get_total_flops() * len(grid)
        for threads in THREADS:
            with using_threads(threads):
                rate = matmul_rate(torch.float32)
                took = seconds(lambda: smooth(reconstructor.reconstruct(image).residual, 4.0))  # noqa: B023
            yield Row(f"anomaly map {SIDE} x {SIDE}, stride {stride} ({len(grid)} patches), {threads} thread(s)",
                      f"{1 / took:.1f} images/s", f"{rate / flops:.1f} images/s", flops / took / rate)  # fmt: skip
