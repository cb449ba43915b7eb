"""Tomorrow's images judged by a finished detector. A file that cannot be judged is never a pass."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.detector.detector import Detector, Judgement, Thresholds, judge, regions_above, verdict_row
from flawline.figures import overlay
from flawline.intake.decoding import UnreadableImageError, count_pages, read_bytes, read_photograph
from flawline.intake.layouts import check_folder, files_in
from flawline.intake.layouts.base import odd_entry, stray_files
from flawline.intake.manifest import NAMELESS, SAME_NAME, in_table, locate, page_name
from flawline.intake.registration import alignment_of, alignment_row
from flawline.methods.heads import NO_MAP, Scored
from flawline.methods.maps import image_score
from flawline.metrics.regions import Region
from flawline.params import InspectionParams, ReportingParams
from flawline.report import JudgedImage, render_inspection
from flawline.report.inspection_contents import (
    MarkedPictures,
    example_images,
    gather_inspection_page,
    inspection_summary,
    listed_images,
    overlay_name,
)
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.training.compute import keep_memory
from flawline.training.progress import Progress

# Files that lie beside photographs and are none. Anything else that cannot be read is not_judged, never left out.
TEXTS = frozenset({".txt", ".csv", ".json", ".xml", ".yml", ".yaml", ".md", ".log", ".ini", ".db", ".html", ".pdf"})


def list_new_images(new_images: Path | None, detector: Detector, inspection: InspectionParams) -> pd.DataFrame:
    """Return a row a file (image, sha256, reason): the reason why it cannot be judged, empty if it can."""
    if new_images is None:
        raise FlawlineError("inspection needs a folder of new images: give it as --params images=FOLDER,category=NAME")
    check_folder(new_images, param="images")
    paths = list(files_in(new_images, deep=True))
    pictures = [path for path in paths if path.suffix.lower() not in TEXTS]
    rows = [row for path in pictures for row in _list_pages(new_images, path, detector, inspection)]
    rows += _list_odd(new_images, {row["image"] for row in rows})
    if not rows:
        raise FlawlineError(f"{new_images} holds no image among its {len(paths)} files; wanted photographs to judge")
    table = pd.DataFrame(rows)
    return table.assign(reason=table["reason"].mask(table["image"].duplicated(keep=False), SAME_NAME))


def map_new_images(
    new_images: Path,
    inspection_list: pd.DataFrame,
    detector: Detector,
    inspection: InspectionParams,
    progress: Progress,
) -> Iterator[NDArray]:
    """Return the anomaly map (H, W) of every image, empty (0, 0) for those that cannot be judged."""
    keep_memory()
    rows = inspection_list.to_dict("records")

    def make(k: int) -> NDArray:
        if rows[k]["reason"]:
            return NO_MAP
        return detector.score(_read_again(new_images, rows[k], detector, inspection)).map

    return progress.track(Lazy(len(rows), make), total=len(rows), label="judging")


def score_new_images(
    new_images: Path,
    inspection_list: pd.DataFrame,
    inspection_maps: RaggedArray,
    detector: Detector,
    inspection: InspectionParams,
) -> list[float | None]:
    """Return the score of every image, None for those that cannot be judged. Where it is not the map's largest value,
    the image is looked at again."""

    def score(row: Mapping[str, Any], anomaly: NDArray) -> float | None:
        if row["reason"]:
            return None
        if detector.by_map:
            return image_score(anomaly)
        return detector.score(_read_again(new_images, row, detector, inspection)).score

    rows = inspection_list.to_dict("records")
    return [score(row, anomaly) for row, anomaly in zip(rows, inspection_maps, strict=True)]


def judge_new_images(
    inspection_list: pd.DataFrame, inspection_maps: RaggedArray, inspection_scores: list[float | None],
    detector: Detector, inspection: InspectionParams,
) -> pd.DataFrame:  # fmt: skip
    """Return the verdicts: a row an image (image, sha256, score, threshold, verdict, reason, box and area of its
    largest region)."""
    thresholds = detector.at_overkill(inspection.target_overkill).thresholds
    rows = []
    for row, anomaly, score in zip(inspection_list.to_dict("records"), inspection_maps, inspection_scores, strict=True):
        said = _judge(row["reason"], score, anomaly, thresholds, inspection, by_map=detector.by_map)
        rows.append(verdict_row(row["image"], row["sha256"], said, inspection))
    return pd.DataFrame(rows)


def _judge(
    reason: str, score: float | None, anomaly: NDArray, thresholds: Thresholds, inspection: InspectionParams, *,
    by_map: bool,
) -> Judgement:  # fmt: skip
    if reason or score is None:
        return Judgement("not_judged", reason)
    return judge(Scored(score, anomaly), thresholds, inspection, by_map=by_map)


def draw_overlays(
    new_images: Path,
    inspection_list: pd.DataFrame,
    inspection_maps: RaggedArray,
    verdicts: pd.DataFrame,
    detector: Detector,
    inspection: InspectionParams,
) -> dict[str, Callable[[], NDArray]]:
    """Return a picture of every judged image with its regions marked, drawn when it is saved."""
    names, judged = set(verdicts["image"]), detector.at_overkill(inspection.target_overkill)
    listed = inspection_list.to_dict("records")
    return {
        overlay_name(row["image"], names): partial(
            _draw, new_images, listed[k] | row, inspection_maps[k], judged, inspection
        )
        for k, row in enumerate(verdicts.to_dict("records"))
        if row["verdict"] != "not_judged"
    }


def inspection_page(
    new_images: Path,
    inspection_list: pd.DataFrame,
    inspection_maps: RaggedArray,
    verdicts: pd.DataFrame,
    detector: Detector,
    run: Mapping[str, str],
    inspection: InspectionParams,
    reporting: ReportingParams,
) -> tuple[str, str]:
    """Return (the page as HTML, what was found as a few lines of text)."""
    judged = detector.at_overkill(inspection.target_overkill)
    show = partial(_show, new_images, inspection_list, inspection_maps, verdicts, judged, inspection)
    listed = {verdicts["image"].iloc[k]: k for k in listed_images(verdicts)}
    shown = map(show, example_images(verdicts, reporting.examples))
    page = gather_inspection_page(
        verdicts, judged, inspection=inspection, folder=str(new_images), run=run, pictures=MarkedPictures(show, listed),
        examples=[replace(each, reconstruction=judged.redraw(each.image)) for each in shown],
    )  # fmt: skip
    return render_inspection(page), inspection_summary(page)


def _list_odd(folder: Path, known: Container[str]) -> list[dict[str, Any]]:
    """Return a row for each broken link, device or linked folder that is named like an image."""
    odd = ((path, odd_entry(path)) for path in stray_files(folder, known))
    return [{"image": in_table(path.relative_to(folder).as_posix()), "sha256": "", "reason": reason}
            for path, reason in odd if reason]  # fmt: skip


def _list_pages(folder: Path, path: Path, detector: Detector, inspection: InspectionParams) -> list[dict[str, Any]]:
    """Return a row for each page of a file."""
    name, table_name = path.relative_to(folder).as_posix(), in_table(path.relative_to(folder).as_posix())
    if name != table_name:
        return [{"image": table_name, "sha256": "", "reason": NAMELESS}]
    try:
        pages = count_pages(read_bytes(path))
    except UnreadableImageError as error:
        return [{"image": name, "sha256": "", "reason": str(error)}]
    numbers = [0] if pages == 1 else range(1, pages + 1)
    return [_list_one(path, page_name(name, page), page, detector, inspection) for page in numbers]


def _list_one(path: Path, name: str, page: int, detector: Detector, inspection: InspectionParams) -> dict[str, Any]:
    try:
        photo = read_photograph(path, max_pixels=inspection.max_pixels, page=page or None)
    except UnreadableImageError as error:
        return {"image": name, "sha256": "", "reason": str(error)}
    reason = detector.misfit(photo.pixels) or ""
    row = {"image": name, "sha256": photo.sha256, "reason": reason}
    alignment = None if reason else detector.align(photo.pixels)
    if alignment is None:
        return row
    return row | alignment_row(alignment)


def _read_again(folder: Path, row: Mapping[str, Any], detector: Detector, inspection: InspectionParams) -> NDArray:
    """Return the photograph of a row of the list, (C, H, W) in the frame in which it is judged."""
    path, page = locate(folder, row["image"])
    photo = read_photograph(path, max_pixels=inspection.max_pixels, page=page)
    if photo.sha256 != row["sha256"]:
        raise FlawlineError(f"{folder / row['image']} changed while it was being judged. Run the inspection again.")
    alignment = None if detector.aligner is None else alignment_of(row)
    return detector.frame(photo.pixels, alignment)


def _map_limit(row: Mapping[str, Any], detector: Detector) -> float:
    """Return the limit on the map's values from which a pixel is marked."""
    return row["threshold"] if detector.by_map else detector.thresholds.on_map.value


