"""Julia sets as pseudo-defects, for one region or for many patches at once.

Source: Alpdemir 2022, section 3.2, Algorithm 1. Its symbols: alpha, beta, dx, dy, cx, cy, zf (here zoom), w, h."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_shape, near_name
from flawline.params import JuliaParams, JuliaRanges
from flawline.vision.defects.base import Damaged, UnseenError, box_of, check_inputs, draw_from, least_change

MAX_STEPS = 255  # max_iter of Algorithm 1
ESCAPE = 4.0  # R^2; the paper leaves R open but for R^2 - R > |c|
# Steps between two looks at which pixels are still in the running; 254 in all. Short first, since most leave at once;
# then multiples of 12, so that cycles of 1, 2, 3, 4, 6 and 12 points are seen to have come back.
STAGES = (4, 8, 12, 24, 48, 60, 60, 38)
SETTLED = 12  # steps of a stage from which it is asked who stays for ever
CHUNK = 8192  # pixels that take their steps together, and
BLOCK = 131072  # pixels whose sets are computed together, so that all arrays stay in the processor's cache
TRAPPED = 1 - 1e-6  # factor by which a step must bring a number nearer to a fixed point that keeps it
LEAST = 3  # pixels of a region each way


class JuliaSet(NamedTuple):
    """The nine parameters of Algorithm 1. ``width`` and ``height`` are those of the picture, in pixels."""

    alpha: float
    beta: float
    dx: float
    dy: float
    cx: float
    cy: float
    zoom: float
    width: int
    height: int


@dataclass(frozen=True)
class Julia:
    """A Julia set averaged into the image where fewer than ``below`` steps are left: on the region's box, cut to it.

    A family is drawn, then its parameters from that family's ranges, again until the set covers ``share`` of the
    region and can be seen. Source: Alpdemir 2022, section 3.2; its author's code blends (image + J / 255) / 2 where
    J < 230."""

    params: JuliaParams

    def __call__(
        self, image: NDArray[np.float32], region: NDArray[np.bool_], generator: np.random.Generator
    ) -> Damaged:
        check_inputs(image, region, kind="julia", least=LEAST)
        rows, columns = box_of(region)
        least = np.array([least_change(image, self.params)])
        (made,) = _damage(image[None, :, rows, columns], region[rows, columns], self.params, generator, least=least)
        result, mask = np.array(image), np.zeros_like(region)
        result[:, rows, columns], mask[rows, columns] = made.image, made.mask
        return Damaged(result, mask, made.drawn)


def julia_patches(patches: NDArray[np.float32], params: JuliaParams, generator: np.random.Generator) -> list[Damaged]:
    """Damage each of ``patches`` (N, C, h, w) float32 in [0, 1] by a Julia set of its own, anywhere in it.

    As ``Julia`` on each, but all sets are computed together, which takes a fraction of the time."""
    check_shape("patches", patches, ("N", "C", "h", "w"))
    region = np.ones(patches.shape[2:], np.bool_)
    for patch in patches[:1]:
        check_inputs(patch, region, kind="julia", least=LEAST)
    least = np.array([least_change(patch, params) for patch in patches])  # (N,)
    return _damage(patches, region, params, generator, least=least)


# --- sets ------------------------------------------------------------------------------------------------------------
def draw_set(family: str, params: JuliaParams, size: tuple[int, int], generator: np.random.Generator) -> JuliaSet:
    """Draw a set of ``family`` for a picture of ``size`` (h, w). Raises FlawlineError if there is no such family."""
    families = [name for name, field in JuliaParams.model_fields.items() if field.annotation is JuliaRanges]
    if family not in families:
        raise FlawlineError(f"family must be one of {', '.join(families)}, got '{family}'{near_name(family, families)}")
    ranges = getattr(params, family)
    drawn = {name: draw_from(getattr(ranges, name), generator) for name in JuliaRanges.model_fields}
    return JuliaSet(**drawn, width=size[1], height=size[0])


def julia_steps_left(sets: Sequence[JuliaSet]) -> NDArray[np.uint8]:
    """Return J (N, h, w) of N sets whose pictures have one size: 255 less the steps z -> z^2 + c until ``|z| >= 2``,
    which is 1 where 254 steps are not enough. To the bit what a loop over the pixels makes in float64.

    Departs from Algorithm 1 as printed: both parts are updated together, the real one as x^2 - y^2 + cx (printed
    "+"), and it runs while i > 1 (printed "i > max_iter", which is never).

    Raises FlawlineError for sets of different sizes, and for ``|c| >= 2`` (``R^2 - R > |c|``): z might come back."""
    _check_sets(sets)
    together = max(1, BLOCK // (sets[0].height * sets[0].width))
    return np.concatenate([_steps_left(sets[i : i + together]) for i in range(0, len(sets), together)])


def _check_sets(sets: Sequence[JuliaSet]) -> None:
    sizes = sorted({(each.height, each.width) for each in sets})
    if len(sizes) != 1:
        raise FlawlineError(f"sets must be at least one and have one size (height, width), got {sizes}")
    largest = max(abs(complex(each.cx, each.cy)) for each in sets)
    if largest >= 2:
        raise FlawlineError(f"|c| must stay below the escape radius 2, got {largest:g}: lower cx or cy")


def _steps_left(sets: Sequence[JuliaSet]) -> NDArray[np.uint8]:
    """Return J (N, h, w). Steps depend on one another, so these are a loop; pixels and sets are not."""
    zx, zy, cx, cy = _planes(sets)
    left = np.full((len(sets), zy.shape[1], zx.shape[1]), MAX_STEPS, np.uint8)
    inside = (zx * zx)[:, None, :] + (zy * zy)[:, :, None] < ESCAPE  # (N, h, w); the others take no step
    starts = np.nonzero(inside)  # set, row and column of each pixel (n,)
    left[starts] -= _steps(zx[starts[0], starts[2]], zy[starts[0], starts[1]], cx[starts[0]], cy[starts[0]])
    return left


def _planes(sets: Sequence[JuliaSet]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return the real part of z in each column (N, w), its imaginary part in each row (N, h), and both of c (N,)."""
    numbers = np.array(sets, np.float64).T[:, :, None]  # (9, N, 1)
    alpha, beta, dx, dy, cx, cy, zoom, width, height = numbers
    xs, ys = np.arange(sets[0].width), np.arange(sets[0].height)
    zx = alpha * (xs - width / 2) / (0.5 * zoom * width) + dx  # (N, w), Algorithm 1, line 4
    zy = beta * (ys - height / 2) / (0.5 * zoom * height) + dy  # (N, h), line 5
    return zx, zy, cx[:, 0], cy[:, 0]


