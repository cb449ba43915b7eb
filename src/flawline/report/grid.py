"""The grid of a page: every test image of a run, or every inspected one, as a thumbnail with its anomaly map, the
highest score first; and what the page's script reads of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.detector.decisions import COLUMNS, DECISIONS
from flawline.figures import data_uri, heat, scale_top, thumbnail, thumbnail_size, to_rgb8, webp
from flawline.report.contents import GridImage, InspectionPage, JudgedImage, RunPage, Threshold
from flawline.report.pictures import page_size, shrink, shrink_peaks
from flawline.report.words import missing
from flawline.storage.digests import settings_digest
from flawline.workers import by_threads, cores

if TYPE_CHECKING:
    from flawline.detector.inspecting import Inspection

LARGE = 100  # images of a page with larger pictures: with more a page of 2,000 images grows past 15 MB
PICTURED = 4_000  # images of an inspection with a thumbnail: a page of more takes too long to open, and too much memory
COSTS = ("escape", "overkill", "review")  # of one part each
PHOTOGRAPH, MAP = "photograph", "anomaly map"


def grid_of_tests(
    verdicts: pd.DataFrame, scores: pd.DataFrame, *, images: Sequence[NDArray], kept: Sequence[int],
    maps: Sequence[NDArray], limit: float, judged: Callable[[list[int]], list[JudgedImage]],
    shown: Collection[str] = (),
) -> list[GridImage]:  # fmt: skip
    """Return the grid of a run, of a row of the verdicts each. ``maps`` has the scores' rows, ``kept`` says where they
    stand in ``images``; an image that has no score was not judged.

    The first get larger pictures, of what is ``judged`` in rows of the scores, but for those that the page has
    ``shown`` anyway. ``limit`` is the threshold on maps. Images are read one by one."""
    places = {image: row for row, image in scores.loc[scores["split"] == "test", "image"].items()}
    top = scale_top(limit, (maps[place] for place in places.values()))
    grid: list[GridImage] = []
    for _, row in by_score(verdicts):
        image, place = _grid_image(row), places.get(row["image"])
        if place is not None:
            photograph = images[kept[place]]
            size = thumbnail_size(photograph.shape[1:])
            image = replace(image, thumbnail=encoded(thumbnail(photograph)), heat=small_heat(maps[place], size, top))
            if len(grid) < LARGE and image.name not in shown:
                image = with_pictures(image, judged([place])[0], top)
        grid.append(image)
    return grid


def grid_of_inspection(inspected: Inspection, *, limit: float) -> list[GridImage]:
    """Return the grid of an inspection, with thumbnails of the first `PICTURED` images. ``limit`` is the threshold on
    maps. Maps are read one by one, by as many threads as there are cores."""
    top = scale_top(limit, inspected.maps)
    root = inspected.maps.folder.parents[3]  # the folder of pages and pictures
    files = {name: seen_from_page(path.relative_to(root)) for name, path in inspected.pictures.items()}

    def pictured(placed: tuple[GridImage, int]) -> GridImage:
        image, k = placed
        found, small = inspected.maps[k], inspected.thumbnails[k]
        if not small.size:
            return image
        drawn = small_heat(found, thumbnail_size(found.shape), top) if found.size else ""
        return replace(image, thumbnail=data_uri(small.tobytes()), heat=drawn)

    grid = [
        (replace(_grid_image(row), file=files.get(row["image"], "")), k) for k, row in by_score(inspected.verdicts())
    ]
    first = by_threads(pictured, grid[:PICTURED], workers=cores())
    return [*first, *(image for image, _ in grid[PICTURED:])]


def by_score(verdicts: pd.DataFrame) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of the verdicts with their places, the highest score first, those without one last."""
    ordered = verdicts.reset_index(drop=True).sort_values("score", ascending=False, kind="stable")
    yield from zip(ordered.index.tolist(), ordered.to_dict("records"), strict=True)


def seen_from_page(path: Path) -> str:
    """Return the address of a file that lies at ``path`` beside the folder of the page's versions."""
    return quote(f"../../{path.as_posix()}")


def _grid_image(row: Mapping[str, Any]) -> GridImage:
    """Return what a row of the verdicts says of an image; columns that a table lacks are not known."""
    known = {name: value for name, value in row.items() if not missing(value)}
    return GridImage(
        row["image"],
        row["verdict"],
        float(known["score"]) if "score" in known else None,
        label=int(known["label"]) if "label" in known else None,
        defect=known.get("defect", ""),
        reason=known.get("reason", ""),
        sha256=known.get("sha256", ""),
    )