def _regions(anomaly: NDArray, row: Mapping[str, Any], limit: float, inspection: InspectionParams) -> list[Region]:
    return [] if row["verdict"] == "pass" or not anomaly.size else regions_above(anomaly, limit, inspection)


def _draw(
    folder: Path, row: Mapping[str, Any], anomaly: NDArray, detector: Detector, inspection: InspectionParams
) -> NDArray:
    image, limit = _read_again(folder, row, detector, inspection), _map_limit(row, detector)
    shown = anomaly if anomaly.size else np.zeros(image.shape[1:], np.float16)
    return overlay(image, shown, limit, _regions(anomaly, row, limit, inspection))


def _show(
    folder: Path,
    listed: pd.DataFrame,
    maps: RaggedArray,
    verdicts: pd.DataFrame,
    detector: Detector,
    inspection: InspectionParams,
    k: int,
) -> JudgedImage:
    """Return the image in row ``k`` with what the detector found."""
    row = listed.iloc[k].to_dict() | verdicts.iloc[k].to_dict()
    limit = _map_limit(row, detector)
    return JudgedImage(
        name=row["image"],
        image=_read_again(folder, row, detector, inspection),
        anomaly_map=maps[k],
        score=row["score"],
        verdict=row["verdict"],
        regions=_regions(maps[k], row, limit, inspection),
        map_threshold=limit if maps[k].size else None,
    )
