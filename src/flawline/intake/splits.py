"""The splits: which images are learned from, calibrated on and tested on, so that nothing leaks from one to another."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.params import SplitParams

SPLITS = ("train", "validation", "calibration", "test")  # in rising strictness: an image in doubt goes to the last
LEARNED = SPLITS[:3]  # those that have a part in what a detector becomes
UNUSED = "unused"
SHOWN = 10  # pairs named in an error


def assign_splits(rows: pd.DataFrame, splits: SplitParams, near_duplicates: pd.DataFrame | None = None) -> pd.DataFrame:
    """Fill in the splits that the data set leaves open; what it has itself stays.

    Defective images are test, or with ``splits.defective`` = held_out those whose group no other split uses, the rest
    unused. Of the normal ones, shares given by ``splits`` (at least one group each) are held out group-wise, in an
    order drawn from ``splits.seed``. Images of one ``group``, byte-identical ones and ``near_duplicates`` stay
    together; where the data set gives only some of them a split, the others follow to the strictest. Raise
    FlawlineError where there are too few images for that."""
    together = groups_of(rows, near_duplicates)
    split = _own_splits(rows, together).where(rows["label"] == 0, "test").astype(object)
    own = set(rows.loc[rows["label"] == 0, "split"].dropna())
    if (rows["split"] == "test").any():
        own.add("test")  # the data set has its own: its test images are the only ones
    shares = {name: getattr(splits, name) for name in ("test", "validation", "calibration") if name not in own}
    wanted = {name: share for name, share in shares.items() if share > 0}
    open_ = split.isna() | (split == "train")
    groups = _shuffled(together[open_], splits.seed)
    if len(groups) <= len(wanted):
        raise FlawlineError(
            f"too few normal images: wanted at least {len(wanted) + 1} different ones, one each for "
            f"{', '.join(['train', *wanted])}; got {len(groups)}. Add normal images."
        )
    held_out = _hold_out(groups, wanted)
    split[open_] = together[open_].map(lambda group: held_out.get(group, "train"))
    if splits.defective == "held_out":
        used = set(together[(rows["label"] == 0) & (split != "test")])
        split[(rows["label"] == 1) & together.isin(used)] = UNUSED
    return rows.assign(split=split).sort_values("image", ignore_index=True)


def assign_folds(
    rows: pd.DataFrame, folds: int, *, seed: int, near_duplicates: pd.DataFrame | None = None
) -> NDArray[np.int64]:
    """Return the fold (n,) of each image: at most ``folds``, about equally large, drawn from ``seed``. What belongs
    together, as `groups_of` tells it, is in one fold."""
    together = groups_of(rows, near_duplicates)
    groups = _shuffled(together, seed)
    fold_of = dict(zip(groups, np.arange(len(groups)) % folds, strict=True))
    return together.map(fold_of).to_numpy(np.int64)


def _own_splits(rows: pd.DataFrame, together: pd.Series) -> pd.Series:
    """Return the splits that the data set gives; a normal image without one gets the strictest of its group's."""
    own = rows.loc[(rows["label"] == 0) & rows["split"].notna(), "split"].map(SPLITS.index)
    strictest = own.groupby(together[own.index]).max().map(SPLITS.__getitem__)
    return rows["split"].where(rows["split"].notna(), together.map(strictest))


def groups_of(rows: pd.DataFrame, near_duplicates: pd.DataFrame | None = None) -> pd.Series:
    """Return for each image the name of the group that must stay together with it: the lowest digest in the group.

    A group holds images of one ``group``, of one ``sha256``, and pairs of ``near_duplicates`` (image, duplicate), and
    all that is tied to one of its images in the same way."""
    count = len(rows)
    item, items = pd.factorize(rows["group"].where(rows["group"].notna(), rows["image"]))
    content, contents = pd.factorize(rows["sha256"])
    row_of = pd.Series(range(count), rows["image"])
    pairs = pd.DataFrame(columns=["image", "duplicate"]) if near_duplicates is None else near_duplicates
    pairs = pairs[pairs["image"].isin(row_of.index) & pairs["duplicate"].isin(row_of.index)]
    images = np.arange(count)
    start = np.concatenate([images, images, row_of[pairs["image"]].to_numpy(int)])
    end = np.concatenate([count + item, count + len(items) + content, row_of[pairs["duplicate"]].to_numpy(int)])
    size = count + len(items) + len(contents)
    links = scipy.sparse.coo_array((np.ones(len(start), bool), (start, end)), shape=(size, size))
    _, component = scipy.sparse.csgraph.connected_components(links, directed=False)
    return rows["sha256"].groupby(component[:count]).transform("min")


