"""Bring every image of the manifest into one frame and one store.

For now the frame is the image's own; of a strip, the bare ends are cut off."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.params import RegistrationParams
from flawline.vision.decoding import UnreadableImageError, decode, read_bytes
from flawline.vision.manifest import file_of
from flawline.vision.masks import read_mask_source
from flawline.vision.measuring import LUMA, decoder_key
from flawline.vision.ragged import Lazy, RaggedArray
from flawline.vision.strips import material_span


def common_channels(manifest: pd.DataFrame, color: str) -> int:
    """Return the channels of every registered image: 1 for grey, 3 for RGB; 'auto' is grey if all images are."""
    if color == "auto":
        return int(manifest["channels"].max())
    return 1 if color == "grey" else 3


def to_channels(image: NDArray, channels: int) -> NDArray:
    """Convert ``image`` (C, H, W) to ``channels``, keeping its type: grey is repeated, RGB weighted by BT.601."""
    if image.shape[0] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=0)  # (3, H, W)
    grey = np.tensordot(LUMA, image.astype(np.float64), axes=1)[None]  # (1, H, W)
    return np.rint(grey).astype(image.dtype)


@dataclass(frozen=True)
class Registered:
    """All that a registration stores."""

    images: RaggedArray
    masks: RaggedArray
    alignment: pd.DataFrame

    def is_made_from(self, key: str) -> bool:
        """Return True if images and masks carry this key and are what was written; reads them whole if they do."""
        return all(each.key == key for each in (self.images, self.masks)) and (
            self.images.is_intact() and self.masks.is_intact()
        )


def registration_key(
    manifest: pd.DataFrame, alignment: pd.DataFrame, registration: RegistrationParams, max_pixels: int
) -> str:
    """Return a digest of all that registered images and masks are made from: files, masks, alignment, parameters and
    decoders."""
    rows = manifest[["image", "page", "mask", "layout", "channels", "sha256", "mask_sha256"]].to_csv(index=False)
    made_by = f"{registration.model_dump_json()} {decoder_key(max_pixels)}"
    return hashlib.sha256(f"{rows}{alignment.to_csv(index=False)}{made_by}".encode()).hexdigest()


def cuts_ends(manifest: pd.DataFrame, trim_ends: bool | str) -> bool:
    """Return True if bare background and selvedge are cut off; 'auto' does so for strips of the layout aitex."""
    return bool((manifest["layout"] == "aitex").all()) if trim_ends == "auto" else bool(trim_ends)


def find_alignment(manifest: pd.DataFrame, folder: Path, *, cut: bool, max_pixels: int) -> pd.DataFrame:
    """Return the transform of each image: no rotation (degrees), no shift (pixels), scale 1, quality 1; the columns
    kept (``left`` to before ``right``), all of them unless ``cut``; and the defective pixels in what is cut off."""
    table = manifest[["image"]].assign(
        angle=0.0, shift_y=0.0, shift_x=0.0, scale=1.0, quality=1.0, aligned=True,
        left=0, right=manifest["width"], defect_cut=0,
    )  # fmt: skip
    if not cut:
        return table
    spans = [material_span(_decode_row(folder, row, max_pixels=max_pixels)) for row in _records(manifest)]
    table[["left", "right"]] = spans
    lost = [_defect_outside(_mask_of_row(folder, row, max_pixels=max_pixels), *span)
            for row, span in zip(_records(manifest), spans, strict=True)]  # fmt: skip
    return table.assign(defect_cut=lost)


def registered_images(
    manifest: pd.DataFrame, folder: Path, alignment: pd.DataFrame, *, color: str, max_pixels: int
) -> Lazy:
    """Return the images (C, H, W) of the manifest, decoded one at a time when asked for."""
    channels = common_channels(manifest, color)
    rows, spans = _records(manifest), _spans(alignment)

    def make(i: int) -> NDArray:
        image = _decode_row(folder, rows[i], max_pixels=max_pixels)
        return to_channels(image[..., slice(*spans[i])], channels)

    return Lazy(len(rows), make)


def registered_masks(manifest: pd.DataFrame, folder: Path, alignment: pd.DataFrame, *, max_pixels: int) -> Lazy:
    """Return the masks (H, W) bool of the manifest's images; empty (0, 0) where there is none, or all was cut off."""
    rows, spans = _records(manifest), _spans(alignment)

    def make(i: int) -> NDArray[np.bool_]:
        mask = _mask_of_row(folder, rows[i], max_pixels=max_pixels)[:, slice(*spans[i])]
        return mask if mask.any() else np.zeros((0, 0), bool)

    return Lazy(len(rows), make)


def _records(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    return manifest[["image", "page", "sha256", "mask", "mask_sha256", "height", "width"]].to_dict("records")


def _spans(alignment: pd.DataFrame) -> list[tuple[int, int]]:
    return list(zip(alignment["left"], alignment["right"], strict=True))


def _defect_outside(mask: NDArray[np.bool_], left: int, right: int) -> int:
    return int(mask.sum() - mask[:, left:right].sum())


def check_space(folder: Path, manifest: pd.DataFrame, channels: int) -> None:
    """Raise FlawlineError if the disk of ``folder`` has no room for the images and masks of the manifest."""
    pixels = manifest["height"].astype(np.int64) * manifest["width"]
    needed = int((pixels * (channels * manifest["depth"] // 8 + manifest["mask"].notna())).sum())
    free = shutil.disk_usage(next(home for home in (folder, *folder.absolute().parents) if home.exists())).free
    if free < needed:
        raise FlawlineError(
            f"the disk of {folder} is too full: {len(manifest)} images need {needed / 1e6:.0f} MB, "
            f"{free / 1e6:.0f} MB are free. Make room, or link data/ to a larger disk."
        )


def _decode_row(folder: Path, row: Mapping[str, Any], *, max_pixels: int) -> NDArray:
    path = folder / file_of(row["image"], row["page"])
    try:
        content = read_bytes(path)
    except UnreadableImageError as error:
        raise _changed(path, str(error)) from None
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise _changed(path, "other content")
    return decode(content, max_pixels=max_pixels, page=row["page"] or None)


def _mask_of_row(folder: Path, row: Mapping[str, Any], *, max_pixels: int) -> NDArray[np.bool_]:
    if not isinstance(row["mask"], str):
        return np.zeros((0, 0), bool)
    size = (int(row["height"]), int(row["width"]))
    try:
        source = read_mask_source(folder, row["mask"], file_of(row["image"], row["page"]))
        if source.key(size, row["page"]) != row["mask_sha256"]:
            raise _changed(folder / row["mask"], "other content")
        return source.pixels(size, max_pixels=max_pixels, page=row["page"])
    except UnreadableImageError as error:
        raise _changed(folder / row["mask"], str(error)) from None


def _changed(path: Path, how: str) -> FlawlineError:
    return FlawlineError(f"{path} has changed since ingestion. Run the ingestion again ({how}).")
