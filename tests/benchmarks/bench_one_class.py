"""The one-class scorers, on images of 256 x 256 pixels: 16 x 16 places of 232 features, 200 learned."""

from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
import torch
from measure import BASE, Row, copy_rate, matmul_rate, seconds

from flawline.methods.nearest_neighbour import NearestNeighbour
from flawline.methods.one_class import Inputs, State
from flawline.methods.patch_gaussian import PatchGaussian
from flawline.methods.patch_memory import PatchMemory
from flawline.methods.patch_memory_free import PatchMemoryFree
from flawline.methods.patch_scorer import PatchScorer
from flawline.training.compute import keep_memory, using_threads

SIDE, PLACES, DEPTH, LEARNED, REACH = 256, 16, 232, 200, 1


def rows() -> Iterator[Row]:
    keep_memory()
    generator = np.random.default_rng(0)
    image = np.zeros((3, SIDE, SIDE), np.float32)
    shape = (LEARNED + 1, 1, PLACES, PLACES, DEPTH)
    seen, *inputs = (Inputs((image,), each) for each in generator.standard_normal(shape, np.float32).astype(np.float16))
    with using_threads(1):
        yield from memory_rows(inputs, seen)
        yield from gaussian_rows(inputs, seen)
        yield from free_rows(inputs, seen)
        yield from nearest_rows(generator)


def memory_rows(inputs: list[Inputs], seen: Inputs) -> Iterator[Row]:
    """The floor: the products that the search needs, at the rate of a large matrix product."""
    rate = matmul_rate(torch.float32)
    for size in (64, None):
        scorer = PatchMemory(BASE.patch_memory.scorer.but(size=size, bits=8, search_radius=REACH))
        state, took = fitted(scorer, inputs)
        flops = 2 * PLACES**2 * (2 * REACH + 1) ** 2 * (size or LEARNED) * DEPTH
        what = f"patch memory, {size or 'all ' + str(LEARNED)} a place"
        yield Row(f"{what}: fit", f"{took:.2f} s", f"{megabytes(state):.1f} MB kept")
        yield timed(f"{what}: distances", lambda: scorer.distances(state, seen.embedding), flops / rate)  # noqa: B023
        yield Row("  with map and score", f"{1000 * seconds(lambda: scorer.score(state, seen)):.1f} ms/image")  # noqa: B023


def gaussian_rows(inputs: list[Inputs], seen: Inputs) -> Iterator[Row]:
    """The floor: reading what whitens once."""
    for dimensions in (100, None):
        scorer = PatchGaussian(BASE.patch_gaussian.scorer.but(dimensions=dimensions))
        state, took = fitted(scorer, inputs)
        floor = state["whitening"].nbytes / copy_rate(state["whitening"].nbytes)
        what = f"patch Gaussian, {dimensions or 'all ' + str(DEPTH)} features"
        yield Row(f"{what}: fit", f"{took:.2f} s", f"{megabytes(state):.1f} MB kept")
        yield timed(f"{what}: distances", lambda: scorer.distances(state, seen.embedding), floor)  # noqa: B023
        yield Row("  with map and score", f"{1000 * seconds(lambda: scorer.score(state, seen)):.1f} ms/image")  # noqa: B023


def free_rows(inputs: list[Inputs], seen: Inputs) -> Iterator[Row]:
    """The floor: the products of the places and all that is kept."""
    rate = matmul_rate(torch.float32)
    free = [Inputs(each.views, each.embedding[0]) for each in (seen, *inputs)]
    for size in (500, 2000):
        scorer = PatchMemoryFree(BASE.patch_memory_free.scorer.but(size=size))
        state, took = fitted(scorer, free[1:])
        what = f"free patch memory, {size} for all places"
        yield Row(f"{what}: fit, with 4 folds", f"{took:.2f} s", f"{megabytes(state):.1f} MB kept")
        points = torch.from_numpy(free[0].embedding.astype(np.float32)).flatten(0, 1)
        floor = 2 * len(points) * size * DEPTH / rate
        yield timed(f"{what}: distances", lambda: scorer.distances(state, points), floor)  # noqa: B023
        yield Row("  with map and score", f"{1000 * seconds(lambda: scorer.score(state, free[0])):.1f} ms/image")  # noqa: B023


def nearest_rows(generator: np.random.Generator) -> Iterator[Row]:
    """The floor: reading all images once."""
    bank = torch.from_numpy(generator.integers(0, 256, (LEARNED, 3, SIDE, SIDE), dtype=np.uint8))
    one = Inputs((generator.random((3, SIDE, SIDE), dtype=np.float32),))
    scorer, floor = NearestNeighbour(BASE.cae.scorer), bank.nbytes / copy_rate(bank.nbytes)
    yield timed(f"nearest of {LEARNED} images", lambda: scorer.score({"bank": bank}, one), floor)


def fitted(scorer: PatchScorer | PatchMemoryFree, inputs: list[Inputs]) -> tuple[State, float]:
    start = perf_counter()
    return scorer.fit(inputs, seed=0), perf_counter() - start


def timed(what: str, work: Callable[[], object], floor: float) -> Row:
    took = seconds(work)
    return Row(what, f"{1000 * took:.2f} ms/image", f"{1000 * floor:.2f} ms/image", floor / took)


def megabytes(state: State) -> float:
    return sum(tensor.nbytes for tensor in state.values()) / 1e6
