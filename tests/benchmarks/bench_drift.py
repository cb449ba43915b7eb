"""What of photographs that changed in one way only is told of them, after how many images, and as what.

Of the good training photographs of a folder that is laid out like MVTec AD's, half are drawn as those learned from, and
the others are inspected in random order: unchanged, or each changed in one way, or replaced by defective ones or by
photographs of another folder. Told are the share of the draws in which a drift is told at all (of unchanged images: the
false alarms), the share in which the first cause is the right one, how many images it took, and which causes are named.
The detector's score takes no part. ``--after`` puts so many unchanged images before those that are changed; ``since``
is then how far the image since which it is told to drift lies behind the first changed one.

    python tests/benchmarks/bench_drift.py FOLDER [FOLDER ...] [--draws 20] [--images 40] [--after 0] [--seed 0]"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import scipy
from measure import BASE
from PIL import Image

from flawline.metrics.drift import find_drift
from flawline.metrics.drift_causes import find_causes
from flawline.vision.appearance import FIGURES, appearance


def gain(factor):
    return lambda image: rounded(image.astype(float) * factor)


def blur(sigma):
    return lambda image: rounded(scipy.ndimage.gaussian_filter(image.astype(float), (0, sigma, sigma)))


def moved(share):
    """Move to the right by a share of the width; the border's pixels go on."""
    return lambda image: framed(image, 1.0, share)


def nearer(factor):
    return lambda image: framed(image, factor, 0.0)


def framed(image, factor, share):
    """Return what a camera sees that is nearer by a factor, and moved; the border's pixels go on."""
    height, width = image.shape[1:]
    down, across = round(height / factor), round(width / factor)
    pad = [(0, 0), (height, height), (width, width)]
    around = np.pad(image, pad, mode="edge")
    top, left = height + (height - down) // 2, width + (width - across) // 2 - round(share * width)
    seen = around[:, top : top + down, left : left + across]
    if factor == 1:
        return seen
    return np.stack([np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BICUBIC))
                     for each in seen])  # fmt: skip


def rounded(levels):
    return np.rint(levels.clip(0, 255)).astype(np.uint8)


CHANGES = {
    "darker by 5 %": ("light", gain(0.95)),
    "darker by 10 %": ("light", gain(0.9)),
    "darker by 30 %": ("light", gain(0.7)),
    "brighter by 10 %": ("light", gain(1.1)),
    "brighter by 30 %": ("light", gain(1.3)),
    "blurred, sigma 0.5": ("focus", blur(0.5)),
    "blurred, sigma 1": ("focus", blur(1)),
    "blurred, sigma 2": ("focus", blur(2)),
    "moved by 3 %": ("framing", moved(0.03)),
    "moved by 8 %": ("framing", moved(0.08)),
    "nearer by 5 %": ("framing", nearer(1.05)),
    "nearer by 20 %": ("framing", nearer(1.2)),
    "farther by 10 %": ("framing", nearer(0.9)),
}


def photographs(*folders):
    return [read(path) for folder in folders for path in sorted(folder.iterdir())]


def read(path):
    image = Image.open(path)
    pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def figures(images):
    return np.array([list(appearance(image).values()) for image in images])  # (n, figures)


def of_others(found):
    """Photographs of something else, in random order, in the place of the good ones."""
    return lambda new, rng: found[rng.permutation(len(found))[: len(new)]]


def some_of_others(good, found):
    """Good photographs, each with a probability of a tenth replaced by one of something else."""
    return lambda new, rng: np.where(rng.random((len(new), 1)) < 0.1, found[rng.integers(len(found), size=len(new))],
                                     good[new])  # fmt: skip


def drawn(good, stream, rng, args):
    """Return (causes, images until told, since) of one draw; ``stream`` makes images of the numbers of good ones."""
    order = rng.permutation(len(good))
    learned, new = order[: len(order) // 2], order[len(order) // 2 :]
    before, after = new[: args.after], new[args.after : args.after + args.images]
    values = np.concatenate([good[before], stream(after, rng)])
    table = find_drift(
        dict(zip(FIGURES, values.T, strict=True)), dict(zip(FIGURES, good[learned].T, strict=True)),
        **BASE.inspection.drift.model_dump(),
    )  # fmt: skip
    causes = find_causes(table)
    first = causes[0] if causes else None
    return [each.name for each in causes], first and first.told_at - args.after, first and first.since - 1 - args.after


def tell(name, wanted, draws):
    """Print a line on what was told in draws."""
    told = [each for each in draws if each[0]]
    right = np.mean([bool(causes) and causes[0] == wanted for causes, *_ in draws]) if wanted else float("nan")
    until, since = (np.median([each[k] for each in told]) if told else float("nan") for k in (1, 2))
    named = Counter(" and ".join(causes) for causes, *_ in told)
    said = ", ".join(f"{causes} {count}" for causes, count in named.most_common(3))
    print(f"  {name:<22}{len(told) / len(draws):>6.2f}{right:>7.2f}{until:>8.0f}{since:>7.0f}  {said}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    for name, default in (("draws", 20), ("images", 40), ("after", 0), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    images = {folder.parent.name if folder.name == "tiles" else folder.name: photographs(folder / "train" / "good")
              for folder in args.folders}  # fmt: skip
    every = {name: figures(each) for name, each in images.items()}
    for folder, (category, good) in zip(args.folders, every.items(), strict=True):
        print(f"{category}: learned from {len(good) // 2} images")
        print(f"  {'':<22}{'told':>6}{'right':>7}{'images':>8}{'since':>7}  as")
        bad = figures(photographs(*(each for each in sorted((folder / "test").iterdir()) if each.name != "good")))
        streams = {"unchanged": (None, lambda new, rng, good=good: good[new])}
        streams |= {"a tenth defective": (None, some_of_others(good, bad)), "all defective": (None, of_others(bad))}
        for name, (wanted, change) in CHANGES.items():
            changed = figures(map(change, images[category]))
            streams[name] = wanted, lambda new, rng, changed=changed: changed[new]
        streams |= {name: ("product", of_others(other)) for name, other in every.items() if name != category}
        for name, (wanted, stream) in streams.items():
            rng = np.random.default_rng(args.seed)
            draws = args.draws if wanted else 10 * args.draws
            tell(name, wanted, [drawn(good, stream, rng, args) for _ in range(draws)])


if __name__ == "__main__":
    main()
