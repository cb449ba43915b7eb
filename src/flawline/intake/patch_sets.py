"""Patch sets: small patches of photographs in the place of images, as papers on textures measure.

Patches lie on a grid without overlap, so no two share a pixel. Labels come from the masks. Which patches are learned
from and which are tested on is a protocol; `PROTOCOLS` has them all.
Source: Alpdemir 2022, sections 4.2 and 4.3; what its figures are made of, docs/papers/alpdemir2022.md."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.intake.manifest import rows_of
from flawline.intake.splits import SPLITS, groups_of
from flawline.params import PatchSetParams
from flawline.storage.ragged import Lazy
from flawline.vision.levels import grey_levels

LEAST_SPREAD = 1.0  # grey levels: a window of less deviation shows no material
NORMAL, DEFECTIVE, NEITHER = 0, 1, -1
# Alpdemir's public code (nedima68/PseudoSupervisedAnomalyDetection) numbers its 1,600 normal patches; it learns from
# those from 480 on, and tests on those from 840 to 1,199. Of another number of patches, the same shares.
PUBLISHED, PUBLISHED_LEARNED, PUBLISHED_TESTED = 1600, 480, (840, 1200)

Split = Callable[[pd.DataFrame, PatchSetParams, np.random.Generator], pd.DataFrame]


def make_patch_set(
    images: Sequence[NDArray], masks: Sequence[NDArray], manifest: pd.DataFrame, params: PatchSetParams, *,
    protocol: str, near_duplicates: pd.DataFrame | None = None,
) -> tuple[Lazy, Lazy, pd.DataFrame]:  # fmt: skip
    """Return (patches (C, s, s), their masks (s, s) bool, empty (0, 0) of normal ones, a manifest with a row a patch).

    ``images`` (C, H, W) and ``masks`` (H, W), empty where there is none, are those of ``manifest``, which has a row an
    image. Each row of the result is its image's, with ``group``, which near-duplicate images share, ``source``, the
    image's name, ``y`` and ``x`` of the patch, and ``mask_share``. Raise FlawlineError if there are fewer patches than
    asked for, or none that shows material."""
    found = candidates(images, masks, manifest, params)
    together = groups_of(manifest, near_duplicates)
    found = found.assign(group=together.to_numpy()[found["row"]], defective_image=_labels(manifest, found) == DEFECTIVE)
    chosen = PROTOCOLS[protocol](found, params, np.random.default_rng(params.seed))
    chosen = chosen.sort_values(["row", "y", "x", "split"], ignore_index=True)  # an image after the other
    windows = chosen[["row", "y", "x"]].to_numpy()
    size, image_of, mask_of = params.size, lru_cache(1)(images.__getitem__), lru_cache(1)(masks.__getitem__)

    def patch(i: int) -> NDArray:
        row, y, x = windows[i]
        return np.array(image_of(row)[:, y : y + size, x : x + size])

    def mask(i: int) -> NDArray[np.bool_]:
        row, y, x = windows[i]
        return mask_of(row)[y : y + size, x : x + size] if chosen["label"][i] else np.zeros((0, 0), bool)

    return Lazy(len(chosen), patch), Lazy(len(chosen), mask), patch_manifest(manifest, chosen, size)


def patch_manifest(manifest: pd.DataFrame, chosen: pd.DataFrame, size: int) -> pd.DataFrame:
    """Return the manifest (a row a patch) of the ``chosen`` windows of the images of ``manifest``."""
    rows = manifest.iloc[chosen["row"]].reset_index(drop=True)
    names = [f"{name}[{y},{x}]" for name, y, x in zip(rows["image"], chosen["y"], chosen["x"], strict=True)]
    twice = chosen.duplicated(["row", "y", "x"])  # only as published: learned from and tested on
    image = pd.Series(names).where(~twice, pd.Series(names) + "+")
    normal = chosen["label"] == NORMAL
    return rows.assign(
        source=rows["image"], group=chosen["group"], image=image, y=chosen["y"], x=chosen["x"], height=size, width=size,
        label=chosen["label"], defect=rows["defect"].where(~normal, "good"), mask=rows["mask"].where(~normal),
        split=chosen["split"], planned=chosen["split"], mask_share=chosen["defective"] / size**2,
    )  # fmt: skip


def are_patches(manifest: pd.DataFrame) -> bool:
    """Return True if the rows of a manifest are patches, cut from photographs whose ends and brightness are settled."""
    return "source" in manifest


# --- which windows there are -----------------------------------------------------------------------------------------
def candidates(
    images: Sequence[NDArray], masks: Sequence[NDArray], manifest: pd.DataFrame, params: PatchSetParams
) -> pd.DataFrame:
    """Return the windows of all images that are normal or defective: row (of the manifest), y, x, defective (pixels),
    label.

    A window is defective from ``least_pixels`` and ``least_share`` on, normal if the mask marks none of its pixels and
    it shows material, that is, is not of one even grey. Of a defective image without a mask nobody knows which windows
    are."""
    usable = rows_of(manifest, SPLITS)
    tables = [_windows_of(row, images[row], masks[row], int(manifest["label"].iloc[row]), params) for row in usable]
    found = pd.concat(tables, ignore_index=True)
    found = found[found["label"] != NEITHER].reset_index(drop=True)
    if not (found["label"] == NORMAL).any():
        raise FlawlineError(
            f"no window of {params.size} x {params.size} pixels of {len(usable)} images shows material without a "
            f"defect: they are smaller, of one even grey (bare background), or marked as defective. Give photographs "
            f"of the material, or set patch_set.size to less."
        )
    return found


def _windows_of(row: int, image: NDArray, mask: NDArray, label: int, params: PatchSetParams) -> pd.DataFrame:
    size = params.size
    rows, columns = (length // size for length in image.shape[1:])
    spread = _blocks(grey_levels(image), size).std(axis=(2, 3)).ravel()  # (n,)
    known = label == NORMAL or mask.size > 0
    marked = _blocks(mask, size).sum(axis=(2, 3)).ravel() if mask.size else np.zeros(rows * columns, int)
    least = max(params.least_pixels, int(np.ceil(params.least_share * size**2)))
    kind = np.where(marked >= least, DEFECTIVE, np.where((marked == 0) & (spread >= LEAST_SPREAD), NORMAL, NEITHER))
    y, x = np.divmod(np.arange(rows * columns), max(columns, 1))
    table = pd.DataFrame({"row": row, "y": y * size, "x": x * size, "defective": marked, "label": kind})
    return table if known else table.assign(label=NEITHER)


def _blocks(plane: NDArray, size: int) -> NDArray:
    """Return the windows (h, w, size, size) of a plane (H, W) side by side; what is left at the ends is left out."""
    rows, columns = (length // size for length in plane.shape)
    return plane[: rows * size, : columns * size].reshape(rows, size, columns, size).swapaxes(1, 2)


def _labels(manifest: pd.DataFrame, found: pd.DataFrame) -> NDArray[np.int64]:
    return manifest["label"].to_numpy()[found["row"]]


# --- protocols -------------------------------------------------------------------------------------------------------
def leak_free(found: pd.DataFrame, params: PatchSetParams, generator: np.random.Generator) -> pd.DataFrame:
    """Patches of one image, and images of one group, are on one side: learned from, calibrated on or tested on.

    Normal images and defective ones are divided alike, so that normal patches of both kinds are on every side: the
    clean parts of a defective image are learned from where its defects are not tested on. Validation patches are of
    the images that are learned from, since they only stop a training."""
    tested, calibrated = _hold_out_groups(found, params, generator)
    counts = params.counts()
    normal = found[found["label"] == NORMAL]
    sides = {
        "test": normal[normal["group"].isin(tested)],
        "calibration": normal[normal["group"].isin(calibrated)],
        "learned": normal[~normal["group"].isin(tested | calibrated)],
    }
    wanted = {
        "test": counts["test"],
        "calibration": counts["calibration"],
        "learned": counts["train"] + counts["validation"],
    }
    drawn = {name: _draw(side, wanted[name], generator, f"of {_told(name)}") for name, side in sides.items()}
    learned = drawn.pop("learned")
    parts = [
        learned[: counts["train"]].assign(split="train"),
        learned[counts["train"] :].assign(split="validation"),
        *(part.assign(split=name) for name, part in drawn.items()),
        found[(found["label"] == DEFECTIVE) & found["group"].isin(tested)].assign(split="test"),
    ]
    return pd.concat(parts)


def within_images(found: pd.DataFrame, params: PatchSetParams, generator: np.random.Generator) -> pd.DataFrame:
    """Patches are divided, images are not: no patch is on two sides, but patches of one image are.

    So it is known beforehand how every image looks; new images are harder (`leak_free`)."""
    counts = params.counts()
    drawn = _draw(found[found["label"] == NORMAL], sum(counts.values()), generator, "of all images")
    split = np.repeat(list(counts), list(counts.values()))
    return pd.concat([drawn.assign(split=split), found[found["label"] == DEFECTIVE].assign(split="test")])


def as_published(found: pd.DataFrame, params: PatchSetParams, generator: np.random.Generator) -> pd.DataFrame:
    """The splits of Alpdemir's public code: normal patches are the clean parts of the defective images alone, and the
    normal patches that are tested on were learned from. Figures of it say how well patches are remembered.

    Validation and calibration are of the patches that it uses for neither."""
    clean = found[(found["label"] == NORMAL) & found["defective_image"]]
    drawn = _draw(clean, params.normal, generator, "of the defective images")
    learned, tested, test_end = (
        round(number * params.normal / PUBLISHED) for number in (PUBLISHED_LEARNED, *PUBLISHED_TESTED)
    )
    unused = drawn[:learned]
    validation = round(len(unused) / 3)
    if not 0 < validation < len(unused):
        raise FlawlineError(
            f"the protocol as_published needs normal patches to learn from, to validate, to calibrate and to test on; "
            f"patch_set.normal must be at least 5, got {params.normal}"
        )
    return pd.concat([
        drawn[learned:].assign(split="train"),
        unused[:validation].assign(split="validation"),
        unused[validation:].assign(split="calibration"),
        drawn[tested:test_end].assign(split="test"),
        found[found["label"] == DEFECTIVE].assign(split="test"),
    ])  # fmt: skip


PROTOCOLS: dict[str, Split] = {"leak_free": leak_free, "within_images": within_images, "as_published": as_published}


def _hold_out_groups(
    found: pd.DataFrame, params: PatchSetParams, generator: np.random.Generator
) -> tuple[set[str], set[str]]:
    """Return the groups of images that are tested on and those that are calibrated on: of the groups with a defective
    image and of the others the wanted shares, at least one for the test where there are two, and one for calibration
    where there are three."""
    tested: set[str] = set()
    calibrated: set[str] = set()
    for names in _kinds(found):
        order = [names[i] for i in generator.permutation(len(names))]
        tests = _share_of(len(order), params.test, spare=1)
        calibrations = _share_of(len(order) - tests, params.calibration, spare=1)
        tested |= set(order[:tests])
        calibrated |= set(order[tests : tests + calibrations])
    if not tested or not calibrated:
        groups = found["group"].nunique()
        raise FlawlineError(
            f"the protocol leak_free needs at least 3 images (groups) to learn from, calibrate and test on; got "
            f"{groups}. Add images, or divide patches instead of images: protocol=within_images"
        )
    return tested, calibrated


def _kinds(found: pd.DataFrame) -> list[list[str]]:
    """Return the names of the groups without a defective image, and of those with one; all together where neither are
    enough for three sides."""
    defective = found.groupby("group")["defective_image"].any()
    kinds = [sorted(defective.index[defective == kind]) for kind in (False, True)]
    return kinds if max(map(len, kinds)) > 2 else [sorted(defective.index)]


def _share_of(count: int, share: float, *, spare: int) -> int:
    """Return ``share`` of ``count``, at least one, but leave ``spare`` at the least."""
    return max(0, min(max(1, round(share * count)), count - spare))


def _draw(found: pd.DataFrame, count: int, generator: np.random.Generator, whose: str) -> pd.DataFrame:
    """Return ``count`` windows drawn at random. Raise FlawlineError if there are fewer."""
    if len(found) < count:
        raise FlawlineError(
            f"patch_set.normal asks for {count} normal patches {whose}, there are {len(found)}. Set patch_set.normal "
            f"or patch_set.size to less, or add photographs."
        )
    return found.iloc[generator.permutation(len(found))[:count]]


def _told(side: str) -> str:
    names = {"test": "the images that are tested on", "calibration": "the images that are calibrated on"}
    return names.get(side, "the images that are learned from")
