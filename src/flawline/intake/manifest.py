"""How the manifest is made: a row for each image with its split, and the quarantine, the files that cannot be used with
the reason. The names of images, files and pages in them are at home here too."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flawline.checks import FlawlineError
from flawline.intake.cautions import SIDEWAYS, doubtful_images, turned_photographs
from flawline.intake.codecs.suffixes import SUFFIXES
from flawline.intake.decoding import UnreadableImageError, read_bytes
from flawline.intake.depths import drop_odd_depths, settle_bits
from flawline.intake.layouts import EXPLICIT, RawFile, list_raw_folder
from flawline.intake.leaving_out import keep_apart, leave_out
from flawline.intake.mask_likeness import set_masks_aside
from flawline.intake.masks import MaskSource, read_mask_source
from flawline.intake.measuring import Measured, Measurements, decoder_key, measure_file
from flawline.intake.names import ending_of
from flawline.intake.near_duplicates import find_near_duplicates
from flawline.intake.notes import notes_table
from flawline.intake.sizes import drop_odd_sizes
from flawline.intake.splits import SPLITS, UNUSED, assign_splits, settle_identical
from flawline.params import IngestionParams, SplitParams
from flawline.storage.digests import content_digest
from flawline.workers import by_threads, cores

COLUMNS = [
    "image", "page", "split", "label", "defect", "group", "mask", "layout",
    "channels", "height", "width", "depth", "bits", "bytes", "sha256", "mask_sha256",
]  # fmt: skip
SAME_NAME = "is called like a page of another file; rename it"
NAMELESS = "its name holds characters that a table cannot; rename it"
UNTABLED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, bytes that are not UTF-8
PARTICULAR = re.compile(r"\S+\.\w+|\d+|'[^']*'")  # names, numbers and quotations in a reason
SHOWN = 4  # reasons named in an error
Known = Mapping[str, list[Measured]]
Track = Callable[[Iterable[Any], int], Iterable[Any]]  # (items, total) -> the same items, shown as progress


@dataclass(frozen=True)
class ReadFile:
    """What reading one file gave: rows of the manifest, rows of the quarantine, and what was measured."""

    rows: list[dict[str, Any]]
    quarantine: list[dict[str, str]]
    measured: list[Measured]


def in_table(name: str) -> str:
    """Return a file's name with what a table cannot hold (control characters, other bytes) escaped."""
    return UNTABLED.sub(lambda match: ascii(match[0])[1:-1], name)


def page_name(file: str, page: int) -> str:
    """Return the name of a file's page as a manifest has it: ``stack.tif#2``; the file's own where it has one only."""
    return f"{file}#{page}" if page else file


def file_of(image: str, page: int) -> str:
    """Return the file of an image of the manifest: the opposite of ``page_name``."""
    return image.removesuffix(f"#{page}") if page else image


def split_page(image: str) -> tuple[str, int | None]:
    """Return the file and the page that an image's name tells of: ``stack.tif#2``; the name and None where it ends in
    no page. A file may be called like a page, for which `locate` looks."""
    file, mark, page = image.rpartition("#")
    return (file, int(page)) if mark and page.isdecimal() else (image, None)


def locate(folder: Path, image: str) -> tuple[Path, int | None]:
    """Return the file of an image of ``folder`` and its page, None where the file is the image."""
    file, page = split_page(image)
    return (folder / image, None) if (folder / image).exists() else (folder / file, page)


def ingest_folder(
    folder: Path,
    ingestion: IngestionParams,
    *,
    category: str,
    challenges: Collection[str] = (),
    known: Measurements | None = None,
    track: Track | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, Measurements, pd.DataFrame, pd.DataFrame]:
    """Read every file of a raw folder; return (manifest, quarantine, measurements, near_duplicates, data_notes).

    ``challenges`` are the SHA-256 of the challenge set's files, from which nothing may learn. Raise FlawlineError if
    the folder is not as wanted, or too little in it can be learned from."""
    listing = list_raw_folder(folder, ingestion, category=category)
    rows, quarantine, measurements = read_raw_files(
        folder, listing.files, max_pixels=ingestion.max_pixels, strict=ingestion.strict, layout=listing.layout,
        known=known, track=track,
    )  # fmt: skip
    rows, named = leave_out(rows, ingestion.leave_out)
    rows, apart, of_challenges = keep_apart(rows, challenges)
    rows, masks, like_masks = set_masks_aside(rows, measurements.table, told=listing.layout in EXPLICIT)
    rows, odd = drop_odd_sizes(rows, least_side=ingestion.least_side, sizes=ingestion.sizes)
    quarantine = pd.concat([quarantine, named, apart, masks, odd], ignore_index=True)
    near_duplicates = near_duplicates_of(rows, measurements)
    rows, quarantine, scale = settle_bits(rows, quarantine, measurements.table, ingestion.bits)
    manifest, quarantine = build_manifest(
        rows, quarantine, ingestion.splits, identical=ingestion.identical, near_duplicates=near_duplicates
    )
    seen = (*turned_photographs(rows, measurements), *doubtful_images(rows, measurements))
    said = notes_table([*listing.notes, *of_challenges, *like_masks, *scale, *seen])
    return manifest, quarantine, measurements, near_duplicates, said


