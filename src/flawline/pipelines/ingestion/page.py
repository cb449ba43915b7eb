"""What the page of an ingestion is made of: counts, small pictures, near-duplicates, cautions, sentences."""

from collections.abc import Mapping
from datetime import UTC, datetime
from platform import platform

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from flawline import __version__
from flawline.intake.manifest import count_images
from flawline.intake.measuring import SIDE, Measurements
from flawline.intake.near_duplicates import contradicting, leaking
from flawline.intake.splits import SPLITS, UNUSED
from flawline.metrics.shortcuts import features_of, sentences
from flawline.params import IngestionParams, flatten
from flawline.report import DataPage, Thumbnail

SHOWN = 8  # thumbnails a group
PAIRS = 12  # pairs with pictures
FULL = 0.9  # share of an image that no defect covers
SLIMMEST = 8  # longer side over shorter, of a small picture


def data_page(
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    measurements: Measurements,
    near_duplicates: pd.DataFrame,
    shortcuts: pd.DataFrame,
    *,
    folder: str,
    category: str,
    ingestion: IngestionParams,
    run: Mapping[str, str],
) -> DataPage:
    """Gather all that the page shows."""
    pairs = with_splits(near_duplicates, manifest)
    pictures = small_pictures(manifest, measurements)
    layout = str(manifest["layout"].iloc[0])
    worst = pairs.assign(apart=pairs["split"] != pairs["duplicate_split"]).sort_values(
        "apart", ascending=False, kind="stable"
    )
    shown = pd.unique(worst[["image", "duplicate"]].head(PAIRS).to_numpy().ravel())
    origin = {"category": category, "folder": folder, **run, "flawline": __version__, "machine": platform()}
    return DataPage(
        title=f"{category}: the images",
        category=category,
        layout=layout,
        folder=folder,
        found=found(manifest, quarantine, pairs, layout),
        notes=data_cautions(manifest, measurements.table, pairs, shortcuts),
        counts=count_images(manifest),
        defects=count_defects(manifest),
        sizes=count_sizes(manifest),
        thumbnails=thumbnails(manifest, pictures),
        near_duplicates=pairs,
        duplicate_thumbnails={name: pictures(name) for name in shown},
        features=features_of(manifest, measurements.table),
        shortcuts=shortcuts,
        quarantine=quarantine,
        settings=flatten({"ingestion": ingestion}),
        ids={**origin, "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"},
    )


def found(manifest: pd.DataFrame, quarantine: pd.DataFrame, pairs: pd.DataFrame, layout: str) -> list[str]:
    """Return what ingestion found, in sentences; the first is the headline."""
    counts = manifest["split"].value_counts()
    parts = ", ".join(f"{counts[split]} {split}" for split in (*SPLITS, UNUSED) if split in counts)
    defective = int((manifest["label"] == 1).sum())
    without = int(((manifest["label"] == 1) & manifest["mask"].isna()).sum())
    lines = [f"{len(manifest)} images: {parts}.", f"{len(manifest) - defective} are normal, {defective} defective; "
             f"layout {layout}."]  # fmt: skip
    if without:
        lines.append(f"{without} of the defective images have no mask: they count by image, not by pixel.")
    if len(pairs):
        same = pairs[pairs["kind"] == "identical"]
        lines.append(f"{count(pairs, 'pair', 'pairs')} of the same photograph: {len(same)} identical, "
                     f"{len(pairs) - len(same)} near-identical.")  # fmt: skip
    return [*lines, f"{count(quarantine, 'file', 'files')} in quarantine."]


def found_in(page: DataPage) -> list[str]:
    """Return the sentences that end a run: what was found, then the cautions."""
    return [*page.found, *page.notes]


def data_cautions(
    manifest: pd.DataFrame, measured: pd.DataFrame, pairs: pd.DataFrame, shortcuts: pd.DataFrame
) -> list[str]:
    """Return what a reader must know before trusting any figure on these images."""
    crossing, contrary = pairs[leaking(pairs)], pairs[contradicting(pairs)]
    tested = manifest[manifest["split"] == "test"]
    said = {
        f"{count(crossing, 'near-identical pair lies', 'near-identical pairs lie')} on both sides of train and test"
        f"{first_of(crossing)}.": len(crossing),
        f"{count(contrary, 'pair', 'pairs')} of a good and a defective image, nearly the same{first_of(contrary)}: is "
        f"one in the wrong folder?": len(contrary),
        f"{groups_on_two_sides(manifest)} of the defective test images are of a group (item, strip) whose good images "
        f"are learned from; ingestion.splits.defective=held_out leaves them out.": groups_on_two_sides(manifest),
        f"{nearly_full_masks(measured)} of the masks mark more than nine tenths of their image: are they "
        f"inverted?": nearly_full_masks(measured),
        "There is no defective image, so nothing says which defects a detector would miss.":
            not manifest["label"].any(),
        "There is no normal test image, so nothing says how many good parts a detector would reject.":
            not (tested["label"] == 0).any(),
    }  # fmt: skip
    return [*sentences(shortcuts), *(sentence for sentence, holds in said.items() if holds)]


