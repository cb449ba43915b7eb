"""The manifest: a row an image with its split, and the quarantine: files that cannot be used, with the reason."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from flawline.checks import FlawlineError
from flawline.params import SplitParams
from flawline.vision.decoding import UnreadableImageError, is_image_like, read_mask, read_photograph
from flawline.vision.layouts import RawFile

COLUMNS = ["image", "split", "label", "defect", "mask", "channels", "height", "width", "depth", "bytes", "sha256"]
SPLITS = ("train", "validation", "calibration", "test")


def read_raw_files(folder: Path, files: Iterable[RawFile], *, max_pixels: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every file once; return (rows of COLUMNS, quarantine (path, reason)). Splits are the data set's own."""
    rows, quarantine = [], []
    for file in files:
        try:
            rows.append(_row(folder, file, max_pixels=max_pixels))
        except UnreadableImageError as error:
            quarantine.append({"path": file.path, "reason": str(error)})
    return pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(quarantine, columns=["path", "reason"])


def build_manifest(
    rows: pd.DataFrame, quarantine: pd.DataFrame, splits: SplitParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every image a split; return (manifest, quarantine).

    Byte-identical normal images stay in one split. A normal image that is identical to one in the data set's own
    test split is quarantined, since it would leak. Raise FlawlineError if nothing is left to learn from."""
    rows, leaked = _drop_leaks(rows)
    manifest = assign_splits(rows, splits)
    if not (manifest["split"] == "train").any():
        raise FlawlineError(
            f"no normal image left to learn from: {len(quarantine) + len(leaked)} files are in quarantine "
            f"(first: {_first_reason(quarantine)})"
        )
    return manifest, pd.concat([quarantine, leaked], ignore_index=True).sort_values("path", ignore_index=True)


def assign_splits(rows: pd.DataFrame, splits: SplitParams) -> pd.DataFrame:
    """Fill in the splits that the data set leaves open; what it has itself stays.

    Defective images are test. Of the normal ones, shares given by ``splits`` (at least one group each) are held out
    group-wise, in an order drawn from ``splits.seed``. Raise FlawlineError where there are too few images for that."""
    split = rows["split"].where(rows["label"] == 0, "test").astype(object)
    own = set(split.dropna())
    open_ = rows.index[split.isna() | (split == "train")]
    wanted = {name: getattr(splits, name) for name in ("test", "validation", "calibration") if name not in own}
    if rows["split"].notna().any():
        wanted.pop("test", None)  # the data set has splits of its own: its test images are the only ones
    groups = _shuffled_groups(rows.loc[open_, "sha256"], splits.seed)
    if len(groups) <= len(wanted):
        raise FlawlineError(
            f"too few different normal images: {len(groups)} must fill train, {', '.join(wanted)}; "
            f"wanted at least {len(wanted) + 1}"
        )
    split[open_] = "train"
    for name, share in wanted.items():
        count = max(1, round(share * len(groups))) if share else 0
        held, groups = groups[:count], groups[count:]
        split[rows.index[rows["sha256"].isin(held) & rows.index.isin(open_)]] = name
    return rows.assign(split=split).sort_values("image", ignore_index=True)


def _shuffled_groups(digests: pd.Series, seed: int) -> list[str]:
    groups = sorted(digests.unique())
    return [groups[i] for i in np.random.default_rng(seed).permutation(len(groups))]


def _drop_leaks(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    tests = rows[(rows["split"] == "test") | (rows["label"] == 1)].drop_duplicates("sha256")
    names = tests.set_index("sha256")["image"]
    leaks = (rows["split"] != "test") & (rows["label"] == 0) & rows["sha256"].isin(names.index)
    reasons = "is identical to the test image " + rows.loc[leaks, "sha256"].map(names).astype(str)
    leaked = pd.DataFrame({"path": rows.loc[leaks, "image"], "reason": reasons}, columns=["path", "reason"])
    return rows[~leaks].reset_index(drop=True), leaked


def _row(folder: Path, file: RawFile, *, max_pixels: int) -> dict:
    path = folder / file.path
    if not is_image_like(path):
        raise UnreadableImageError("is not an image")
    photo = read_photograph(path, max_pixels=max_pixels)
    channels, height, width = photo.pixels.shape
    if file.mask is not None:
        _check_mask(folder / file.mask, (height, width), max_pixels=max_pixels)
    return {
        "image": file.path, "split": file.split, "label": file.label, "defect": file.defect, "mask": file.mask,
        "channels": channels, "height": height, "width": width, "depth": 8 * photo.pixels.itemsize,
        "bytes": photo.size, "sha256": photo.sha256,
    }  # fmt: skip


def _check_mask(path: Path, size: tuple[int, int], *, max_pixels: int) -> None:
    try:
        mask = read_mask(path, max_pixels=max_pixels)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its mask {path.name} {error}") from error
    if mask.shape != size:
        raise UnreadableImageError(
            f"its mask {path.name} has size {mask.shape[0]} x {mask.shape[1]}, the image {size[0]} x {size[1]}"
        )
    if not mask.any():
        raise UnreadableImageError(f"its mask {path.name} marks no pixel, though the image counts as defective")


def _first_reason(quarantine: pd.DataFrame) -> str:
    if quarantine.empty:
        return "none"
    first = quarantine.iloc[0]
    return f"{first['path']} {first['reason']}"


def count_images(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the number of normal and defective images of each split, a row a split."""
    counts = manifest.groupby(["split", "label"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=list(SPLITS), columns=[0, 1], fill_value=0)
    return counts.rename(columns={0: "normal", 1: "defective"}).rename_axis("split").reset_index()


def rows_of(manifest: pd.DataFrame, splits: Sequence[str]) -> list[int]:
    """Return the positions of the manifest's rows in one of ``splits``."""
    return [int(i) for i in np.flatnonzero(manifest["split"].isin(list(splits)))]