def read_raw_files(
    folder: Path,
    files: Sequence[RawFile],
    *,
    max_pixels: int,
    strict: bool = True,
    layout: str = "",
    known: Measurements | None = None,
    track: Track | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, Measurements]:
    """Return (rows of COLUMNS, quarantine (path, reason), measurements). Splits are the data set's own.

    Every file is read and hashed once, on all cores, and decoded unless ``known`` has its content."""
    key = decoder_key(max_pixels, strict=strict)
    contents = known.by_content(key) if known is not None else {}
    read = partial(read_raw_file, folder, max_pixels=max_pixels, strict=strict, layout=layout, known=contents)
    rows: list[dict[str, Any]] = []
    quarantine: list[dict[str, str]] = []

    def measured() -> Iterator[Measured]:  # fills rows and quarantine on the way
        for each in (track or _untracked)(by_threads(read, files, workers=cores()), len(files)):
            rows.extend(each.rows)
            quarantine.extend(each.quarantine)
            yield from each.measured

    measurements = Measurements.of(measured(), key)
    table, same = _drop_same_names(pd.DataFrame(rows, columns=COLUMNS))
    return table, pd.DataFrame([*quarantine, *same], columns=["path", "reason"]), measurements


def build_manifest(
    rows: pd.DataFrame,
    quarantine: pd.DataFrame,
    splits: SplitParams,
    *,
    identical: str = "stop",
    near_duplicates: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every image a split; return (manifest, quarantine).

    Images of one group, identical and near-identical ones (``near_duplicates``) stay in one split; see
    ``settle_identical`` for those that the data set's own splits separate. An image of another depth than most normal
    ones is quarantined, since 8 and 16 bit are not comparable. Raise FlawlineError if too little is left to learn
    from."""
    rows, odd = drop_odd_depths(rows)
    rows, contrary = settle_identical(rows, identical)
    quarantine = pd.concat([quarantine, odd, contrary], ignore_index=True).sort_values("path", ignore_index=True)
    try:
        return assign_splits(rows, splits, near_duplicates), quarantine
    except FlawlineError as error:
        raise FlawlineError(f"{error} {_in_quarantine(quarantine)}") from None


def near_duplicates_of(rows: pd.DataFrame, measurements: Measurements) -> pd.DataFrame:
    """Return the pairs (image, duplicate, kind, likeness) of identical and near-identical images among ``rows``."""
    keys = list(zip(rows["sha256"], rows["page"], strict=True))
    where = measurements.places()
    measured = [where[key] for key in keys]  # rows of the measurements
    fingerprints = measurements.table["fingerprint"].iloc[measured].tolist()
    contents = [f"{digest}#{page}" for digest, page in keys]
    return find_near_duplicates(
        rows["image"].tolist(), contents, fingerprints, lambda i: measurements.thumbnails[measured[i]]
    )


def read_raw_file(folder: Path, file: RawFile, *, max_pixels: int, strict: bool, layout: str, known: Known) -> ReadFile:
    """Read and measure one file of a raw folder, with its mask; ``known`` holds earlier measurements, by content."""
    try:
        if UNTABLED.search(f"{file.path}{file.mask or ''}{file.group or ''}{file.defect}"):
            raise UnreadableImageError(NAMELESS)
        if file.unusable:
            raise UnreadableImageError(file.unusable)
        content = read_bytes(folder / file.path)
        digest = content_digest(content)
        pages = known.get(digest) or measure_file(content, digest, max_pixels=max_pixels, strict=strict)
        mask = read_mask_source(folder, file.mask, file.path) if file.mask else None
    except UnreadableImageError as error:
        return ReadFile([], [{"path": in_table(file.path), "reason": _reason(file, error)}], [])
    rows, quarantine, masks = [], [], []
    for page in pages:
        name = page_name(file.path, page.page)
        try:
            marks = (
                _check_mask(mask, page, file, max_pixels=max_pixels, known=known) if mask and not page.reason else None
            )
            rows.append(_row(name, file, page, marks, layout=layout, size=len(content)))
            masks += [marks] if marks else []
        except UnreadableImageError as error:
            quarantine.append({"path": name, "reason": _reason(file, error)})
    return ReadFile(rows, quarantine, [*pages, *masks])


def _row(name: str, file: RawFile, page: Measured, marks: Measured | None, *, layout: str, size: int) -> dict[str, Any]:
    """Return an image's row of the manifest; raise UnreadableImageError if it cannot be used."""
    if page.reason:
        raise UnreadableImageError(page.reason)
    label = file.label if file.label is not None else int(bool(marks and marks.marked))
    if label == 1 and file.label is None and file.split == "train":
        raise UnreadableImageError("is defective, but the data set trains on it: neither learned from nor tested on")
    return {
        "image": name, "page": page.page, "split": file.split, "label": label,
        "defect": file.defect if label else "good", "group": file.group or file.path,
        "mask": file.mask if label else None, "layout": layout,
        "channels": page.channels, "height": page.height, "width": page.width, "depth": page.depth, "bits": page.depth,
        "bytes": size, "sha256": page.sha256, "mask_sha256": marks.sha256 if marks and label else None,
    }  # fmt: skip


def _check_mask(mask: MaskSource, page: Measured, file: RawFile, *, max_pixels: int, known: Known) -> Measured:
    """Return what the mask marks; raise UnreadableImageError if it cannot be read, or marks nothing where it should."""
    size = (page.height, page.width)
    key = mask.key(size, page.page)
    marks = next(iter(known.get(key, ())), None)
    if marks is None:
        try:
            pixels = mask.pixels(size, page=page.page, max_pixels=max_pixels)
        except UnreadableImageError as error:
            raise _turned(error, mask, page, max_pixels=max_pixels) from error
        marks = Measured(key, format="mask", height=page.height, width=page.width, marked=int(pixels.sum()),
                         orientation=mask.orientation)  # fmt: skip
    if not marks.marked and file.label == 1:
        raise UnreadableImageError(f"its mask {mask.names[0]} marks no pixel, though the image counts as defective")
    if marks.marked and file.label == 0:
        raise UnreadableImageError(
            f"its mask {file.mask} marks {marks.marked} pixels, though the image counts as good; correct one of the two"
        )
    return marks


def _turned(error: UnreadableImageError, mask: MaskSource, page: Measured, *, max_pixels: int) -> UnreadableImageError:
    """Return ``error``, with what to do where the mask would fit if the photograph were not turned by EXIF."""
    if page.orientation not in SIDEWAYS:
        return error
    try:
        mask.pixels((page.width, page.height), page=page.page, max_pixels=max_pixels)
    except UnreadableImageError:
        return error
    return UnreadableImageError(
        f"{error} after its EXIF orientation ({page.orientation}) is applied: the mask was drawn on the photograph as "
        f"it was before; turn the mask too, or save the photograph without the orientation"
    )


def _reason(file: RawFile, error: UnreadableImageError) -> str:
    """Return why a file cannot be used. A file that neither its name nor its content calls an image gets no list of
    formats."""
    reason = str(error)
    named = ending_of(file.path) in SUFFIXES
    return "is not an image" if reason.startswith("is not an image") and not named else reason


def _drop_same_names(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Return (rows, quarantine) without files called ``stack.tif#2`` where stack.tif has a second page."""
    again = rows["image"].duplicated(keep=False) & (rows["page"] == 0)
    return rows[~again], [{"path": name, "reason": SAME_NAME} for name in rows.loc[again, "image"]]


def _untracked(items: Iterable[Any], total: int) -> Iterable[Any]:
    """Return ``items`` as they are, where nobody shows the progress."""
    return items


def _in_quarantine(quarantine: pd.DataFrame) -> str:
    """Return in a sentence how many files are in quarantine for which reasons, the most frequent first."""
    if quarantine.empty:
        return "No file is in quarantine."
    kinds = quarantine["reason"].map(lambda reason: PARTICULAR.sub("", reason))
    firsts = quarantine.groupby(kinds.to_numpy(), sort=False).first()
    counts = kinds.value_counts(sort=False)[firsts.index].sort_values(ascending=False, kind="stable")
    told = [f"{firsts['path'][kind]}: {firsts['reason'][kind]}" + f" (and {count - 1} like it)" * (count > 1)
            for kind, count in counts[:SHOWN].items()]  # fmt: skip
    more = f"; {counts[SHOWN:].sum()} for other reasons" if len(counts) > SHOWN else ""
    return f"In quarantine: {len(quarantine)} file{'s' * (len(quarantine) > 1)}: {'; '.join(told)}{more}."


def count_images(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the number of normal and defective images of each split, a row a split; unused ones where there are."""
    counts = manifest.groupby(["split", "label"]).size().unstack(fill_value=0)
    names = [*SPLITS, *([UNUSED] if UNUSED in counts.index else [])]
    counts = counts.reindex(index=names, columns=[0, 1], fill_value=0)
    return counts.rename(columns={0: "normal", 1: "defective"}).rename_axis("split").reset_index()


def rows_of(manifest: pd.DataFrame, splits: Sequence[str]) -> list[int]:
    """Return the positions of the manifest's rows in one of ``splits``."""
    return [int(i) for i in np.flatnonzero(manifest["split"].isin(list(splits)))]
