"""Images to put pseudo-defects into, as several tests take them."""

import numpy as np
from base_params import BASE

from flawline.vision.levels import FULL_SCALE

PARAMS = BASE.defect_injection.but(least=1)  # as many as are asked for of each image


def rng(seed=0):
    return np.random.default_rng(seed)


def frozen(array):
    array.flags.writeable = False
    return array


def textured(dtype, shape=(3, 80, 100)):
    values = rng(99).random(shape) * FULL_SCALE[np.dtype(dtype)]
    return frozen(values.astype(dtype))


def flat(value, shape=(1, 100, 100)):
    return frozen(np.full(shape, value, np.float32))
