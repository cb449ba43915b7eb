"""riblet-albedo, riblet-normals: a simulated riblet foil, as albedo and as surface normals, with crushed stripes.

One generator draws the heights of a foil whose grooves run along x; both categories are pictures of such heights, and
images of the same split and number show the same piece of foil. Heights, positions and sizes are in pixels, heights
around 0. At the paper's size an image has 20 million pixels: heights are whole, all else is done in blocks of rows."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.intake.examples.base import Drawn, ExampleImage, draw_images, to_8_bit
from flawline.params import RibletParams

ROWS = 64  # in a block
REACH = 4  # of a blotch, standard deviations
Heights = NDArray[np.float32]  # (H, W)


def draw_riblet_albedo(params: RibletParams) -> Iterator[ExampleImage]:
    """Draw albedo images (1, H, W): dark valleys and bright ribs, darker blotches that are normal, sensor noise.

    In defective images some vertical stripes are crushed; the mask is the crushed pixels.
    Stands for the albedo images of material 1 in Schneider 2022, section 3.2 and Fig. 5, 7."""
    return draw_images(params.albedo, params.seed, partial(_draw_albedo, params), defect="crushed")


def draw_riblet_normals(params: RibletParams) -> Iterator[ExampleImage]:
    """Draw surface normals (3, H, W): x, y and z component, from [-1, 1] to [0, 255]; y points down.

    In defective images some vertical stripes are crushed; the mask is the crushed pixels and their direct neighbours,
    since a normal depends on the heights on both sides.
    Stands for the surface normal images of material 1 in Schneider 2022, section 3.2."""
    return draw_images(params.normals, params.seed, partial(_draw_normals, params), defect="crushed")


def _draw_albedo(params: RibletParams, generator: np.random.Generator, defective: bool) -> Drawn:
    heights, crushed = draw_foil(params, generator, defective)
    return albedo_image(heights, params, generator), crushed


def _draw_normals(params: RibletParams, generator: np.random.Generator, defective: bool) -> Drawn:
    heights, crushed = draw_foil(params, generator, defective)
    return normals_image(heights), None if crushed is None else scipy.ndimage.binary_dilation(crushed)


# --- the foil --------------------------------------------------------------------------------------------------------
def draw_foil(
    params: RibletParams, generator: np.random.Generator, defective: bool
) -> tuple[Heights, NDArray[np.bool_] | None]:
    """Return heights (H, W) and, if defective, the crushed pixels (H, W); without them it is the same foil."""
    surface, damage = generator.spawn(2)
    heights = draw_grooves(params, surface)
    add_roughness(heights, params, surface)
    return heights, crush_stripes(heights, params, damage) if defective else None


def draw_grooves(params: RibletParams, generator: np.random.Generator) -> Heights:
    """Return the heights (H, W) of horizontal grooves at a random phase, slightly wavy along x."""
    height, width = params.image_size
    offset = generator.uniform(0, params.period) + draw_wave(width, params, generator)  # (W,)
    ys = np.arange(height)[:, None]
    heights = np.empty((height, width), np.float32)
    for rows in _blocks(height):
        heights[rows] = groove_profile(ys[rows] + offset, params)
    return heights


def groove_profile(position: NDArray[np.floating], params: RibletParams) -> NDArray[np.floating]:
    """Return the height at ``position`` (pixels across the grooves): a rib's middle at 0, a valley's half a period on.

    A triangle wave of depth times steepness, cut off at half the depth above and below 0."""
    triangle = 4 * np.abs(np.mod(position / params.period, 1) - 0.5) - 1  # in [-1, 1]
    return np.clip(params.steepness * triangle, -1, 1) * (params.depth / 2)


def draw_wave(width: int, params: RibletParams, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return by how many pixels the tracks lie higher at each of ``width`` columns: three sines of random phase."""
    lengths = params.wavelength * generator.uniform(1, 3, 3)  # (3,)
    phases = generator.uniform(0, 2 * np.pi, 3)  # (3,)
    waves = np.sin(2 * np.pi * np.arange(width)[:, None] / lengths + phases)  # (W, 3)
    return waves.sum(axis=1) * params.waviness * np.sqrt(2 / 3)  # (W,); a sine's variance is 1 / 2


def add_roughness(heights: Heights, params: RibletParams, generator: np.random.Generator) -> None:
    """Add smoothed normal noise to ``heights`` in place; its standard deviation is ``roughness`` after smoothing."""
    noise = generator.standard_normal(heights.shape, np.float32)
    scipy.ndimage.gaussian_filter(noise, params.grain, output=noise, mode="wrap")
    noise *= params.roughness / _deviation_after_smoothing(params.grain)
    heights += noise


