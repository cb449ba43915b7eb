"""The manifest: a row an image with its split, and the quarantine: files that cannot be used, with the reason."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from flawline.checks import FlawlineError
from flawline.params import SplitParams
from flawline.vision.decoding import UnreadableImageError, is_image_like, read_mask, read_photograph
from flawline.vision.layouts import RawFile

COLUMNS = ["image", "split", "label", "defect", "mask", "channels", "height", "width", "depth", "bytes", "sha256"]
NAMELESS = "its name holds characters that a table cannot; rename it"
SPLITS = ("train", "validation", "calibration", "test")
UNTABLED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, bytes that are not UTF-8


def in_table(name: str) -> str:
    """Return a file's name with what a table cannot hold (control characters, other bytes) escaped."""
    return UNTABLED.sub(lambda match: ascii(match[0])[1:-1], name)


def read_raw_files(folder: Path, files: Iterable[RawFile], *, max_pixels: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every file once; return (rows of COLUMNS, quarantine (path, reason)). Splits are the data set's own."""
    rows, quarantine = [], []
    for file in files:
        try:
            rows.append(_row(folder, file, max_pixels=max_pixels))
        except UnreadableImageError as error:
            quarantine.append({"path": in_table(file.path), "reason": str(error)})
    return pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(quarantine, columns=["path", "reason"])


def build_manifest(
    rows: pd.DataFrame, quarantine: pd.DataFrame, splits: SplitParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every image a split; return (manifest, quarantine).

    Byte-identical normal images stay in one split. A normal image that is identical to one that the data set itself
    holds out is quarantined, since it would leak, and so is an image of another depth than most normal ones, since 8
    and 16 bit are not comparable. Raise FlawlineError if too little is left to learn from."""
    rows, odd = _drop_odd_depths(rows)
    rows, leaked = _drop_leaks(rows)
    quarantine = pd.concat([quarantine, odd, leaked], ignore_index=True).sort_values("path", ignore_index=True)
    try:
        return assign_splits(rows, splits), quarantine
    except FlawlineError as error:
        raise FlawlineError(f"{error} {_in_quarantine(quarantine)}") from None


def assign_splits(rows: pd.DataFrame, splits: SplitParams) -> pd.DataFrame:
    """Fill in the splits that the data set leaves open; what it has itself stays.

    Defective images are test. Of the normal ones, shares given by ``splits`` (at least one group each) are held out
    group-wise, in an order drawn from ``splits.seed``. Raise FlawlineError where there are too few images for that."""
    split = rows["split"].where(rows["label"] == 0, "test").astype(object)
    own = set(rows.loc[rows["label"] == 0, "split"].dropna())
    if rows["split"].notna().any():
        own.add("test")  # the data set has splits of its own: its test images are the only ones
    shares = {name: getattr(splits, name) for name in ("test", "validation", "calibration") if name not in own}
    wanted = {name: share for name, share in shares.items() if share > 0}
    open_ = split.isna() | (split == "train")
    groups = _shuffled_groups(rows.loc[open_, "sha256"], splits.seed)
    if len(groups) <= len(wanted):
        raise FlawlineError(
            f"too few normal images: wanted at least {len(wanted) + 1} different ones, one each for "
            f"{', '.join(['train', *wanted])}; got {len(groups)}. Add normal images."
        )
    held_out = _hold_out(groups, wanted)
    split[open_] = rows.loc[open_, "sha256"].map(lambda digest: held_out.get(digest, "train"))
    return rows.assign(split=split).sort_values("image", ignore_index=True)


def _shuffled_groups(digests: pd.Series, seed: int) -> list[str]:
    groups = sorted(digests.unique())
    return [groups[i] for i in np.random.default_rng(seed).permutation(len(groups))]


def _hold_out(groups: Sequence[str], wanted: Mapping[str, float]) -> dict[str, str]:
    """Return the split of each group that is held out: the wanted share of all groups, and one at the very least."""
    held_out: dict[str, str] = {}
    for later, (name, share) in zip(range(len(wanted), 0, -1), wanted.items(), strict=True):
        rest = groups[len(held_out) :]
        count = min(max(1, round(share * len(groups))), len(rest) - later)  # leave one for each later split and train
        held_out |= dict.fromkeys(rest[:count], name)
    return held_out


def _drop_odd_depths(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    normal = rows[rows["label"] == 0]
    usual = (rows if normal.empty else normal)["depth"].mode().max()
    odd = rows["depth"] != usual
    reasons = rows.loc[odd, "depth"].map(lambda depth: f"has {depth} bits a channel; most normal images have {usual}")
    dropped = pd.DataFrame({"path": rows.loc[odd, "image"], "reason": reasons}, columns=["path", "reason"])
    return rows[~odd].reset_index(drop=True), dropped


def _drop_leaks(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take out the normal images that are identical to one which the data set holds out more strictly."""
    split = rows["split"].where(rows["label"] == 0, "test").astype(object)
    strictness = split.map(lambda name: SPLITS.index(name) if name in SPLITS else 0).astype(int)
    order = strictness.sort_values(ascending=False, kind="stable").index
    keeper = pd.Series(order, rows.loc[order, "sha256"]).groupby(level=0).first()
    kept = rows["sha256"].map(keeper).astype(int)  # the row of the strictest image with the same content
    leaks = strictness < strictness.loc[kept].to_numpy()
    twins = kept[leaks]
    reasons = "is identical to the " + split[twins].to_numpy() + " image " + rows.loc[twins, "image"].to_numpy()
    leaked = pd.DataFrame({"path": rows.loc[leaks, "image"], "reason": reasons}, columns=["path", "reason"])
    return rows[~leaks].reset_index(drop=True), leaked


def _row(folder: Path, file: RawFile, *, max_pixels: int) -> dict:
    path = folder / file.path
    if UNTABLED.search(f"{file.path}{file.mask or ''}"):
        raise UnreadableImageError(NAMELESS)
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


def _in_quarantine(quarantine: pd.DataFrame) -> str:
    if quarantine.empty:
        return "No file is in quarantine."
    first = quarantine.iloc[0]
    return f"Files in quarantine: {len(quarantine)}, the first: {first['path']} {first['reason']}."


def count_images(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the number of normal and defective images of each split, a row a split."""
    counts = manifest.groupby(["split", "label"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=list(SPLITS), columns=[0, 1], fill_value=0)
    return counts.rename(columns={0: "normal", 1: "defective"}).rename_axis("split").reset_index()


def rows_of(manifest: pd.DataFrame, splits: Sequence[str]) -> list[int]:
    """Return the positions of the manifest's rows in one of ``splits``."""
    return [int(i) for i in np.flatnonzero(manifest["split"].isin(list(splits)))]
