"""brick, gravel, grass: photographs that come with scikit-image, cut into crops, with pseudo-defects in the test."""

from collections import Counter
from collections.abc import Iterator
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawline.checks import check_shape
from flawline.intake.examples.base import GROUPS, Drawn, ExampleImage, image_generator, to_8_bit
from flawline.params import SurfaceParams
from flawline.vision.defects import INJECTORS, random_region

HELD_OUT_FIRST = ("normal_test", "calibration", "validation", "train")  # counts in SurfaceParams
DEFECTIVE = [count for _, count in GROUPS].index("anomalous_test")


def draw_surface(name: str, params: SurfaceParams) -> Iterator[ExampleImage]:
    """Cut the photograph ``name`` (brick, gravel or grass) into crops, and damage copies of the test's ones.

    No two splits share a pixel. Every crop is in one split at most, in an order drawn from the seed; the test takes
    its crops first and train last, so that more training images leave the others as they are. Defects are of
    ``kinds`` in turn, each in a disk; the mask is exact, and outside it the image is the crop.

    Source: the photographs are CC0 and lie in scikit-image's data folder (skimage.data.brick, gravel, grass)."""
    photograph = installed_photograph(name)
    corners = split_crops(photograph.shape[0], params)
    for split, count in GROUPS[:DEFECTIVE]:
        for i, corner in enumerate(corners[count]):
            yield ExampleImage(split, "good", f"{i:03d}", crop_at(photograph, corner, params.crop), None)
    seen: Counter[str] = Counter()
    for i in range(params.anomalous_test):
        kind = params.kinds[i % len(params.kinds)]
        crop = crop_at(photograph, corners["normal_test"][source_crop(i, params)], params.crop)
        image, mask = _damage(crop, kind, params, image_generator(params.seed, DEFECTIVE, i))
        yield ExampleImage("test", kind, f"{seen[kind]:03d}", image, mask)
        seen[kind] += 1


def installed_photograph(name: str) -> NDArray[np.uint8]:
    """Return a photograph (512, 512) of the installed scikit-image; never looks for it anywhere else."""
    with Image.open(str(files("skimage") / "data" / f"{name}.png")) as picture:
        photograph = np.asarray(picture)
    check_shape(f"scikit-image's {name}.png", photograph, (512, 512))
    return photograph


def split_crops(side: int, params: SurfaceParams) -> dict[str, list[tuple[int, int]]]:
    """Return the upper left corners (y, x) of the crops that each count of ``params`` gets, in a seeded order."""
    steps = range(0, side - params.crop + 1, params.crop)
    corners = [(y, x) for y in steps for x in steps]
    order = iter(np.random.default_rng(params.seed).permutation(len(corners)))
    return {count: [corners[next(order)] for _ in range(getattr(params, count))] for count in HELD_OUT_FIRST}


def source_crop(i: int, params: SurfaceParams) -> int:
    """Return which normal test image the i-th defect is put into: all crops get all kinds before any comes twice."""
    turn, kind = divmod(i, len(params.kinds))
    return (kind + turn) % params.normal_test


def crop_at(photograph: NDArray[np.uint8], corner: tuple[int, int], side: int) -> NDArray[np.uint8]:
    """Return a copy (1, side, side) of a part of ``photograph`` (H, W)."""
    y, x = corner
    return photograph[None, y : y + side, x : x + side].copy()  # (1, side, side)


def _damage(crop: NDArray[np.uint8], kind: str, params: SurfaceParams, generator: np.random.Generator) -> Drawn:
    region = random_region(crop.shape[1:], generator, radius=params.region_radius)
    made = INJECTORS[kind](getattr(params, kind))(crop.astype(np.float32) / np.float32(255), region, generator)
    return np.where(made.mask, to_8_bit(made.image), crop), made.mask