def count(rows: pd.DataFrame, one: str, many: str) -> str:
    return f"{len(rows)} {one if len(rows) == 1 else many}"


def first_of(pairs: pd.DataFrame) -> str:
    """Return the names of the first pair in words."""
    return f", for one {pairs['image'].iloc[0]} and {pairs['duplicate'].iloc[0]}" if len(pairs) else ""


def nearly_full_masks(measured: pd.DataFrame) -> int:
    """Return how many masks mark so much that black and white, or alpha, may have been mixed up."""
    masks = measured[measured["format"] == "mask"]
    return int((masks["marked"] > FULL * masks["height"] * masks["width"]).sum())


def groups_on_two_sides(manifest: pd.DataFrame) -> int:
    """Return how many defective test images share their group with a normal image outside the test split."""
    learned = manifest.loc[(manifest["label"] == 0) & (manifest["split"] != "test"), "group"]
    tested = manifest[(manifest["label"] == 1) & (manifest["split"] == "test")]
    return int(tested["group"].isin(set(learned)).sum())


def with_splits(near_duplicates: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with split and label of both; those of which one is in quarantine are left out."""
    known = manifest.set_index("image")[["split", "label"]]
    pairs = near_duplicates[near_duplicates["image"].isin(known.index) & near_duplicates["duplicate"].isin(known.index)]
    first, second = known.loc[pairs["image"]], known.loc[pairs["duplicate"]]
    return pairs.assign(
        split=first["split"].to_numpy(), duplicate_split=second["split"].to_numpy(),
        label=first["label"].to_numpy(), duplicate_label=second["label"].to_numpy(),
    ).reset_index(drop=True)  # fmt: skip


def count_defects(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return (defect, images, with_mask), a row a kind of defect, the commonest first."""
    defective = manifest[manifest["label"] == 1]
    grouped = defective.assign(with_mask=defective["mask"].notna()).groupby("defect")["with_mask"]
    table = grouped.agg(images="size", with_mask="sum").reset_index()
    return table.sort_values(["images", "defect"], ascending=[False, True], ignore_index=True)


def count_sizes(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return (height, width, channels, depth, images), a row a combination, the commonest first."""
    names = ["height", "width", "channels", "depth"]
    table = manifest.groupby(names).size().rename("images").reset_index()
    return table.sort_values(["images", *names], ascending=[False, *[True] * 4], ignore_index=True)


def small_pictures(manifest: pd.DataFrame, measurements: Measurements):  # type: ignore[no-untyped-def]
    """Return a function from an image's name to its small picture (h, w) uint8, in its own proportions."""
    rows = manifest.set_index("image")[["sha256", "page", "height", "width"]]
    places = measurements.places()

    def picture(name: str) -> NDArray[np.uint8]:
        row = rows.loc[name]
        thumbnail = measurements.thumbnails[places[row["sha256"], int(row["page"])]]
        return in_proportion(thumbnail, int(row["height"]), int(row["width"]))

    return picture


def in_proportion(thumbnail: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Stretch a square thumbnail to the proportions of its image (at most 8 to 1); longer side 1 or 2 times SIDE."""
    longer = SIDE * (2 if max(height, width) > 2 * min(height, width) else 1)
    shares = [max(side / max(height, width), 1 / SLIMMEST) for side in (height, width)]
    h, w = (max(1, round(longer * share)) for share in shares)
    return np.asarray(Image.fromarray(np.ascontiguousarray(thumbnail)).resize((w, h), Image.Resampling.BILINEAR))


def thumbnails(manifest: pd.DataFrame, picture) -> list[Thumbnail]:  # type: ignore[no-untyped-def]
    """Return a few images of each split and kind, evenly spread over them."""
    shown: list[Thumbnail] = []
    order = manifest.assign(_place=manifest["split"].map([*SPLITS, UNUSED].index))
    for (_, split, defect), rows in order.groupby(["_place", "split", "defect"], sort=True):
        names = rows["image"].iloc[np.unique(np.linspace(0, len(rows) - 1, SHOWN).astype(int))]
        shown += [Thumbnail(f"{split} {defect}", name, picture(name)) for name in names]
    return shown
