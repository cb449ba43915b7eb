"""What the page of an inspection is made of: sentences, pictures of what was found, a few images at length."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray

from flawline.params import InspectionParams, flatten
from flawline.report.contents import InspectionPage, JudgedImage
from flawline.report.origin import origin
from flawline.report.pictures import LISTED, mark
from flawline.report.run_contents import split_ends
from flawline.report.run_sentences import verdicts_in_words
from flawline.report.tables import by_urgency

if TYPE_CHECKING:
    from collections.abc import Callable

    from flawline.detector.detector import Detector

TOLD = 5  # images that could not be judged


def gather_inspection_page(
    verdicts: pd.DataFrame,
    detector: Detector,
    *,
    inspection: InspectionParams,
    folder: str,
    run: Mapping[str, str],
    pictures: Mapping[str, NDArray],
    examples: Sequence[JudgedImage],
) -> InspectionPage:
    """Gather all that the page shows of what ``detector`` said of the images in ``folder``.

    ``pictures`` are those of `listed_images`, by name; ``examples`` those of `example_images`."""
    return InspectionPage(
        title=f"{detector.category}: {len(verdicts)} images judged",
        category=detector.category,
        found=inspection_found(verdicts, detector),
        verdicts=verdicts,
        examples=examples,
        pictures=pictures,
        settings=flatten(inspection.model_dump(mode="json"), "inspection.") | flatten(detector.params),
        ids=origin(run, folder=folder, method=detector.method) | detector.about,
    )


def inspection_found(verdicts: pd.DataFrame, detector: Detector) -> list[str]:
    """Return what the inspection found, in sentences."""
    lines = [f"{len(verdicts)} images: {verdicts_in_words(verdicts)}."]
    unjudged = verdicts[verdicts["verdict"] == "not_judged"].head(TOLD).to_dict("records")
    lines += [f"not judged: {row['image']} {row['reason']}" for row in unjudged]
    return [*lines, detector.thresholds.reject.promise]


def inspection_summary(page: InspectionPage) -> str:
    """Return the text that ends an inspection: the category and what was found, a line each."""
    return "\n".join([f"category {page.category}", *page.found]) + "\n"


def listed_images(verdicts: pd.DataFrame) -> list[int]:
    """Return the rows of the images that the page lists with a picture: rejected and to review, the worst first."""
    flagged, _, _ = by_urgency(verdicts)
    return flagged[:LISTED]


def example_images(verdicts: pd.DataFrame, count: int) -> list[int]:
    """Return the rows of the images that the page shows at length: ``count`` with the highest scores, then as many with
    the lowest, lowest first."""
    judged = verdicts.reset_index(drop=True).query("verdict != 'not_judged'")
    worst, best = split_ends(judged.sort_values("score", ascending=False).index.tolist(), count)
    return worst + best


class MarkedPictures(Mapping[str, NDArray]):
    """The pictures of some images by name, (H, W, 3) uint8 with what was found marked. Each is drawn when it is asked
    for, small, so that no more than one photograph is held."""

    def __init__(self, judged: Callable[[int], JudgedImage], names: Mapping[str, int]) -> None:
        """``judged`` returns an image by its row, and ``names`` says which row an image is in."""
        self._judged, self._names = judged, names

    def __getitem__(self, name: str) -> NDArray:
        return mark(self._judged(self._names[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: Any) -> bool:
        return name in self._names


def overlay_name(image: str, images: Container[str]) -> str:
    """Return the name, without .png, of an image's picture: its own where that ends in .png, unless another image has
    the name that is left."""
    bare = image.removesuffix(".png")
    return image if bare in images else bare