def settle_identical(rows: pd.DataFrame, identical: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (rows, quarantine) in which no file is both normal and defective, and neither identical files nor images
    of one group are in two of the data set's own splits.

    A normal image that is identical to a defective one contradicts it and is quarantined. For normal images that the
    data set's own splits separate, raise FlawlineError with their names if ``identical`` is stop, else move all to the
    strictest of their splits."""
    rows, contrary = _drop_contradictions(rows)
    normal = rows[(rows["label"] == 0) & rows["split"].notna()]
    if identical == "stop":
        _refuse_separated(normal, normal["sha256"], "identical files")
        _refuse_separated(
            normal, normal["group"].where(normal["group"].notna(), normal["image"]), "images of one group"
        )
    strictest = _strictest(normal, groups_of(rows)[normal.index])
    moved = strictest.reindex(rows.index).combine_first(rows["split"])
    return rows.assign(split=moved.astype(object)), contrary


def _strictest(normal: pd.DataFrame, together: pd.Series) -> pd.Series:
    """Return for each image the strictest of the splits that the data set gives what belongs ``together``."""
    return normal["split"].map(SPLITS.index).groupby(together).transform("max").map(SPLITS.__getitem__)


def _refuse_separated(normal: pd.DataFrame, together: pd.Series, what: str) -> None:
    """Raise FlawlineError, naming the images, if images of one group (``together`` holds each row's) are in different
    splits of the data set."""
    apart = normal["split"] != _strictest(normal, together)
    if not apart.any():
        return
    strict = normal["image"][~apart].groupby(together).first()
    pairs = [f"{name} = {strict[together[row]]}" for row, name in normal["image"][apart].items()]
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    raise FlawlineError(
        f"the data set's own splits separate {what}: {'; '.join(pairs[:SHOWN])}{more}. Figures on them would be too "
        f"good. Remove one of each, or move all to the strictest: ingestion.identical=move"
    )


def _drop_contradictions(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (rows, quarantine) without the normal images that are identical to a defective one."""
    content = rows["sha256"] + "#" + rows["page"].astype(str)  # the pages of one file are different images
    defective = rows["image"].groupby(content[rows["label"] == 1]).first()
    contrary = (rows["label"] == 0) & content.isin(defective.index)
    reasons = "is identical to the defective image " + content[contrary].map(defective).astype(object)
    dropped = pd.DataFrame({"path": rows.loc[contrary, "image"], "reason": reasons}, columns=["path", "reason"])
    return rows[~contrary].reset_index(drop=True), dropped


def _shuffled(groups: pd.Series, seed: int) -> list[str]:
    """Return the names of the groups, each once, in an order drawn from ``seed``."""
    names = sorted(groups.unique())
    return [names[i] for i in np.random.default_rng(seed).permutation(len(names))]


def _hold_out(groups: Sequence[str], wanted: Mapping[str, float]) -> dict[str, str]:
    """Return the split of each group that is held out: the wanted share of all groups, and one at the very least."""
    held_out: dict[str, str] = {}
    for later, (name, share) in zip(range(len(wanted), 0, -1), wanted.items(), strict=True):
        rest = groups[len(held_out) :]
        count = min(max(1, round(share * len(groups))), len(rest) - later)  # leave one for each later split and train
        held_out |= dict.fromkeys(rest[:count], name)
    return held_out
