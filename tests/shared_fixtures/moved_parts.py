"""Parts drawn where they are known to lie, and the aligners made from them."""

import numpy as np
from base_params import BASE
from scipy.ndimage import affine_transform, gaussian_filter

from flawline.vision.fitting import fit_aligner
from flawline.vision.transform import IDENTITY

SIZE = (112, 120)
CORNERS = np.array([[-30, -22], [-30, -6], [30, -6], [30, 24], [12, 24]], float)  # of the part, around the middle


def part_of(move=IDENTITY, size=SIZE, seed=0, noise=2.0, dtype=np.uint8, shape="angle"):
    """A part drawn analytically, moved against the middle (1, H, W): no interpolation has touched it."""
    rows, columns = (np.mgrid[: 3 * size[0], : 3 * size[1]] + 0.5) / 3 - 0.5  # nine points a pixel
    points = np.stack([rows - size[0] // 2 - move.shift_y, columns - size[1] // 2 - move.shift_x], axis=-1)
    y, x = np.moveaxis(points @ np.linalg.inv(move.matrix).T, -1, 0)
    grey = np.full(y.shape, 200.0) - 4 * np.hypot(y, x) / 40
    if shape == "disk":
        grey[np.hypot(y, x) <= 30] = 80
    elif shape == "bar":
        grey[(abs(y) <= 32) & (abs(x) <= 9)] = 80
    else:
        inside = ((abs(x + 14) <= 8) & (abs(y) <= 30)) | ((abs(y - 21) <= 9) & (x >= -22) & (x <= 24))
        grey[inside] = 80
        for mark_y, mark_x in ((-18, -14), (2, -12), (21, 12)):
            grey[np.hypot(y - mark_y, x - mark_x) <= 4] = 130
    grey = grey.reshape(size[0], 3, size[1], 3).mean(axis=(1, 3))
    grey = np.clip(grey + np.random.default_rng(seed).normal(0, noise, size), 0, 255) / 255
    image = np.rint(grey * np.iinfo(dtype).max).astype(dtype)[None]
    image.flags.writeable = False
    return image


def params(align="rigid", **changes):
    return BASE.registration.but(align=align, **changes)


def aligner_of(align="rigid", images=None, **changes):
    images = [part_of()] if images is None else images
    return fit_aligner(images, params(align, **changes), names=[f"{i}.png" for i in range(len(images))])[0]


def displaced(found, wanted, size=SIZE):
    """The mean distance of the part's corners, pixels."""
    places = [move.to_image(CORNERS + np.array(SIZE) // 2, SIZE, size) for move in (found, wanted)]
    return np.linalg.norm(places[0] - places[1], axis=1).mean()


def foreign(seed=0):
    """Two dots far apart: not the part."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    grey = np.random.default_rng(seed).normal(200, 2, SIZE)
    for y, x in ((15, 15), (95, 100)):
        grey[np.hypot(rows - y, columns - x) <= 9] = 80
    return grey.astype(np.uint8)[None]


def grain(move=IDENTITY, smooth=2.0, side=SIZE[0]):
    """A texture without a part, moved about the middle (side, side)."""
    large = gaussian_filter(np.random.default_rng(0).normal(0, 1, (3 * side, 3 * side)), smooth)
    back = np.linalg.inv(move.matrix)
    first = 3 * side // 2 - back @ (side // 2 + np.array([move.shift_y, move.shift_x]))
    cut = affine_transform(large, back, first, (side, side), order=3)
    return (128 + 40 * cut / large.std()).astype(np.float32)
