"""How well orientation is told and undone on real photographs.

First, the mean absolute error, in grey levels from 0 to 255, of an image turned by 45 degrees and back, by sampler
(Rádli & Czúni 2022, Fig. 4), on five images of each folder. Then how much the orientations of square windows, each
turned by a random angle, differ before and after the structure tensor's angle is undone: the circular standard
deviation modulo 180 degrees, and the share within 5 degrees of the most frequent orientation. The angle by which a
window was turned is known, so what is left is the error of the closed form, and what orientations differ by themselves.

    python tests/benchmarks/bench_orientation.py FOLDER [FOLDER ...] [--windows 200] [--side 256] [--blur 1] [--seed 0]

A folder holds images, below any number of folders."""

import argparse
from pathlib import Path

import numpy as np
import torch

from flawline.intake.decoding import decode
from flawline.vision.levels import grey_levels
from flawline.vision.orientation import angle_spread, orientations_of
from flawline.vision.strips import material_span
from flawline.vision.turning import SAMPLERS, frame_side, round_trip_error, turn

MANY = 200_000_000  # pixels of an image at most
IMAGES = 5
NEAR = 5.0  # degrees
STRIP = 4  # times as long as high
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif"}


def read(path):
    """Return grey levels (H, W) in [0, 1]; bare background and selvedge of a strip are cut off."""
    image = decode(path.read_bytes(), max_pixels=MANY)
    left, right = material_span(image) if max(image.shape[1:]) > STRIP * min(image.shape[1:]) else (0, image.shape[2])
    return torch.from_numpy(grey_levels(image[..., left:right]) / 255).float()


def round_trips(files):
    """Return the mean error of each sampler on the middle squares of some images."""
    chosen = [read(path) for path in files[:: max(1, len(files) // IMAGES)][:IMAGES]]
    errors = {how: [] for how in SAMPLERS}
    for grey in chosen:
        side = min(grey.shape) // 2 * 2
        square = middle(grey, side)[None, None]
        for how in SAMPLERS:
            errors[how].append(float(round_trip_error(square, 45.0, how)))
    return {how: np.mean(found) for how, found in errors.items()}


def middle(grey, side):
    top, left = ((length - side) // 2 for length in grey.shape)
    return grey[top : top + side, left : left + side]


def spreads(files, *, windows, side, blur, seed):
    """Return (spread before, spread after, share within NEAR of the mode, how many windows have an orientation)."""
    generator = np.random.default_rng(seed)
    found, before = [], []
    for _ in range(windows):
        grey = read(files[generator.integers(len(files))])
        own = min(side, int(min(grey.shape) / np.sqrt(2)) // 2 * 2)  # what is turned stays inside the photograph
        wide = min(frame_side(own), *grey.shape)
        top, left = (int(generator.integers(length - wide + 1)) for length in grey.shape)
        degrees = float(generator.uniform(-180, 180))
        window = middle(turn(grey[None, None, top : top + wide, left : left + wide], degrees, "bicubic")[0, 0], own)
        angle, _ = orientations_of(window[None], blur)
        found.append(float(angle) - degrees)  # the orientation of the photograph as it was: the same for one material
        before.append(float(angle))
    found, before = np.array(found), np.array(before)
    known = ~np.isnan(found)
    mode = np.degrees(np.angle(np.exp(2j * np.radians(found[known])).mean())) / 2
    apart = np.abs((found[known] - mode + 90) % 180 - 90)
    return angle_spread(before), angle_spread(found), float((apart <= NEAR).mean()), int(known.sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--blur", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"{'folder':24}" + "".join(f"{how:>10}" for how in SAMPLERS) + "  before  after  within 5  windows")
    for folder in asked.folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        errors = round_trips(files)
        spread = spreads(files, windows=asked.windows, side=asked.side, blur=asked.blur, seed=asked.seed)
        told = f"{spread[0]:8.1f}{spread[1]:7.1f}{spread[2]:10.2f}{spread[3]:9d}"
        print(f"{folder.name[-24:]:24}" + "".join(f"{errors[how]:10.2f}" for how in SAMPLERS) + told)


if __name__ == "__main__":
    main()