def _steps(x: NDArray, y: NDArray, cx: NDArray, cy: NDArray) -> NDArray[np.uint8]:
    """Return how many steps z = x + iy (n,) take until |z| >= 2, 254 at the most."""
    done, where = np.zeros(len(x), np.uint8), np.arange(len(x))
    for steps in STAGES:
        before, counts = (x.copy(), y.copy()), np.zeros(len(x), np.uint8)
        with np.errstate(over="ignore", invalid="ignore"):  # what has escaped goes on to infinity
            for i in range(0, len(x), CHUNK):
                chunk = slice(i, i + CHUNK)
                _advance(x[chunk], y[chunk], cx[chunk], cy[chunk], counts[chunk], steps)
        done[where] += counts
        going = counts == steps
        where, x, y, cx, cy = (each[going] for each in (where, x, y, cx, cy))  # those still in the running
        if steps >= SETTLED:
            stays = _trapped(x, y, cx, cy) | (x == before[0][going]) & (y == before[1][going])
            done[where[stays]] = MAX_STEPS - 1
            where, x, y, cx, cy = (each[~stays] for each in (where, x, y, cx, cy))
    return done


def _trapped(x: NDArray, y: NDArray, cx: NDArray, cy: NDArray) -> NDArray[np.bool_]:
    """Return which z = x + iy (n,) can never leave, as they lie so near an attracting fixed point p = p^2 + c that each
    step brings them nearer: |z^2 + c - p| = |z - p| |z + p|, and |z + p| <= 2 |p| + |z - p| < 1. Rounding, of about
    1e-16, cannot change that, as the sum must stay below 1 by far more.

    (The other way to stay is to come back to the bit: what was before follows again, for ever.)"""
    p = (1 - np.sqrt(1 - 4 * (cx + 1j * cy))) / 2
    return 2 * np.abs(p) + np.abs(x + 1j * y - p) < TRAPPED


