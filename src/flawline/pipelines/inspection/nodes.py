"""New images to verdicts: each file is decoded once and judged once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

import pandas as pd

from flawline.checks import FlawlineError
from flawline.cluster import worker_pool
from flawline.detector.challenge import check_challenges, judge_challenges
from flawline.detector.challenge_set import ChallengeSet
from flawline.detector.drifting import drift_of
from flawline.detector.file import Detector
from flawline.detector.inspecting import (
    Inspected,
    Inspection,
    PlannedInspection,
    chunks_of,
    in_file_order,
    inspect_chunk,
    inspect_file,
    inspect_odd,
)
from flawline.detector.judging import Judge, judge_digest
from flawline.detector.record import Record, made_record
from flawline.intake.folders import SIDECARS, check_folder, contents_of
from flawline.intake.manifest import in_table
from flawline.intake.names import ending_of
from flawline.params import ComputeParams, InspectionParams
from flawline.report import render_inspection
from flawline.report.grid import grid_of_inspection
from flawline.report.inspection_contents import gather_inspection_page, inspection_summary, pictures_of
from flawline.report.origin import origin
from flawline.storage.digests import settings_digest
from flawline.training.compute import keep_memory, one_thread, pick_runtime, side_by_side, workers_of
from flawline.training.progress import Progress
from flawline.workers import in_order


def list_new_images(new_images: Path | None) -> pd.DataFrame:
    """Return a row a file of the folder (file, reason): the reason why it cannot be read at all, else empty."""
    if new_images is None:
        raise FlawlineError("inspection needs a folder of new images: give it as --params images=FOLDER,category=NAME")
    check_folder(new_images, param="images")
    contents = contents_of(new_images)
    # Anything but a text that cannot be read is not_judged, never left out.
    files = [name for name in contents.files if ending_of(name) not in SIDECARS]
    rows = [(name, "") for name in files] + list(contents.odd.items())
    if not rows:
        raise FlawlineError(
            f"{new_images} holds no image among its {len(contents.files)} files; wanted photographs to judge"
        )
    return pd.DataFrame(rows, columns=["file", "reason"])


def judge_challenge_set(
    challenge_set: ChallengeSet, detector: Detector, *, inspection: InspectionParams, compute: ComputeParams
) -> pd.DataFrame:
    """Return what the detector says of the challenge set, a row an image; no row where there is none, or it is off."""
    judge = Judge(detector, inspection, compute=compute)
    return judge_challenges(challenge_set, judge, workers=workers_of(compute))


def inspect_images(
    new_images: Path, inspection_list: pd.DataFrame, challenge_results: pd.DataFrame, detector: Detector, *,
    inspection: InspectionParams, compute: ComputeParams, progress: Progress,
) -> PlannedInspection:  # fmt: skip
    """Return the inspection of every image of the folder, made when it is saved. Raise FlawlineError if the challenge
    set blocks it."""
    keep_memory()
    judge = Judge(detector, inspection, compute=compute)
    check_challenges(challenge_results, judge.inspection.challenge)
    judge.check()
    reasons = dict(zip(inspection_list["file"], inspection_list["reason"], strict=True))

    def one(file: str) -> Iterator[Inspected]:
        """Return the images of one file, of which the first is judged already, or the verdict on one that cannot be
        read at all."""
        if reasons[file]:
            return iter([inspect_odd(in_table(file), reasons[file], judge)])
        images = inspect_file(new_images, file, judge)
        return chain([next(images)], images)

    def by_cluster(address: str, files: Sequence[str]) -> Iterator[Iterator[Inspected]]:
        """Yield the images of each file; what the workers have not judged is judged here."""
        folder = new_images.resolve()
        chunks = chunks_of(folder, [file for file in files if not reasons[file]])
        if not chunks:
            yield from map(one, files)
            return
        size = min(len(chunks), workers_of(compute))
        sent_judge = Judge(detector, inspection, compute=judge.scorer.settled)  # each worker has the same engine
        with one_thread(), worker_pool(address, size, sent_judge, folder / chunks[0][0]) as workers:
            sent = (
                workers.submit(inspect_chunk, (folder, chunk), name=f"{chunk[0]} to {chunk[-1]}") for chunk in chunks
            )
            with closing(in_order(sent, workers=workers.size)) as results:
                found = chain.from_iterable(results)
                for file in files:
                    known = None if reasons[file] else next(found)
                    yield one(file) if known is None else iter([known])

    def inspect(files: Sequence[str]) -> Iterator[Inspected]:
        if compute.cluster is None:
            made = side_by_side(one, files, workers=workers_of(compute))
        else:
            made = by_cluster(compute.cluster, files)
        before = len(reasons) - len(files)
        label = f"judging ({before} done before)" if before else "judging"
        return chain.from_iterable(progress.track(made, total=len(files), label=label))

    key = settings_digest([judge_digest(judge), str(pick_runtime(compute)), str(new_images)])
    return PlannedInspection(new_images, list(reasons), key, inspect)


def tabulate_verdicts(
    new_images: Path, inspection_list: pd.DataFrame, inspected: Inspection, detector: Detector, *,
    run: Mapping[str, str], inspection: InspectionParams,
) -> Record:  # fmt: skip
    """Return the verdicts in the order of the files: a row an image (image, sha256, score, threshold, verdict, reason,
    box and area of its largest region, engine, and what proves them)."""
    rows = in_file_order(inspected.rows(), inspection_list["file"].tolist())
    judge, made_from = Judge(detector, inspection), origin(run, folder=str(new_images))
    return made_record(rows, judge.detector, inspection=judge.inspection, origin=made_from)


def look_for_drift(inspected: Inspection, detector: Detector, inspection: InspectionParams) -> pd.DataFrame:
    """Return whether light, focus, framing and scores of the images, in their order, drift from those learned from: a
    row a figure."""
    return drift_of(inspected, detector, inspection.over(detector.inspection).drift)


def inspection_page(
    new_images: Path, inspected: Inspection, detector: Detector, *, challenge_results: pd.DataFrame,
    drift: pd.DataFrame, run: Mapping[str, str], inspection: InspectionParams,
) -> tuple[str, str]:  # fmt: skip
    """Return (the page as HTML, what was found as a few lines of text)."""
    judge, verdicts = Judge(detector, inspection), inspected.verdicts()
    page = gather_inspection_page(
        verdicts, judge.detector, inspection=judge.inspection, folder=str(new_images), run=run,
        pictures=pictures_of(verdicts, inspected.pictures), challenges=challenge_results, drift=drift,
        figures=inspected.figures(),
        grid=grid_of_inspection(inspected, limit=judge.thresholds.on_map.value),
    )  # fmt: skip
    return render_inspection(page), inspection_summary(page)
