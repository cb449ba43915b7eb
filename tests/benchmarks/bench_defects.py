"""Julia sets of many patches at once against Algorithm 1 as printed, pixel by pixel, on the same sets."""

from collections.abc import Iterator

import numpy as np
from measure import BASE, Row, seconds
from printed_julia import printed_steps_left

from flawline.vision.defects import julia_patches, julia_steps_left
from flawline.vision.defects.julia import draw_set

SIDE, PATCHES, LOOPED = 32, 384, 24  # Alpdemir 2022: patches of 32 x 32
PARAMS = BASE.defect_injection.julia


def rows() -> Iterator[Row]:
    generator = np.random.default_rng(0)
    size = (SIDE, SIDE)
    sets = [draw_set(PARAMS.families[i % len(PARAMS.families)], PARAMS, size, generator) for i in range(PATCHES)]
    # As many of each family; the loop is timed on the first of them, the arrays on all.
    looped = seconds(lambda: [printed_steps_left(each) for each in sets[:LOOPED]], least=2.0) / LOOPED
    batched = seconds(lambda: julia_steps_left(sets), least=2.0) / PATCHES
    alone = seconds(lambda: [julia_steps_left([each]) for each in sets[:LOOPED]], least=2.0) / LOOPED
    assert julia_steps_left(sets[:LOOPED]).tolist() == [printed_steps_left(each) for each in sets[:LOOPED]]
    what = f"julia_steps_left, {SIDE} x {SIDE}"
    yield Row(f"{what}, {PATCHES} sets at once", f"{1e6 * batched:.0f} us a patch", f"loop {1e6 * looped:.0f} us")
    yield Row("  times as fast as the loop over pixels", f"{looped / batched:.1f} x")
    yield Row(f"{what}, one set", f"{1e6 * alone:.0f} us a patch", f"{looped / alone:.1f} x")
    patches = generator.random((PATCHES, 3, SIDE, SIDE), dtype=np.float32)
    whole = seconds(lambda: julia_patches(patches, PARAMS, np.random.default_rng(0))) / PATCHES
    yield Row("julia_patches, RGB: drawn, again where needed, and blended", f"{1e6 * whole:.0f} us a patch")