def small_heat(anomaly_map: NDArray, size: tuple[int, int], top: float) -> str:
    """Return the address of a map (H, W) at a thumbnail's ``size``, each block's highest value kept; empty of none."""
    if not anomaly_map.size:
        return ""
    return encoded(heat(shrink_peaks(anomaly_map.astype(np.float32), size), top=top))


def with_pictures(image: GridImage, judged: JudgedImage, top: float) -> GridImage:
    """Return an image of the grid with its photograph and its map at the size of a strip's pictures."""
    height, width = judged.image.shape[1:]
    small = shrink(replace(judged, mask=None), page_size((height, width)))
    pictures = {PHOTOGRAPH: encoded(to_rgb8(small.image))}
    if small.anomaly_map.size:
        pictures[MAP] = encoded(heat(small.anomaly_map, top=top))
    shares = [(r.y / height, r.x / width, r.height / height, r.width / width) for r in judged.regions]
    return replace(image, pictures=pictures, regions=shares)


def encoded(picture: NDArray[np.uint8]) -> str:
    """Return the address of a picture (H, W, 3), which holds it."""
    return data_uri(webp(picture))


def run_grid(page: RunPage) -> dict[str, Any] | None:
    """Return what the script reads of a run: the grid of each method; None where no image was judged."""
    grids = [
        (each.method, f"#method-{k}", each.grid, each.thresholds) for k, each in enumerate(page.methods, 1) if each.grid
    ]
    costs = {name: page.settings.get(f"evaluation.costs.{name}") for name in COSTS}
    return _grid_data(grids, labelled=True, costs=costs) if grids else None


def inspection_grid(page: InspectionPage) -> dict[str, Any] | None:
    """Return what the script reads of an inspection; None where there is no image. What a person decides is kept under
    a key of these images and verdicts."""
    if not page.grid:
        return None
    known = [page.category, *([image.name, image.sha256, image.verdict] for image in page.grid)]
    data = _grid_data([("", "#flagged", page.grid, page.thresholds)], labelled=False)
    more = {"columns": COLUMNS, "decisions": DECISIONS, "pictured": min(len(page.grid), PICTURED)}
    return data | {"key": settings_digest(known), **more}


def _grid_data(
    grids: Sequence[tuple[str, str, Sequence[GridImage], Mapping[str, Any]]], *, labelled: bool, costs: Any = None
) -> dict[str, Any]:
    """Return the grids of methods, each with the section that shows some images at length; pictures of the photographs
    are the same to all, and stand once."""
    cut = [_first_at_length(grid, LARGE // len(grids)) for _, _, grid, _ in grids]
    every = [image for grid in cut for image in grid]
    return {
        "labelled": labelled,
        "costs": costs,
        "thumbnails": {image.name: image.thumbnail for image in every if image.thumbnail},
        "photographs": {image.name: image.pictures[PHOTOGRAPH] for image in every if image.pictures},
        "methods": [
            {"method": name, "section": section, "reject": _limit(limits.get("reject")),
             "review": _limit(limits.get("review")), "images": [_image_data(image) for image in grid]}
            for (name, section, _, limits), grid in zip(grids, cut, strict=True)
        ],
    }  # fmt: skip


def _limit(threshold: Threshold | float | None) -> float | None:
    """Return a threshold's value; None where there is none that an image can be above."""
    value = threshold if isinstance(threshold, int | float | None) else threshold.value
    return value if value is not None and np.isfinite(value) else None


def _first_at_length(grid: Sequence[GridImage], count: int) -> list[GridImage]:
    """Return the grid with larger pictures of the first ``count`` images alone."""
    return [*grid[:count], *(replace(image, pictures={}, regions=()) for image in grid[count:])]


def _image_data(image: GridImage) -> dict[str, Any]:
    """Return what the script reads of one image: without its photographs, and without what is empty."""
    told = {
        "name": image.name, "verdict": image.verdict, "score": image.score, "heat": image.heat, "label": image.label,
        "defect": image.defect, "reason": image.reason, "sha256": image.sha256, "file": image.file,
        "map": image.pictures.get(MAP, ""), "regions": list(image.regions),
    }  # fmt: skip
    return {name: value for name, value in told.items() if value not in ("", None, [])}
