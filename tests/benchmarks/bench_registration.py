"""How well known moves of real parts are found again, and how fast photographs are aligned.

Errors: each of N images, drawn at random from a category's normal training images, is turned by any angle and moved by
up to 20 pixels (uniform in the disk) with cubic splines, its border going on outside; then it is aligned with itself,
unmoved, as the reference. The error in pixels is the mean distance between where the found and the true move take the
pixels of the reference's part (every 20th of its foreground); that in degrees is of the angle alone. Where the part
has no unique orientation no rotation is undone, and the row of rigid moves shows what that leaves; that of shifts has
no turns. A part that the move took to the rim is not aligned, and counts as that alone.

Speed: all images of a category, normal or not, are aligned by one aligner made from its normal training images
(``rigid``). Milliseconds are medians of the time that the process itself has on a core (one thread), which a busy
machine changes less than the clock's: to find how an image lies, and to undo it. Images a second are the inverse of
the mean of both together.

    python tests/benchmarks/bench_registration.py FOLDER [--categories a,b] [--moves 100] [--seed 0]"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from measure import BASE
from scipy.ndimage import affine_transform

from flawline.intake.decoding import decode
from flawline.vision.fitting import fit_aligner
from flawline.vision.transform import Transform

REACH = 20.0  # pixels
MANY = 200_000_000  # pixels of an image at most
RIGID = BASE.registration.but(align="rigid")


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


def apart(found, wanted, aligner):
    """Return the mean distance of the reference's part between two moves, pixels, and their angle, degrees."""
    size = aligner.reference.shape
    part = np.ones([side // aligner.factor for side in size], bool) if aligner.part is None else aligner.part
    points = np.argwhere(part)[::20] * aligner.factor
    between = found.to_image(points, size, size) - wanted.to_image(points, size, size)
    return np.linalg.norm(between, axis=1).mean(), abs((found.angle - wanted.angle + 180) % 360 - 180)


def errors(folder, moves, seed, *, turned):
    """Return a row: errors in pixels and degrees, the least quality, the share with a unique orientation, and that of
    moved images that were aligned."""
    rng = np.random.default_rng(seed)
    files = sorted((folder / "train" / "good").iterdir())
    pixels, degrees, quality, unique = [], [], [], []
    for _ in range(moves):
        image = read(files[rng.integers(len(files))])
        move = drawn_move(rng, turned=turned)
        aligner, _ = fit_aligner([image], RIGID, names=["reference"])
        found = aligner.align(moved(image, move))
        if not found.aligned:
            continue
        error = apart(found.move, move, aligner)
        pixels.append(error[0])
        degrees.append(error[1])
        quality.append(found.quality)
        unique.append(aligner.likeness[0] < 0.9)
    shown = [np.percentile(each, [50, 95]) for each in (pixels, degrees)]
    return [*np.concatenate(shown), max(pixels), min(quality), np.mean(unique), len(pixels) / moves]


def speed(folder):
    """Return a row: images, those aligned, the least quality, milliseconds to find and to undo, images a second."""
    train, test = ([read(path) for path in sorted(folder.glob(each))] for each in ("train/good/*", "test/*/*"))
    aligner, _ = fit_aligner(train, RIGID, names=[str(k) for k in range(len(train))])
    aligner.warp(train[0], aligner.align(train[0]))  # what is made once
    quality, aligned, seconds = [], 0, []
    for image in train + test:
        start = time.process_time()
        found = aligner.align(image)
        between = time.process_time()
        aligner.warp(image, found)
        seconds.append((between - start, time.process_time() - between))
        quality.append(found.quality)
        aligned += found.aligned
    find, warp = 1000 * np.median(seconds, axis=0)
    return len(quality), aligned, min(quality), find, warp, 1 / np.sum(np.mean(seconds, axis=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of categories, each with train/good and test")
    parser.add_argument("--categories", default="bottle,screw,toothbrush")
    parser.add_argument("--moves", type=int, default=100, help="known moves a row; 0 leaves the errors out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    categories = options.categories.split(",")
    if options.moves:
        print(f"{options.moves} moves, seed {options.seed}; unique: share of images whose orientation is")
        print("category    move    px p50  px p95  deg p50 deg p95 px max  q min   unique  aligned")
        for category in categories:
            for turned in (True, False):
                row = errors(options.folder / category, options.moves, options.seed, turned=turned)
                print(f"{category:<12}{'rigid' if turned else 'shift':<8}" + "".join(f"{each:<8.3f}" for each in row))
    print("category    images  aligned q min   ms find ms warp images a second")
    for category in categories:
        images, aligned, *rest = speed(options.folder / category)
        print(f"{category:<12}{images:<8}{aligned:<8}" + "".join(f"{each:<8.3g}" for each in rest), flush=True)


if __name__ == "__main__":
    main()
