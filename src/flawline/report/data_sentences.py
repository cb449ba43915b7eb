"""What ingestion found and what a reader must know of the images before trusting a figure, in sentences."""

import pandas as pd

from flawline.intake.near_duplicates import contradicting, leaking
from flawline.intake.splits import SPLITS, UNUSED
from flawline.metrics.shortcuts import sentences
from flawline.report.contents import DataPage

FULL = 0.9  # share of an image that a mask seldom marks, unless black and white are mixed up


def data_found(manifest: pd.DataFrame, quarantine: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """Return what ingestion found; the first sentence is the headline. ``pairs`` are the near-duplicates."""
    counts = manifest["split"].value_counts()
    parts = ", ".join(f"{counts[split]} {split}" for split in (*SPLITS, UNUSED) if split in counts)
    defective = int((manifest["label"] == 1).sum())
    return [
        f"{len(manifest)} images: {parts}.",
        f"{len(manifest) - defective} are normal, {defective} defective; layout {manifest['layout'].iloc[0]}.",
        *_without_mask(manifest),
        *_alike(pairs),
        f"{_count(quarantine, 'file', 'files')} in quarantine.",
    ]


def data_summary(page: DataPage) -> str:
    """Return the text that ends an ingestion: the category, what was found, and the cautions, a line each."""
    return "\n".join([f"category {page.category}", *page.found, *page.notes]) + "\n"


def data_cautions(
    manifest: pd.DataFrame, measured: pd.DataFrame, pairs: pd.DataFrame, shortcuts: pd.DataFrame
) -> list[str]:
    """Return what a reader must know before trusting any figure on these images."""
    return [
        *sentences(shortcuts),
        *_leaks(pairs),
        *_contradictions(pairs),
        *_shared_groups(manifest),
        *_full_masks(measured),
        *_missing_kinds(manifest),
    ]


def nearly_full_masks(measured: pd.DataFrame) -> int:
    """Return how many masks mark so much that black and white, or alpha, may have been mixed up."""
    masks = measured[measured["format"] == "mask"]
    return int((masks["marked"] > FULL * masks["height"] * masks["width"]).sum())


def groups_on_two_sides(manifest: pd.DataFrame) -> int:
    """Return how many defective test images share their group with a normal image outside the test split."""
    learned = manifest.loc[(manifest["label"] == 0) & (manifest["split"] != "test"), "group"]
    tested = manifest[(manifest["label"] == 1) & (manifest["split"] == "test")]
    return int(tested["group"].isin(set(learned)).sum())


def _without_mask(manifest: pd.DataFrame) -> list[str]:
    without = int(((manifest["label"] == 1) & manifest["mask"].isna()).sum())
    said = f"{without} of the defective images have no mask: they count by image, not by pixel."
    return [said] if without else []


def _alike(pairs: pd.DataFrame) -> list[str]:
    same = int((pairs["kind"] == "identical").sum())
    many = _count(pairs, "pair", "pairs")
    said = f"{many} of the same photograph: {same} identical, {len(pairs) - same} near-identical."
    return [said] if len(pairs) else []


def _leaks(pairs: pd.DataFrame) -> list[str]:
    crossing = pairs[leaking(pairs)]
    many = _count(crossing, "near-identical pair lies", "near-identical pairs lie")
    return [f"{many} on both sides of train and test{_first_of(crossing)}."] if len(crossing) else []


def _contradictions(pairs: pd.DataFrame) -> list[str]:
    contrary = pairs[contradicting(pairs)]
    many = _count(contrary, "pair", "pairs")
    said = f"{many} of a good and a defective image, nearly the same{_first_of(contrary)}: is one in the wrong folder?"
    return [said] if len(contrary) else []


def _shared_groups(manifest: pd.DataFrame) -> list[str]:
    shared = groups_on_two_sides(manifest)
    said = (
        f"{shared} of the defective test images are of a group (item, strip) whose good images are learned from; "
        f"ingestion.splits.defective=held_out leaves them out."
    )
    return [said] if shared else []


def _full_masks(measured: pd.DataFrame) -> list[str]:
    full = nearly_full_masks(measured)
    return [f"{full} of the masks mark more than nine tenths of their image: are they inverted?"] if full else []


def _missing_kinds(manifest: pd.DataFrame) -> list[str]:
    tested = manifest[manifest["split"] == "test"]
    missing = {
        "There is no defective image, so nothing says which defects a detector would miss.":
            not manifest["label"].any(),
        "There is no normal test image, so nothing says how many good parts a detector would reject.":
            not (tested["label"] == 0).any(),
    }  # fmt: skip
    return [sentence for sentence, holds in missing.items() if holds]


def _count(rows: pd.DataFrame, one: str, many: str) -> str:
    return f"{len(rows)} {one if len(rows) == 1 else many}"


def _first_of(pairs: pd.DataFrame) -> str:
    """Return the names of the first pair in words."""
    return f", for one {pairs['image'].iloc[0]} and {pairs['duplicate'].iloc[0]}" if len(pairs) else ""
