"""How well orientation is told and undone on real photographs.

First, the mean absolute error, in grey levels from 0 to 255, of an image turned by 45 degrees and back, by sampler
(Rádli & Czúni 2022, Fig. 4), on five images of each folder. Then how much the orientations of square windows, each
turned by a random angle, differ before and after the structure tensor's angle is undone: the circular standard
deviation modulo 180 degrees, and the share within 5 degrees of the most frequent orientation. The angle by which a
window was turned is known, so what is left is the error of the closed form, and what orientations differ by themselves.
With --learned the windows are of every second image, and a localiser learns from views of the others, as
``registration.align=stn`` has it learn; it tells the same windows.

With --parts the images show a part each, as a photograph has it: aligners learn from every third of them and tell how
the others lie. How these differ is told by the search of ``rigid``, before and after the angle of ``structure_tensor``,
and of ``stn``, is undone; half a turn is left open.

    python tests/benchmarks/bench_orientation.py FOLDER [FOLDER ...] [--windows 200] [--side 256] [--blur 1] [--seed 0]
        [--learned | --parts]

A folder holds images, below any number of folders."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measure import BASE

from flawline.intake.decoding import decode
from flawline.methods.levelling import teach_localiser
from flawline.vision.fitting import fit_aligner
from flawline.vision.levelling import VIEW, by_localiser, localiser_of, squares_of
from flawline.vision.levels import grey_levels
from flawline.vision.orientation import angle_spread, orientations_of
from flawline.vision.strips import material_span
from flawline.vision.turning import SAMPLERS, frame_side, round_trip_error, turn

MANY = 200_000_000  # pixels of an image at most
IMAGES = 5
NEAR = 5.0  # degrees
VIEWS = 12  # of a photograph, from which a localiser learns
PARTS = 180  # photographs of parts, of which a third is learned from
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


def spreads(files, tell, *, windows, side, seed):
    """Return (spread before, spread after, share within NEAR of the mode, how many windows have an orientation), which
    ``tell`` says of a window (H, W), in degrees."""
    generator = np.random.default_rng(seed)
    found, before = [], []
    for _ in range(windows):
        grey = read(files[generator.integers(len(files))])
        own = min(side, int(min(grey.shape) / np.sqrt(2)) // 2 * 2)  # what is turned stays inside the photograph
        wide = min(frame_side(own), *grey.shape)
        top, left = (int(generator.integers(length - wide + 1)) for length in grey.shape)
        degrees = float(generator.uniform(-180, 180))
        window = middle(turn(grey[None, None, top : top + wide, left : left + wide], degrees, "bicubic")[0, 0], own)
        angle = tell(window)
        found.append(angle - degrees)  # the orientation of the photograph as it was: the same for one material
        before.append(angle)
    found, before = np.array(found), np.array(before)
    return angle_spread(before), angle_spread(found), near_mode(found), int((~np.isnan(found)).sum())


def near_mode(degrees):
    """Return the share of angles, NaN left out, within NEAR of the most frequent one, modulo half a turn."""
    known = degrees[~np.isnan(degrees)]
    mode = np.degrees(np.angle(np.exp(2j * np.radians(known)).mean())) / 2
    return float((np.abs((known - mode + 90) % 180 - 90) <= NEAR).mean())


def spreads_of_parts(files, seed):
    """Return (spread before, spread after, share within NEAR of the mode, parts) of each alignment by an angle."""
    images = [decode(path.read_bytes(), max_pixels=MANY) for path in files[:PARTS]]
    learned, others = images[::3], [image for k, image in enumerate(images) if k % 3]
    teach = partial(teach_localiser, params=BASE.registration.stn, seed=seed)
    found = {}
    for align in ("rigid", "structure_tensor", "stn"):
        params = BASE.registration.but(align=align)
        aligner, _ = fit_aligner(learned, params, names=range(len(learned)), teach=teach)
        told = [aligner.align(image) for image in others]
        found[align] = np.array([each.move.angle if each.aligned else np.nan for each in told])
    truth = found.pop("rigid")
    left = {align: truth - angles for align, angles in found.items()}
    return {align: (angle_spread(truth), angle_spread(each), near_mode(each), int((~np.isnan(each)).sum()))
            for align, each in left.items()}  # fmt: skip


def closed_form(blur):
    return lambda window: float(orientations_of(window[None], blur)[0])


def learned(files, blur, seed):
    """Return what a localiser tells that learned from views of ``files``, a photograph cut at random places."""
    generator, views = np.random.default_rng(seed), []
    for grey in map(read, files):
        if min(grey.shape) < VIEW:
            continue
        for _ in range(VIEWS):
            top, left = (int(generator.integers(length - VIEW + 1)) for length in grey.shape)
            views.append(grey[None, None, top : top + VIEW, left : left + VIEW])
    localiser = localiser_of(teach_localiser(views, blur, params=BASE.registration.stn, seed=seed))
    return lambda window: by_localiser(localiser, squares_of(window))[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--blur", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learned", action="store_true")
    parser.add_argument("--parts", action="store_true")
    asked = parser.parse_args()
    cut = {"windows": asked.windows, "side": asked.side, "seed": asked.seed}
    print(f"{'folder':24}" + "".join(f"{how:>10}" for how in SAMPLERS) + "  before  after  within 5  windows")
    for folder in asked.folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        errors = round_trips(files)
        if asked.parts:
            for align, spread in spreads_of_parts(files, asked.seed).items():
                show(align, errors, spread)
            continue
        seen = files[1::2] if asked.learned else files
        tellers = {"": closed_form(asked.blur)}
        if asked.learned:
            tellers["learned"] = learned(files[::2], asked.blur, asked.seed)
        for name, tell in tellers.items():
            show(name or folder.name, errors, spreads(seen, tell, **cut))


def show(name, errors, spread):
    told = f"{spread[0]:8.1f}{spread[1]:7.1f}{spread[2]:10.2f}{spread[3]:9d}"
    print(f"{name[-24:]:24}" + "".join(f"{errors[how]:10.2f}" for how in SAMPLERS) + told)


if __name__ == "__main__":
    main()
