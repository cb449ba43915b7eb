"""twill: swatches of a twill weave, drawn, that lie at any angle, with missing, thick and knotted yarns."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import scipy
from numpy.typing import NDArray

from flawline.intake.examples.base import Drawn, ExampleImage, draw_images, to_8_bit
from flawline.intake.examples.fabric import damage_yarn, draw_weave
from flawline.params import FabricParams
from flawline.vision.transform import Transform

REPEAT = 3  # each warp is on top of every third weft: the points where it is make diagonal ribs
LEAST_SEEN = 60  # pixels of a defect inside the swatch


def draw_twill(params: FabricParams) -> Iterator[ExampleImage]:
    """Draw swatches (1, H, W) of a twill, each turned by an angle of its own, uniform in [0, 360) degrees.

    Yarns, light and defects are those of `draw_fabric`. Unlike a plain weave a twill has one direction that stands out,
    that of its ribs. Stands for the woven textures at any angle of Rádli & Czúni 2022, section 7."""
    return draw_images(params, params.seed, partial(_draw_swatch, params), defect="yarn")


def _draw_swatch(params: FabricParams, generator: np.random.Generator, defective: bool) -> Drawn:
    light, cloth, damage, sensor, turn = generator.spawn(5)
    side = math.ceil(math.hypot(*params.image_size)) + 2
    weave = draw_weave(params.but(image_size=(side, side)), cloth, repeat=REPEAT)
    degrees = turn.uniform(0, 360)
    mask = None
    if defective:
        damaged, mask = weave, np.zeros(params.image_size, bool)
        while mask.sum() < LEAST_SEEN:  # else it lies in what is cut off
            damaged = damage_yarn(weave, params, damage)
            mask = turned(damaged != weave, degrees, params.image_size) >= 0.5
        weave = damaged
    gain = light.uniform(1 - params.light, 1 + params.light)
    picture = gain * turned(weave, degrees, params.image_size)
    return to_8_bit(picture + sensor.normal(0, params.sensor_noise, picture.shape))[None], mask


def turned(plane: NDArray, degrees: float, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the middle (h, w) of a square plane (S, S), turned by ``degrees`` counter-clockwise as the eye sees it, by
    cubic splines; S is at least the diagonal of ``size`` (h, w)."""
    matrix = Transform(-degrees).matrix  # from the result (y, x) to the plane
    middle = (np.array(plane.shape) - 1) / 2
    offset = middle - matrix @ ((np.array(size) - 1) / 2)
    return scipy.ndimage.affine_transform(plane.astype(float), matrix, offset, output_shape=size, order=3)
