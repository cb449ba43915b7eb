"""How well known moves of real parts are found again.

Each of N images, drawn at random from a category's normal training images, is turned by any angle and moved by up to
20 pixels (uniform in the disk) with cubic splines, its border going on outside; then it is aligned with itself,
unmoved, as the reference. The error in pixels is the mean distance between where the found and the true move take the
pixels of the reference's part (every 20th of its foreground); that in degrees is of the angle alone. Where the part
has no unique orientation no rotation is undone, and the row of rigid moves shows what that leaves; that of shifts has
no turns.

    python tests/benchmarks/bench_registration.py FOLDER [--categories a,b] [--moves 100] [--seed 0]"""

import argparse
import time
from pathlib import Path

import numpy as np
from measure import BASE
from scipy.ndimage import affine_transform

from flawline.intake.decoding import decode
from flawline.vision.fitting import fit_aligner
from flawline.vision.transform import Transform

REACH = 20.0  # pixels
MANY = 200_000_000  # pixels of an image at most


def read(path):
    return decode(path.read_bytes(), max_pixels=MANY)


def moved(image, move):
    """Return the image (C, H, W) with its part moved."""
    back = np.linalg.inv(move.matrix)
    middle = np.array(image.shape[1:]) // 2
    offset = middle - back @ (middle + np.array([move.shift_y, move.shift_x]))
    planes = [affine_transform(plane.astype(float), back, offset, order=3, mode="nearest") for plane in image]
    return np.rint(np.clip(planes, 0, np.iinfo(image.dtype).max)).astype(image.dtype)


def drawn_move(rng, *, turned):
    length, direction = REACH * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    angle = rng.uniform(-180, 180)
    return Transform(angle if turned else 0.0, length * np.sin(direction), length * np.cos(direction))


def measure(folder, moves, seed, *, turned):
    """Return a row: errors in pixels and degrees, quality, seconds, and whether the orientation is unique."""
    rng = np.random.default_rng(seed)
    files = sorted((folder / "train" / "good").iterdir())
    pixels, degrees, quality, seconds, unique = [], [], [], [], []
    for _ in range(moves):
        image = read(files[rng.integers(len(files))])
        move = drawn_move(rng, turned=turned)
        aligner, _ = fit_aligner([image], BASE.registration.but(align="rigid"), names=["reference"])
        start = time.perf_counter()
        found = aligner.align(moved(image, move))
        seconds.append(time.perf_counter() - start)
        size = image.shape[1:]
        points = np.argwhere(np.ones(size, bool) if aligner.part is None else aligner.part)[::20] * aligner.factor
        apart = found.move.to_image(points, size, size) - move.to_image(points, size, size)
        pixels.append(np.linalg.norm(apart, axis=1).mean())
        degrees.append(abs((found.move.angle - move.angle + 180) % 360 - 180))
        quality.append(found.quality)
        unique.append(aligner.likeness[0] < 0.9)
    shown = [np.percentile(each, [50, 95]) for each in (pixels, degrees)]
    return [*np.concatenate(shown), max(pixels), min(quality), np.mean(unique), np.median(seconds)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of categories, each with train/good")
    parser.add_argument("--categories", default="bottle,screw,toothbrush")
    parser.add_argument("--moves", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{options.moves} moves, seed {options.seed}; unique: share of images whose orientation is")
    print("category    move    px p50  px p95  deg p50 deg p95 px max  q min   unique  s an image")
    for category in options.categories.split(","):
        for turned in (True, False):
            row = measure(options.folder / category, options.moves, options.seed, turned=turned)
            print(f"{category:<12}{'rigid' if turned else 'shift':<8}" + "".join(f"{each:<8.3f}" for each in row))


if __name__ == "__main__":
    main()
