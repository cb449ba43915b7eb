"""Reading a raw folder, cold and unchanged, against bare decoding by Pillow in one thread."""

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measure import BASE, Row, seconds
from PIL import Image
from scipy.ndimage import gaussian_filter

from flawline.intake.layouts import list_raw_folder
from flawline.intake.manifest import near_duplicates_of, read_raw_files
from flawline.training.compute import keep_memory
from flawline.workers import cores

COUNT, SIDE, LIMIT = 200, 512, 10**7


def rows() -> Iterator[Row]:
    keep_memory()  # as the pipeline does
    for kind, suffix, channels in (("PNG", "png", 1), ("JPEG", "jpg", 3)):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            paths = draw(folder / "good", kind, suffix, channels)
            yield from rows_of(folder, paths, f"{SIDE} px {kind}, {channels} channel{'s' * (channels > 1)}")


def rows_of(folder: Path, paths: list[Path], what: str) -> Iterator[Row]:
    files = list_raw_folder(folder, BASE.ingestion).files
    contents = [path.read_bytes() for path in paths]
    floor = rate(lambda: [Image.open(io.BytesIO(content)).load() for content in contents])
    yield Row(f"Pillow, one thread: {what}", f"{floor:.0f} images/s")
    known = read_raw_files(folder, files, max_pixels=LIMIT)[2]
    cold = rate(lambda: read_raw_files(folder, files, max_pixels=LIMIT))
    yield share(f"ingested, cold, {cores()} threads", cold, floor)
    again = rate(lambda: read_raw_files(folder, files, max_pixels=LIMIT, known=known))
    yield share("ingested again, unchanged", again, floor)
    table = read_raw_files(folder, files, max_pixels=LIMIT, known=known)[0]
    yield Row("  near-identical ones looked for", f"{rate(lambda: near_duplicates_of(table, known)):.0f} images/s")


def share(what: str, images: float, floor: float) -> Row:
    return Row(f"  {what}", f"{images:.0f} images/s", f"{floor:.0f} images/s", images / floor)


def rate(work: Callable[[], object]) -> float:
    return COUNT / seconds(work)


def draw(folder: Path, kind: str, suffix: str, channels: int) -> list[Path]:
    """Write textures that compress as photographs do: smooth structure and a little grain."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    paths = [folder / f"{number:04}.{suffix}" for number in range(COUNT)]
    for path in paths:
        smooth = gaussian_filter(generator.normal(0, 1, (SIDE, SIDE, channels)), (6, 6, 0))
        pixels = 128 + 400 * smooth + generator.normal(0, 2, smooth.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8).squeeze()).save(path, kind)
    return paths