def _advance(x: NDArray, y: NDArray, cx: NDArray, cy: NDArray, counts: NDArray[np.uint8], steps: int) -> None:
    """Take ``steps`` steps in place, and add to ``counts`` those before which |z|^2 was below R^2. Once it is not, it
    never is again, as |c| < R: so nobody is taken out on the way."""
    x2, y2, other = (np.empty_like(x) for _ in range(3))
    inside = np.empty(len(x), np.bool_)
    for _ in range(steps):
        np.multiply(x, x, out=x2)
        np.multiply(y, y, out=y2)
        np.less(np.add(x2, y2, out=other), ESCAPE, out=inside)
        np.add(counts, inside.view(np.uint8), out=counts)
        np.multiply(x, y, out=y)
        np.add(np.add(y, y, out=y), cy, out=y)  # 2 x y + cy
        np.add(np.subtract(x2, y2, out=x), cx, out=x)  # x^2 - y^2 + cx


# --- blending --------------------------------------------------------------------------------------------------------
def _damage(
    patches: NDArray[np.float32],
    region: NDArray[np.bool_],
    params: JuliaParams,
    generator: np.random.Generator,
    *,
    least: NDArray[np.float64],
) -> list[Damaged]:
    """Damage each of ``patches`` (N, C, h, w) inside ``region`` (h, w); a family keeps its patch when drawn again."""
    families = [params.families[i] for i in generator.integers(len(params.families), size=len(patches))]
    made: list[Damaged | None] = [None] * len(patches)
    waiting = list(range(len(patches)))
    for _ in range(params.attempts):
        if not waiting:
            break
        sets = [draw_set(families[i], params, region.shape, generator) for i in waiting]
        blended, masks, fits = blend_sets(
            patches[waiting], julia_steps_left(sets), region, params, least=least[waiting]
        )
        for k in np.flatnonzero(fits):
            made[waiting[k]] = Damaged(blended[k], masks[k], _told(families[waiting[k]], sets[k], params))
        waiting = [i for i, fit in zip(waiting, fits, strict=True) if not fit]
    if waiting:
        raise UnseenError(_never(families[waiting[0]], region.shape, params))
    return [each for each in made if each is not None]


def blend_sets(
    patches: NDArray[np.float32],
    left: NDArray[np.uint8],
    region: NDArray[np.bool_],
    params: JuliaParams,
    *,
    least: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Average J = ``left`` (N, h, w) into ``patches`` (N, C, h, w) inside ``region`` (h, w) where it is below
    ``params.below``.

    Returns the damaged patches, their masks (N, h, w), and which of them (N,) cover the wanted share of the region
    and change their pixels by ``least`` (N,) on average, so that they can be seen."""
    masks = (left < params.below) & region  # (N, h, w)
    pattern = (left / np.float32(MAX_STEPS)).astype(np.float32)[:, None]  # (N, 1, h, w)
    weight = np.float32(params.weight)
    blended = np.where(masks[:, None], (1 - weight) * patches + weight * pattern, patches)  # (N, C, h, w)
    pixels = masks.sum(axis=(1, 2))  # (N,)
    change = np.abs(blended - patches).mean(axis=1).sum(axis=(1, 2)) / np.maximum(pixels, 1)
    low, high = params.share
    share = pixels / region.sum()
    return blended, masks, (share >= low) & (share <= high) & (change >= least) & (change > 0)


def _told(family: str, drawn: JuliaSet, params: JuliaParams) -> dict[str, Any]:
    return {"family": family, **drawn._asdict(), "below": params.below, "weight": params.weight}


def _never(family: str, size: tuple[int, ...], params: JuliaParams) -> str:
    low, high = params.share
    return (
        f"no Julia set of the family {family} in {params.attempts} draws covered {low:g} to {high:g} of a region of "
        f"{size[0]} x {size[1]} pixels and changed them by {params.visible:g} standard deviations of the image. Take "
        f"a larger region, widen defect_injection.julia.share, lower julia.visible, or take {family} out of "
        f"julia.families"
    )
