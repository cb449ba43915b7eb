"""New images to verdicts: each file is decoded once and judged once."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from flawline.checks import FlawlineError
from flawline.detector.file import Detector
from flawline.detector.inspecting import Inspected, Inspection, inspect_file, inspect_odd
from flawline.detector.judging import Judge
from flawline.intake.layouts import check_folder, files_in
from flawline.intake.layouts.base import odd_entry, stray_files
from flawline.intake.manifest import in_table
from flawline.params import ComputeParams, InspectionParams
from flawline.report import render_inspection
from flawline.report.inspection_contents import gather_inspection_page, inspection_summary, pictures_of
from flawline.training.compute import as_asked, keep_memory
from flawline.training.progress import Progress

# Files that lie beside photographs and are none. Anything else that cannot be read is not_judged, never left out.
TEXTS = frozenset({".txt", ".csv", ".json", ".xml", ".yml", ".yaml", ".md", ".log", ".ini", ".db", ".html", ".pdf"})


def list_new_images(new_images: Path | None) -> pd.DataFrame:
    """Return a row a file of the folder (file, reason): the reason why it cannot be read at all, else empty."""
    if new_images is None:
        raise FlawlineError("inspection needs a folder of new images: give it as --params images=FOLDER,category=NAME")
    check_folder(new_images, param="images")
    paths = list(files_in(new_images, deep=True))
    files = [path.relative_to(new_images).as_posix() for path in paths if path.suffix.lower() not in TEXTS]
    odd = [(path.relative_to(new_images).as_posix(), odd_entry(path)) for path in stray_files(new_images, set(files))]
    rows = [(name, "") for name in files] + [(name, reason) for name, reason in odd if reason]
    if not rows:
        raise FlawlineError(f"{new_images} holds no image among its {len(paths)} files; wanted photographs to judge")
    return pd.DataFrame(rows, columns=["file", "reason"])


def inspect_images(
    new_images: Path, inspection_list: pd.DataFrame, detector: Detector, *, inspection: InspectionParams,
    compute: ComputeParams, progress: Progress,
) -> Iterator[Inspected]:  # fmt: skip
    """Yield every image of the folder with its verdict, its map and its picture, made when it is saved."""
    keep_memory()
    judge, files = Judge(detector, inspection, compute=compute), inspection_list.to_dict("records")
    judge.check()

    def made() -> Iterator[Inspected]:
        for row in progress.track(files, total=len(files), label="judging"):
            with as_asked(compute):
                yield from _inspect(new_images, row, judge)

    return made()


def _inspect(folder: Path, row: Mapping[str, str], judge: Judge) -> Iterator[Inspected]:
    """Yield the images of one file, or the verdict on one that cannot be read at all."""
    if row["reason"]:
        return iter([inspect_odd(in_table(row["file"]), row["reason"], judge)])
    return inspect_file(folder, row["file"], judge)


def tabulate_verdicts(inspected: Inspection) -> pd.DataFrame:
    """Return the verdicts: a row an image (image, sha256, score, threshold, verdict, reason, box and area of its
    largest region)."""
    return inspected.verdicts()


def inspection_page(
    new_images: Path, inspected: Inspection, detector: Detector, *, run: Mapping[str, str],
    inspection: InspectionParams,
) -> tuple[str, str]:  # fmt: skip
    """Return (the page as HTML, what was found as a few lines of text)."""
    judge, verdicts = Judge(detector, inspection), inspected.verdicts()
    page = gather_inspection_page(
        verdicts, judge.detector, inspection=judge.inspection, folder=str(new_images), run=run,
        pictures=pictures_of(verdicts, inspected.pictures),
    )  # fmt: skip
    return render_inspection(page), inspection_summary(page)
