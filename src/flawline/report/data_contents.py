"""What the page of an ingestion is made of: counts, near-duplicates, small photographs, sentences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from flawline.figures import to_rgb8
from flawline.intake.decoding import UnreadableImageError, read_photograph
from flawline.intake.manifest import count_images, file_of
from flawline.intake.measuring import SIDE, Measurements, own_scale
from flawline.intake.notes import texts
from flawline.intake.splits import SPLITS, UNUSED
from flawline.metrics.shortcuts import features_of
from flawline.params import IngestionParams, flatten
from flawline.report.contents import DataPage, Thumbnail
from flawline.report.data_page import SHOWN_GROUPS, SHOWN_PAIRS, SHOWN_THUMBNAILS, most_worrying, small_size
from flawline.report.data_sentences import data_cautions, data_found
from flawline.report.origin import origin
from flawline.vision.levels import full_value, to_full_scale
from flawline.workers import by_threads, cores

SLIMMEST = 8  # longer side over shorter, of a small picture


def gather_data_page(
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    measurements: Measurements,
    near_duplicates: pd.DataFrame,
    *,
    shortcuts: pd.DataFrame,
    notes: pd.DataFrame,
    folder: Path,
    category: str,
    ingestion: IngestionParams,
    run: Mapping[str, str],
) -> DataPage:
    """Gather all that the page shows. Photographs in colour are read from ``folder`` again, the few that are shown."""
    pairs = with_splits(near_duplicates, manifest)
    groups = groups_of(manifest)
    shown = dict(list(groups.items())[:SHOWN_GROUPS])
    paired = _names_of(most_worrying(pairs).head(SHOWN_PAIRS))
    small = Photographs(folder, manifest, measurements, ingestion.max_pixels).small(
        [*paired, *(name for names in shown.values() for name in names)]
    )
    return DataPage(
        title=f"{category}: the images",
        category=category,
        layout=str(manifest["layout"].iloc[0]),
        folder=str(folder),
        found=[*data_found(manifest, quarantine, pairs), *texts(notes, caution=False)],
        notes=[*texts(notes, caution=True), *data_cautions(manifest, measurements.table, pairs, shortcuts)],
        counts=count_images(manifest),
        defects=count_defects(manifest),
        sizes=count_sizes(manifest),
        thumbnails=[Thumbnail(group, name, small[name]) for group, names in shown.items() for name in names],
        more_groups=len(groups) - len(shown),
        near_duplicates=pairs,
        duplicate_thumbnails={name: small[name] for name in paired},
        features=features_of(manifest, measurements.table),
        shortcuts=shortcuts,
        quarantine=quarantine,
        settings=flatten({"ingestion": ingestion}),
        ids=origin(run, category=category, folder=str(folder)),
    )


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
    """Return (height, width, channels, depth, bits, images), a row a combination, the commonest first."""
    names = ["height", "width", "channels", "depth", "bits"]
    table = manifest.groupby(names).size().rename("images").reset_index()
    return table.sort_values(["images", *names], ascending=[False, *[True] * len(names)], ignore_index=True)


def groups_of(manifest: pd.DataFrame) -> dict[str, list[str]]:
    """Return a few images of each split and kind, evenly spread over them, in the order of the splits."""
    order = manifest.assign(_place=manifest["split"].map([*SPLITS, UNUSED].index))
    return {
        f"{split} {defect}": rows["image"].iloc[_spread(len(rows), SHOWN_THUMBNAILS)].tolist()
        for (_, split, defect), rows in order.groupby(["_place", "split", "defect"], sort=True)
    }


@dataclass(frozen=True)
class Photographs:
    """The photographs of a manifest, small: in colour from their files, in grey as ingestion measured them."""

    folder: Path
    manifest: pd.DataFrame
    measurements: Measurements
    max_pixels: int

    def small(self, names: Iterable[str]) -> dict[str, NDArray[np.uint8]]:
        """Return images by name, (h, w) uint8 or (h, w, 3) of photographs in colour; one a core is decoded at a time.

        A file that has gone since it was measured is shown grey."""
        wanted = list(dict.fromkeys(names))
        rows = self.manifest.set_index("image").loc[wanted]
        places = self.measurements.places()
        at = [places[key] for key in zip(rows["sha256"], rows["page"], strict=True)]
        thumbnails = [self.measurements.thumbnails[place] for place in at]
        largest = self.measurements.table["largest"].iloc[at]
        given = zip(wanted, (row for _, row in rows.iterrows()), thumbnails, largest, strict=True)
        made = by_threads(lambda each: self._one(*each), given, workers=cores())
        return dict(zip(wanted, made, strict=True))

    def _one(self, name: str, row: pd.Series, thumbnail: NDArray[np.uint8], largest: int) -> NDArray[np.uint8]:
        if row["channels"] > 1:
            try:
                return self._colour(name, row)
            except UnreadableImageError:
                pass
        grey = on_scale(thumbnail, largest, depth=int(row["depth"]), bits=int(row["bits"]))
        return in_proportion(grey, int(row["height"]), int(row["width"]))

    def _colour(self, name: str, row: pd.Series) -> NDArray[np.uint8]:
        page, bits = int(row["page"]), int(row["bits"])
        path = self.folder / file_of(name, page)
        read = read_photograph(path, max_pixels=self.max_pixels, page=page or None, strict=False).pixels
        if read.max(initial=0) > full_value(bits):
            raise UnreadableImageError("has changed since it was measured")
        pixels = to_rgb8(to_full_scale(read, bits), white=1.0)  # (H, W, 3)
        height, width = small_size(pixels.shape[:2])
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))  # (height, width, 3)


def on_scale(thumbnail: NDArray[np.uint8], largest: int, *, depth: int, bits: int) -> NDArray[np.uint8]:
    """Return the thumbnail of an image with such a largest value as bright as on the scale of its category's ``bits``,
    on which all are compared, not on its own."""
    share = full_value(depth) / full_value(bits) / own_scale(largest, depth)
    return thumbnail if share == 1 else np.rint(thumbnail * min(share, 1.0)).astype(np.uint8)


def in_proportion(thumbnail: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Stretch a square thumbnail to the proportions of its image (at most 8 to 1); longer side 1 or 2 times SIDE."""
    longer = SIDE * (2 if max(height, width) > 2 * min(height, width) else 1)
    shares = [max(side / max(height, width), 1 / SLIMMEST) for side in (height, width)]
    h, w = (max(1, round(longer * share)) for share in shares)
    return np.asarray(Image.fromarray(np.ascontiguousarray(thumbnail)).resize((w, h), Image.Resampling.BILINEAR))


def _names_of(pairs: pd.DataFrame) -> list[str]:
    """Return the images of some pairs, each once."""
    return list(dict.fromkeys(pairs[["image", "duplicate"]].to_numpy().ravel().tolist()))


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """Return at most ``most`` of the places below ``count``, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, most).astype(int))
