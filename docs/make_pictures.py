"""Draw docs/images/chess.png from a finished run of cae: .venv/bin/python docs/make_pictures.py [PROJECT] [TARGET].

A deformed and a good test board, each as photograph, reconstruction, anomaly map and verdict. The run before it:
``make run METHOD=cae``."""

import io
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from flawline.detector.file import Detector, load_detector
from flawline.detector.inspecting import draw as draw_verdict
from flawline.detector.judging import Judge, Judgement
from flawline.figures import heat, to_rgb8
from flawline.intake.decoding import read_photograph
from flawline.params import InspectionParams

BOARDS = ("test/deformed/000.png", "test/good/000.png")
TITLES = ("photograph", "reconstruction", "anomaly map", "verdict")
MAX_PIXELS = 1_000_000


def latest_detector(project: Path) -> Detector:
    """Load the newest version of that run's detector."""
    versions = sorted((project / "data/06_models/chess/seed-0/cae/detector.safetensors").glob("*/detector.safetensors"))
    if not versions:
        sys.exit(f"no finished detector for chess, seed 0, in {project / 'data'}. Make one first: make run METHOD=cae")
    return load_detector(versions[-1])


def strip(judge: Judge, photograph: NDArray) -> tuple[list[NDArray], Judgement]:
    """Return the four pictures (H, W, 3) uint8 of one photograph (C, H, W), and the judgement."""
    judged = judge.judge(photograph)
    pictures = [
        to_rgb8(photograph),
        to_rgb8(judged.reconstruction.picture()),
        heat(judged.scored.map, top=5 * judge.thresholds.reject.value),
        np.asarray(Image.open(io.BytesIO(draw_verdict(judged, judge)))),
    ]
    return pictures, judged.judgement


def draw(project: Path) -> Figure:
    """Return the picture: a row a board."""
    judge = Judge(latest_detector(project), InspectionParams(pictures="all"))
    figure = Figure(figsize=(10.4, 5.55), layout="constrained")
    axes = figure.subplots(len(BOARDS), len(TITLES))
    for row, name in zip(axes, BOARDS, strict=True):
        image = read_photograph(project / "data/01_raw/chess" / name, max_pixels=MAX_PIXELS).pixels
        pictures, said = strip(judge, image)
        for cell, picture, title in zip(row, pictures, TITLES, strict=True):
            cell.imshow(picture)
            cell.set(xticks=[], yticks=[])
            cell.set_title(title if title != "verdict" else f"{said.verdict}: {said.score:.3f}", fontsize=12)
    figure.suptitle(f"image score above {judge.thresholds.reject.value:.3f}: reject", fontsize=11)
    return figure


def main(project: Path, target: Path) -> None:
    buffer = io.BytesIO()
    draw(project).savefig(buffer, format="png", dpi=100, facecolor="white")
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(128).save(target, optimize=True)  # a quarter of the bytes


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    given = [Path(argument) for argument in sys.argv[1:3]]
    main(given[0] if given else here.parent, given[1] if len(given) > 1 else here / "images" / "chess.png")
