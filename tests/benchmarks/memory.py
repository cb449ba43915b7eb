"""Anonymous memory (RssAnon) and disk of a whole line, from ingestion to report, over folders of different sizes.

Run: python tests/benchmarks/memory.py --images 200 2000 --size 512 (--pipelines ingestion: of that alone; --inspect
patch_memory: of an inspection by a method's detector, which learns from 40 images). Prints a row a folder and the ratio
of the last to the first: what is held in memory must not grow with the number of images."""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
QUICK = "cae.train.epochs=1,cae.patches.size=64,cae.patches.stride=64,cae.patches.per_epoch=256,compute.threads=1"


def main() -> None:
    arguments = parse()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        given = (arguments.size, arguments.pipelines, arguments.params)
        for count in arguments.images:
            rows.append(measure(Path(scratch), count, *given, inspect=arguments.inspect))
            print(
                "{images:>6} images, {anonymous:.0f} MB anonymous, {disk:.0f} MB disk, {seconds:.0f} s".format(
                    **rows[-1]
                ),
                flush=True,
            )
    print(f"memory ratio {rows[-1]['anonymous'] / rows[0]['anonymous']:.3f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pipelines", default="__default__")
    parser.add_argument("--inspect", metavar="METHOD")
    parser.add_argument("--params", default="compute.threads=1", help="more parameters, as kedro run takes them")
    return parser.parse_args()


def measure(
    scratch: Path, count: int, size: int, pipelines: str, params: str, *, inspect: str | None
) -> dict[str, float]:
    """Run ``pipelines`` on ``count`` grey images (size, size), or an inspection of them; return its largest RssAnon,
    its disk and its seconds."""
    project, raw = copy_project(scratch / f"project-{count}"), scratch / f"raw-{count}"
    draw(raw / "good", 40 if inspect else count, size)
    given = f"category=many,raw={raw},{QUICK},{params}"
    if inspect:
        subprocess.run(kedro(inspect, given), cwd=project, check=True, capture_output=True)
        given += f",images={copied(raw / 'good', count, scratch / f'new-{count}')}"
    before, start = disk_of(project), time.perf_counter()
    with (scratch / f"{count}.log").open("w") as log:
        command = kedro(f"{inspect}_inspection" if inspect else pipelines, given)
        process = subprocess.Popen(command, cwd=project, stdout=log, stderr=log)
        peak = watch(process)
    if process.returncode:
        sys.exit((scratch / f"{count}.log").read_text()[-3000:])
    seconds, disk = time.perf_counter() - start, disk_of(project) - before
    shutil.rmtree(project)
    return {"images": count, "anonymous": peak / 1e6, "disk": disk / 1e6, "seconds": seconds}


def kedro(pipelines: str, params: str) -> list[str]:
    return [sys.executable, "-m", "kedro", "run", f"--pipelines={pipelines}", "--params", params]


def disk_of(project: Path) -> int:
    return sum(path.stat().st_size for path in (project / "data").rglob("*") if path.is_file())


def copied(good: Path, count: int, folder: Path) -> Path:
    """Return a folder of ``count`` images, each one of the good ones under a name of its own."""
    folder.mkdir()
    files = sorted(good.iterdir())
    for number in range(count):
        (folder / f"{number:05}.png").hardlink_to(files[number % len(files)])
    return folder


def copy_project(folder: Path) -> Path:
    """Copy what a run needs, without any data."""
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "src").mkdir()  # Kedro wants one; the package itself is installed
    return folder


def draw(folder: Path, count: int, size: int, *, mode: str = "L") -> None:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    stripes = np.indices((size, size)).sum(0) % 32 * 8
    for number in range(count):
        noise = generator.integers(0, 8, (size, size))
        image = Image.fromarray((stripes * 7 // 8 + noise).astype(np.uint8)).convert(mode)
        image.save(folder / f"{number:05}.png", compress_level=1)


def watch(process: subprocess.Popen) -> int:
    """Wait for the process; return the largest RssAnon seen, in bytes."""
    peak = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        with contextlib.suppress(OSError):
            lines = status.read_text().splitlines()
            peak = max([peak, *(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
        time.sleep(0.05)
    return peak


if __name__ == "__main__":
    main()
