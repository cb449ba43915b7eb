"""fabric: strips of a plain weave, drawn, with missing, thick and knotted yarns."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.intake.examples.base import Drawn, ExampleImage, draw_images, to_8_bit
from flawline.params import FabricParams

KINDS = ("missing", "thick", "knot")  # in turn at random, each as likely
SHADE = 0.35  # share of its brightness that a yarn loses towards its edges
UNDER = 0.8  # brightness of a yarn beside that of the one on top of it, where it dips
GAP = 0.35  # brightness where a yarn is missing


def draw_fabric(params: FabricParams) -> Iterator[ExampleImage]:
    """Draw strips (1, H, W) of a plain weave: every yarn of its own brightness and place, every strip in its own light.

    In a defective strip a yarn is missing or thick for some length, or has a knot; the mask is the pixels that this
    changes. Stands for the fabrics of AITEX (Silvestre-Blanes et al. 2019), which Alpdemir 2022 measures on."""
    return draw_images(params, params.seed, partial(_draw_strip, params), defect="yarn")


def _draw_strip(params: FabricParams, generator: np.random.Generator, defective: bool) -> Drawn:
    light, cloth, damage, sensor = generator.spawn(4)
    weave = draw_weave(params, cloth)  # (H, W)
    mask = None
    if defective:
        whole = weave
        weave = damage_yarn(weave, params, damage)
        mask = weave != whole
    gain = light.uniform(1 - params.light, 1 + params.light)
    return to_8_bit(gain * weave + sensor.normal(0, params.sensor_noise, weave.shape))[None], mask


def draw_weave(params: FabricParams, generator: np.random.Generator, *, repeat: int = 2) -> NDArray[np.float64]:
    """Return the brightness (H, W) of a weave: warps run down, wefts across, and each warp is on top of every
    ``repeat``-th weft, one further from warp to warp: a plain weave with 2, a twill with 3."""
    height, width = params.image_size
    weft, across_weft, weft_light = _yarns(height, params, generator)  # (H,) each
    warp, across_warp, warp_light = _yarns(width, params, generator)  # (W,) each
    warp_on_top = (weft[:, None] + warp) % repeat == 0  # (H, W)
    dip = UNDER + (1 - UNDER) * across_weft[:, None] * across_warp  # both yarns sink where they cross another's edge
    warps = warp_light * (1 - SHADE * (1 - across_warp))  # (W,)
    wefts = weft_light * (1 - SHADE * (1 - across_weft))  # (H,)
    return params.brightness * dip * np.where(warp_on_top, warps, wefts[:, None])


def _yarns(
    length: int, params: FabricParams, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return for each pixel across some parallel yarns the yarn's number, how near its middle (1: there, 0: at the
    edge), and the yarn's brightness: (length,) each."""
    count = int(length / params.yarn) + 3
    widths = params.yarn * (1 + generator.normal(0, params.unevenness, count)).clip(0.5, 1.5)
    edges = np.cumsum(widths) - generator.uniform(widths[0], 2 * params.yarn)
    pixels = np.arange(length)
    number = np.searchsorted(edges, pixels, side="right").clip(1, count - 1)
    place = (pixels - edges[number - 1]) / (edges[number] - edges[number - 1])
    light = 1 + generator.normal(0, params.unevenness, count)
    return number, np.sin(np.pi * place.clip(0, 1)), light[number]


def damage_yarn(
    weave: NDArray[np.float64], params: FabricParams, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return the weave (H, W) with one yarn, across or down, damaged for some length."""
    kind = KINDS[generator.integers(len(KINDS))]
    down = bool(generator.integers(2))
    cloth = (weave.T if down else weave).copy()  # the yarn runs across
    height, width = cloth.shape
    thick = params.yarn * generator.uniform(*params.defect_width)
    length = generator.uniform(*params.defect_length) if kind != "knot" else thick
    length = min(length, width - 2)
    y, x = generator.uniform(thick, height - thick), generator.uniform(0, width - length)
    ys, xs = np.ogrid[:height, :width]
    if kind == "knot":
        inside = (ys - y) ** 2 + (xs - x) ** 2 <= thick**2
    else:
        wander = scipy.ndimage.gaussian_filter1d(generator.normal(0, params.yarn, width), 2 * params.yarn)
        inside = (np.abs(ys - y - wander) <= thick / 2) & (xs >= x) & (xs <= x + length)
    level = cloth * GAP / params.brightness if kind == "missing" else np.minimum(cloth * params.bump, 1.0)
    cloth[inside] = level[inside]
    return cloth.T if down else cloth
