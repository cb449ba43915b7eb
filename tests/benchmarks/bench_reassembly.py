"""How much of the overlap with the masks of the example chess is lost by the way from patches to a map: residuals of
trained networks put together by their mean, as flawline does, or by their median, and smoothed more or less.

A patch that holds a part of the disk is reconstructed worse as a whole. The mean of the patches that cover a pixel then
rises beside the disk too, the median only where half of them hold a part of it. The smoothing is chosen by no one:
each row has several, at the oracle threshold of Schneider 2022, section 3.1.

    python tests/benchmarks/bench_reassembly.py [FOLDER ...] [--methods cae vae aae] [--seeds 0 1 2] [--figure FILE]

Each FOLDER is a project that has trained methods on chess (`kedro run --pipelines=vae --params category=chess,...`)."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from measure import BASE, PROJECT
from numpy.typing import NDArray

from flawline.figures import heat, to_rgb8
from flawline.intake.examples.chess import draw_chess
from flawline.methods.maps import as_numpy, reconstruct_patches, smooth
from flawline.methods.registry import METHODS, resolve
from flawline.metrics.maps import MapCounts
from flawline.storage.tensors import read_tensors
from flawline.vision.patches import patch_grid

SMOOTHINGS = (0.0, 2.0, 4.0, 6.0)
REDUCTIONS = {"mean": np.nanmean, "median": np.nanmedian}


@dataclass(frozen=True)
class Taken:
    """What a trained network makes of one test image."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    reconstruction: NDArray[np.float32]  # (H, W), mean of the patches
    maps: dict[str, NDArray[np.float32]]  # by reduction, raw


def trained(method: str, weights: Path) -> torch.nn.Module:
    spec = METHODS[method].own_reconstructor
    branch = getattr(BASE, method)
    network = resolve(spec.network.build)(branch.model, channels=1, size=branch.patches.size)
    network.load_state_dict(read_tensors(weights)[0])
    return network.eval()


def spread(patches: NDArray, grid: NDArray, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a layer (n, H, W) for each patch (n, s, s), NaN where it does not lie."""
    layers = np.full((len(grid), *shape), np.nan, np.float32)
    for layer, patch, (y, x) in zip(layers, patches, grid, strict=True):
        layer[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return layers


def take(network: torch.nn.Module, patches: object, image: NDArray, mask: NDArray) -> Taken:
    shape = image.shape[1:]
    grid = patch_grid(*shape, size=patches.size, stride=patches.stride)
    made = [(as_numpy((x - y).square().mean(dim=1)), as_numpy(y[:, 0]))
            for x, y, _ in reconstruct_patches(network, image, grid, patches.size)]  # fmt: skip
    residuals, drawn = (np.concatenate(parts) for parts in zip(*made, strict=True))
    layers = spread(residuals, grid, shape)
    maps = {name: reduce(layers, axis=0) for name, reduce in REDUCTIONS.items()}
    return Taken(image, mask, np.nanmean(spread(drawn, grid, shape), axis=0), maps)


def overlap(taken: list[Taken], reduction: str, sigma: float) -> float:
    """Return the IoU of all images together at the threshold that is best for it."""
    counts = MapCounts()
    for each in taken:
        counts.add(smooth(each.maps[reduction], sigma), each.mask)
    return counts.oracle_iou()[2]


def draw(rows: dict[str, Taken], sigma: float) -> Figure:
    """Return a row of pictures for each network: photograph, reconstruction and the maps, smoothed, each up to its
    maximum."""
    figure = Figure(figsize=(10.4, 2.75 * len(rows)), layout="constrained")
    for line, (name, taken) in zip(figure.subplots(len(rows), 4, squeeze=False), rows.items(), strict=True):
        maps = {reduction: smooth(raw, sigma).astype(np.float32) for reduction, raw in taken.maps.items()}
        shown = {
            f"{name}: photograph": to_rgb8(taken.image),
            "reconstruction": to_rgb8(taken.reconstruction[None].clip(0, 1)),
            **{f"map, {each} of patches": heat(one, top=float(one.max())) for each, one in maps.items()},
        }
        for cell, (title, picture) in zip(line, shown.items(), strict=True):
            cell.imshow(picture)
            cell.contour(taken.mask, [0.5], colors="#00beff", linewidths=1)
            cell.set(xticks=[], yticks=[])
            cell.set_title(title, fontsize=11)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", default=[PROJECT])
    parser.add_argument("--methods", nargs="+", default=["cae", "vae", "aae"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--figure", type=Path, help="a picture of the first image and the first seed of each method")
    asked = parser.parse_args()
    tests = [
        (each.image, each.mask)
        for each in draw_chess(BASE.examples.chess)
        if each.split == "test" and each.mask is not None and each.mask.any()
    ]
    pictures: dict[str, Taken] = {}
    print(f"{'':>14} " + " ".join(f"{f'{name} {sigma:g} px':>11}" for name in REDUCTIONS for sigma in SMOOTHINGS))
    for method in asked.methods:
        found = []
        for seed in asked.seeds:
            places = [each / f"data/06_models/chess/seed-{seed}/{method}/weights.safetensors" for each in asked.folders]
            weights = next((each for each in places if each.exists()), None)
            if weights is None:
                print(f"{method}, seed {seed}: no weights in {', '.join(map(str, places))}")
                continue
            network, patches = trained(method, weights), getattr(BASE, method).patches
            taken = [take(network, patches, image, mask) for image, mask in tests]
            pictures.setdefault(method, taken[0])
            found.append([overlap(taken, name, sigma) for name in REDUCTIONS for sigma in SMOOTHINGS])
            print(f"{method}, seed {seed}:".rjust(14), *(f"{iou:>11.3f}" for iou in found[-1]), flush=True)
        if len(found) > 1:
            print(f"{'mean':>14}", *(f"{iou:>11.3f}" for iou in np.mean(found, axis=0)))
    if asked.figure and pictures:
        draw(pictures, sigma=4.0).savefig(asked.figure, dpi=80, facecolor="white")


if __name__ == "__main__":
    main()
