"""Bring every image of the manifest into one frame and one store. For now the frame is the image's own."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.vision.decoding import UnreadableImageError, decode, read_bytes, read_mask
from flawline.vision.ragged import Lazy

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow converts RGB to grey


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


def registered_images(manifest: pd.DataFrame, folder: Path, *, color: str, max_pixels: int) -> Lazy:
    """Return the images (C, H, W) of the manifest, decoded one at a time when asked for."""
    channels = common_channels(manifest, color)
    rows = manifest[["image", "sha256"]].to_dict("records")
    return Lazy(len(rows), lambda i: to_channels(_decode_row(folder, **rows[i], max_pixels=max_pixels), channels))


def registered_masks(manifest: pd.DataFrame, folder: Path, *, max_pixels: int) -> Lazy:
    """Return the masks (H, W) bool of the manifest's images; empty (0, 0) where there is none."""
    rows = manifest[["mask", "height", "width"]].to_dict("records")
    return Lazy(len(rows), lambda i: _mask_of_row(folder, **rows[i], max_pixels=max_pixels))


def identity_alignment(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the transform of each image: no rotation (degrees), no shift (pixels), scale 1, quality 1."""
    return manifest[["image"]].assign(angle=0.0, shift_y=0.0, shift_x=0.0, scale=1.0, quality=1.0, aligned=True)


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


def _decode_row(folder: Path, image: str, sha256: str, *, max_pixels: int) -> NDArray:
    try:
        content = read_bytes(folder / image)
    except UnreadableImageError as error:
        raise _changed(folder / image, str(error)) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _changed(folder / image, "other content")
    return decode(content, max_pixels=max_pixels)


def _mask_of_row(folder: Path, mask: object, height: int, width: int, *, max_pixels: int) -> NDArray[np.bool_]:
    if not isinstance(mask, str):
        return np.zeros((0, 0), bool)
    try:
        pixels = read_mask(folder / mask, max_pixels=max_pixels)
    except UnreadableImageError as error:
        raise _changed(folder / mask, str(error)) from None
    if pixels.shape != (height, width):
        raise _changed(folder / mask, f"{pixels.shape[0]} x {pixels.shape[1]} pixels, were {height} x {width}")
    return pixels


def _changed(path: Path, how: str) -> FlawlineError:
    return FlawlineError(f"{path} has changed since ingestion. Run the ingestion again ({how}).")