def _deviation_after_smoothing(sigma: float) -> float:
    """Return the standard deviation of unit white noise (H, W) after ``gaussian_filter`` with ``sigma``."""
    impulse = np.zeros(2 * int(4 * sigma + 0.5) + 1)
    impulse[len(impulse) // 2] = 1
    return float((scipy.ndimage.gaussian_filter1d(impulse, sigma, mode="constant") ** 2).sum())


def crush_stripes(heights: Heights, params: RibletParams, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Crush vertical stripes of ``heights`` in place; return the pixels (H, W).

    In a stripe the tracks are dragged along it by up to ``displacement`` and lose ``crush`` of their depth."""
    crushed = np.zeros(heights.shape, np.bool_)
    for _ in range(params.stripes):
        top, left, inside = draw_stripe(params, generator)
        rows, columns = slice(top, top + inside.shape[0]), slice(left, left + inside.shape[1])
        shift = int(generator.integers(-params.displacement, params.displacement, endpoint=True))
        sources = np.clip(np.arange(rows.start, rows.stop) + shift, 0, len(heights) - 1)  # (h,)
        dragged = heights[sources, columns] * np.float32(1 - params.crush)  # (h, w)
        heights[rows, columns] = np.where(inside, dragged, heights[rows, columns])
        crushed[rows, columns] |= inside
    return crushed


def draw_stripe(params: RibletParams, generator: np.random.Generator) -> tuple[int, int, NDArray[np.bool_]]:
    """Return the first row and column of a vertical stripe and its pixels (h, w) from there; it swings like a sine."""
    height, width = params.image_size
    rows = max(1, round(generator.uniform(*params.stripe_length) * height))
    top = int(generator.integers(0, height - rows, endpoint=True))
    half, swing = generator.uniform(*params.stripe_width) / 2, params.stripe_wander
    middle = generator.uniform(half + swing, width - 1 - half - swing)
    turns, phase = generator.uniform(0.5, 2), generator.uniform(0, 2 * np.pi)
    middles = middle + swing * np.sin(2 * np.pi * turns * np.arange(rows) / rows + phase)  # (h,)
    columns = np.arange(int(middle - half - swing), int(middle + half + swing) + 2)  # (w,)
    return top, int(columns[0]), np.abs(columns - middles[:, None]) <= half  # (h, w)


# --- pictures of it --------------------------------------------------------------------------------------------------
def albedo_image(heights: Heights, params: RibletParams, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return the albedo (1, H, W) of ``heights`` (H, W): dark in the valleys, where little light comes in and out."""
    blotches, sensor = generator.spawn(2)
    left = draw_blotches(params, blotches)  # (H, W)
    image = np.empty((1, *heights.shape), np.uint8)
    for rows in _blocks(len(heights)):
        openness = np.clip(heights[rows] / params.depth + 0.5, 0, 1)  # 0 in the valleys, 1 on the ribs
        albedo = (params.dark + (params.bright - params.dark) * openness) * left[rows]
        noise = sensor.standard_normal(albedo.shape, np.float32) * params.sensor_noise
        image[0, rows] = to_8_bit(albedo + noise)
    return image


def draw_blotches(params: RibletParams, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return the share of the albedo (H, W) that is left: 1, and less in soft dark spots, their number Poisson."""
    height, width = params.image_size
    left = np.ones((height, width), np.float32)
    for _ in range(generator.poisson(params.blotches * height * width / 1e6)):
        y, x = generator.uniform(0, height), generator.uniform(0, width)
        radii = generator.uniform(*params.blotch_radius, 2)  # along y and x
        depth = params.blotch_depth * generator.uniform(0.5, 1)
        rows, columns = (_around(at, REACH * r, n) for at, r, n in zip((y, x), radii, (height, width), strict=True))
        down = np.exp(-(((np.arange(rows.start, rows.stop) - y) / radii[0]) ** 2) / 2)  # (h,)
        across = np.exp(-(((np.arange(columns.start, columns.stop) - x) / radii[1]) ** 2) / 2)  # (w,)
        left[rows, columns] *= 1 - depth * np.outer(down, across).astype(np.float32)
    return left


def _around(middle: float, reach: float, length: int) -> slice:
    return slice(max(0, int(middle - reach)), min(length, int(middle + reach) + 1))


def normals_image(heights: Heights) -> NDArray[np.uint8]:
    """Return the surface normals of ``heights`` (H, W) as an image (3, H, W): from [-1, 1] to [0, 255]."""
    image = np.empty((3, *heights.shape), np.uint8)
    for rows in _blocks(len(heights)):
        first, last = max(0, rows.start - 1), min(len(heights), rows.stop + 1)  # a row more on both sides
        normals = surface_normals(heights[first:last])[:, rows.start - first : rows.stop - first]
        image[:, rows] = to_8_bit((normals + 1) / 2)
    return image


def surface_normals(heights: Heights) -> NDArray[np.float32]:
    """Return the unit normals (3, H, W) of ``heights`` (H, W): x, y (down) and z component, z towards the viewer.

    Slopes are central differences, one-sided at the rim."""
    slope_y, slope_x = np.gradient(heights)
    normals = np.stack([-slope_x, -slope_y, np.ones_like(heights)])  # (3, H, W)
    return normals / np.linalg.norm(normals, axis=0)


def _blocks(height: int) -> Iterator[slice]:
    for start in range(0, height, ROWS):
        yield slice(start, min(start + ROWS, height))
