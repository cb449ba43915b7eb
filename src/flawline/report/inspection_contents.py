"""What the page of an inspection is made of: sentences, pictures of what was found, a few images at length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.params import InspectionParams, flatten
from flawline.report.contents import GridImage, InspectionPage
from flawline.report.cost_sentences import costs_in_words
from flawline.report.drift_sentences import drift_sentences, silence
from flawline.report.origin import origin
from flawline.report.pictures import LISTED
from flawline.report.run_sentences import verdicts_in_words
from flawline.report.tables import by_urgency
from flawline.report.words import interval_of, share

if TYPE_CHECKING:
    from flawline.detector.file import Detector

TOLD = 5  # images that could not be judged


def gather_inspection_page(
    verdicts: pd.DataFrame,
    detector: Detector,
    *,
    inspection: InspectionParams,
    folder: str,
    run: Mapping[str, str],
    pictures: Mapping[str, NDArray],
    challenges: pd.DataFrame,
    drift: pd.DataFrame,
    figures: pd.DataFrame,
    grid: Sequence[GridImage] = (),
) -> InspectionPage:
    """Gather all that the page shows of what ``detector`` said of the images in ``folder``.

    ``challenges`` says what came of the challenge set. ``pictures`` are those of `listed_images`, by name; ``drift``
    and ``figures`` whether the images drift, by what; ``grid`` has every image."""
    from flawline.detector.challenge import challenge_in_words

    limits, told = detector.thresholds, challenge_in_words(challenges)
    return InspectionPage(
        title=f"{detector.category}: {len(verdicts)} images judged",
        category=detector.category,
        found=[*drift_sentences(drift), *inspection_found(verdicts, detector), *told, *silence(drift)],
        verdicts=verdicts,
        pictures=pictures,
        drift=drift,
        figures=figures,
        settings=flatten(inspection.model_dump(mode="json"), "inspection.") | flatten(detector.params),
        ids=origin(run, folder=folder, method=detector.method) | detector.about | judged_by(verdicts, detector),
        grid=grid,
        thresholds={"reject": limits.reject.value, "review": limits.review.value},
    )


def judged_by(verdicts: pd.DataFrame, detector: Detector) -> dict[str, str]:
    """Return the detector's version and digest, if it was read from a file, and what ran its networks, if it has any:
    another engine than the one that calibrated it, maybe."""
    used = sorted(set(verdicts["engine"].dropna()) - {""})
    named = {"detector": f"{detector.source.version}, SHA-256 {detector.source.sha256}"} if detector.source else {}
    return named | ({"judged by": ", ".join(used)} if used else {})


def inspection_found(verdicts: pd.DataFrame, detector: Detector) -> list[str]:
    """Return what the inspection found, in sentences."""
    lines = [f"{len(verdicts)} images: {verdicts_in_words(verdicts)}."]
    unjudged = verdicts[verdicts["verdict"] == "not_judged"]
    lines += [f"not judged: {row['image']} {row['reason']}" for row in unjudged.head(TOLD).to_dict("records")]
    lines += [f"not judged: {len(unjudged) - TOLD} more, each with its reason in the verdicts"] * (len(unjudged) > TOLD)
    thresholds = detector.thresholds
    return [*lines, *share_rejected(verdicts), thresholds.reject.promise, *costs_in_words(thresholds.by_cost)]


def share_rejected(verdicts: pd.DataFrame) -> list[str]:
    """Return which share of the judged images was rejected, to be compared with what is promised of good ones; nothing
    where none was judged."""
    judged = verdicts[verdicts["verdict"] != "not_judged"]
    rejected = int((judged["verdict"] == "reject").sum())
    if judged.empty:
        return []
    told = f"{rejected} of {len(judged)} judged images were rejected: {share(rejected, len(judged))}"
    return [f"{told} ({interval_of(rejected, len(judged))})."]


def inspection_summary(page: InspectionPage) -> str:
    """Return the text that ends an inspection: the category and what was found, a line each."""
    return "\n".join([f"category {page.category}", *page.found]) + "\n"


def listed_images(verdicts: pd.DataFrame) -> list[int]:
    """Return the rows of the images that the page lists with a picture: rejected and to review, the worst first."""
    flagged, _, _ = by_urgency(verdicts)
    return flagged[:LISTED]


def pictures_of(verdicts: pd.DataFrame, files: Mapping[str, Path]) -> StoredPictures:
    """Return the pictures of `listed_images`, of which ``files`` says where they lie by image."""
    names = verdicts.reset_index(drop=True)["image"].iloc[listed_images(verdicts)]
    return StoredPictures({name: files[name] for name in names})


class StoredPictures(Mapping[str, NDArray]):
    """The pictures of some images by name, (H, W, 3) uint8 with what was found marked. Each is read when it is asked
    for, so that no more than one is held."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> NDArray:
        from PIL import Image

        return np.asarray(Image.open(self._files[name]).convert("RGB"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
