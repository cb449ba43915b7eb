"""The page of an ingestion: its tables cut to what a person reads, its pictures small, whatever the folder's size."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from flawline.figures import MOST_DOTS, data_uri, feature_figure, jpeg, to_rgb8
from flawline.figures.thumbnails import STRIP
from flawline.intake.near_duplicates import contradicting, leaking
from flawline.metrics.shortcuts import flagged
from flawline.report import tables, words
from flawline.report.contents import DataPage, Thumbnail
from flawline.report.html import chart, fill
from flawline.report.pictures import Picture, page_size
from flawline.report.words import counted

SHOWN_SIZES = 10
SHOWN_DEFECTS = 20
SHOWN_GROUPS = 12
SHOWN_THUMBNAILS = 6  # a group
THUMBNAIL = 0.4  # of the size of a strip's picture
MANY = 42  # beyond so many thumbnails they shrink by a third, or the page of a grainy cloth grows past two megabytes
SHOWN_PAIRS = 8  # with their pictures
SHOWN_LISTED = 20  # without
SHOWN_SHORTCUTS = 10  # a question
SHOWN_CHARTS = 4
SHOWN_REASONS = 20
SHOWN_FILES = 5  # a reason

FEATURES = {  # feature -> meaning
    "mean": "average grey value: how bright the image is",
    "contrast": "spread of the grey values",
    "sharpness": "how much the image changes from pixel to pixel: focus, noise, compression",
    "height": "of the image, in pixels",
    "width": "of the image, in pixels",
    "bytes": "size of the file, which also tells how it was compressed",
    "bytes_per_pixel": "size of the file for its pixels: how strongly it was compressed",
    "channels": "grey has one, colour three",
}
NO_LEAK = "No pair lies on both sides of train and test."
LEAKED = (
    "one image is in test, its duplicate among those that are learned from (train, validation or calibration). What is "
    "measured on such images flatters the detector."
)
APART = "the thresholds may promise more than they keep."
CONTRARY = "one of the labels is wrong, or the defect is all that differs."


def render_data_page(page: DataPage) -> str:
    """Return the report of an ingestion as one HTML document."""
    pictured, listed = _near_duplicates(page.near_duplicates, page.duplicate_thumbnails)
    questions = _questions(page.shortcuts)
    return fill(
        "data.html",
        page=page,
        tiles=_tiles(page),
        counts=tables.split_counts(page.counts).to_dict("split") if len(page.counts) else None,
        defects=page.defects.head(SHOWN_DEFECTS).to_dict("records"),
        more_defects=_beyond(page.defects, SHOWN_DEFECTS),
        sizes=page.sizes.head(SHOWN_SIZES if len(page.sizes) > 1 else 0).to_dict("records"),
        more_sizes=_beyond(page.sizes, SHOWN_SIZES),
        sizes_say=_describe_sizes(page.sizes),
        groups=_groups(page.thumbnails),
        more_groups=page.more_groups + max(0, len({one.group for one in page.thumbnails}) - SHOWN_GROUPS),
        near_duplicates_say=_describe_near_duplicates(page.near_duplicates),
        pictured=pictured,
        listed=listed,
        more_near_duplicates=len(page.near_duplicates) - len(pictured) - len(listed),
        questions=questions,
        meanings={name: FEATURES[name] for name in _names(questions) if name in FEATURES},
        flagged=int(page.shortcuts["flagged"].sum()),
        most_dots=MOST_DOTS,
        charts=_feature_charts(page.features, page.shortcuts),
        reasons=_reasons(page.quarantine),
    )


def _beyond(frame: pd.DataFrame, shown: int) -> int:
    """Return how many rows are not among the first ``shown``."""
    return max(0, len(frame) - shown)


def _tiles(page: DataPage) -> list[tuple[bool, int, str, str]]:
    """Return (is it bad, number, what it counts, of what) of the figures that say whether the data can be trusted."""
    normal, defective = (int(page.counts[name].sum()) for name in ("normal", "defective"))
    leaks, flagged, files = (
        int(leaking(page.near_duplicates).sum()),
        int(page.shortcuts["flagged"].sum()),
        len(page.quarantine),
    )
    compared = counted(len(page.shortcuts), "comparison", "comparisons")
    return [
        (False, normal + defective, "images", f"{words.number(normal)} normal, {words.number(defective)} defective"),
        (
            leaks > 0,
            leaks,
            "near-duplicates across train and test",
            f"of {counted(len(page.near_duplicates), 'pair', 'pairs')} found alike",
        ),
        (flagged > 0, flagged, "shortcut" if flagged == 1 else "shortcuts", f"in {compared}"),
        (files > 0, files, "in quarantine", "files that could not be used"),
    ]


def _describe_sizes(sizes: pd.DataFrame) -> str:
    """Say how uniform the images are: all of one kind, or from which to which size, and how many of each depth."""
    if sizes.empty:
        return ""
    one = sizes.iloc[0]
    kind = f"{counted(one['channels'], 'channel', 'channels')} of {_bits_said(one)}"
    if len(sizes) == 1:
        height, width = words.number(one["height"]), words.number(one["width"])
        return f"Every image is {height} \N{MULTIPLICATION SIGN} {width} pixels, {kind}."
    spans = [
        f"{name} {words.number(low)}" if low == high else f"{name} from {words.number(low)} to {words.number(high)}"
        for name, low, high in ((name, sizes[name].min(), sizes[name].max()) for name in ("height", "width"))
    ]
    kinds = [_totals(sizes, "channels", "channel"), _totals(sizes, "depth", "bit") + _used(sizes.iloc[0])]
    return f"{counted(len(sizes), 'combination', 'combinations')}: {'; '.join([*spans, *kinds])}."


def _bits_said(row: pd.Series) -> str:
    """Return the depth of a row of sizes, such as ``16 bits, 12 used``."""
    return f"{counted(row['depth'], 'bit', 'bits')}{_used(row)}"


def _used(row: pd.Series) -> str:
    """Return how many bits are used where these are not all; they are the same for all images of a category."""
    return "" if row["bits"] == row["depth"] else f", {words.number(row['bits'])} used"


def _totals(sizes: pd.DataFrame, column: str, unit: str) -> str:
    """Return the images of each value of a column, such as ``3 channels (470), 1 channel (10)``."""
    totals = sizes.groupby(column)["images"].sum().sort_values(ascending=False)
    return ", ".join(f"{counted(value, unit, unit + 's')} ({words.number(n)})" for value, n in totals.items())


def _groups(thumbnails: Sequence[Thumbnail]) -> list[tuple[str, list[tuple[str, Picture]]]]:
    """Return the first groups with the name and picture of their first images."""
    groups: dict[str, list[Thumbnail]] = {}
    for thumbnail in thumbnails:
        groups.setdefault(thumbnail.group, []).append(thumbnail)
    shown = {group: inside[:SHOWN_THUMBNAILS] for group, inside in list(groups.items())[:SHOWN_GROUPS]}
    share = THUMBNAIL if sum(map(len, shown.values())) <= MANY else THUMBNAIL * 2 / 3
    return [(g, [(one.name, _picture(one.pixels, g, share=share)) for one in inside]) for g, inside in shown.items()]


def small_size(size: Sequence[int]) -> tuple[int, int]:
    """Return the (height, width) at which a photograph of ``size`` stands on the page where there are few."""
    return page_size(size, share=THUMBNAIL)


def _picture(pixels: NDArray, caption: str, *, share: float = THUMBNAIL) -> Picture:
    """Put a photograph (H, W) or (H, W, 3) uint8 into an address, shrunk to ``share`` of a strip's picture."""
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)  # (C, H, W)
    height, width = page_size(channels.shape[1:], share=share)
    small = Image.fromarray(to_rgb8(channels)).resize((width, height), Image.Resampling.BOX)
    return Picture(caption, data_uri(jpeg(np.asarray(small), quality=75)), height, width)


def _describe_near_duplicates(near_duplicates: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (what is worrying, the rest) of each sentence on what the pairs mean."""
    if near_duplicates.empty:
        return []
    leaks, other = leaking(near_duplicates), near_duplicates["split"] != near_duplicates["duplicate_split"]
    identical, crossing, apart, contrary = (
        int(told.sum())
        for told in (near_duplicates["kind"] == "identical", leaks, other & ~leaks, contradicting(near_duplicates))
    )
    nearly = words.number(len(near_duplicates) - identical)
    kinds = f"{counted(identical, 'pair is', 'pairs are')} identical, {nearly} nearly so"
    lie = (counted(crossing, "pair lies", "pairs lie"), counted(apart, "pair lies", "pairs lie"))
    said = [
        ("", f"{kinds}. A likeness of 1 is the same image."),
        (f"{lie[0]} on both sides of train and test:", LEAKED) if crossing else ("", NO_LEAK),
        (f"{lie[1]} in two of train, validation and calibration:", APART) if apart else ("", ""),
        (f"{counted(contrary, 'pair is', 'pairs are')} of a normal and a defective image:", CONTRARY)
        if contrary
        else ("", ""),
    ]
    return [sentence for sentence in said if any(sentence)]


def _near_duplicates(
    near_duplicates: pd.DataFrame, thumbnails: Mapping[str, NDArray]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the first pairs that have pictures and the first that are only listed, the worrying ones first."""
    ranked = most_worrying(near_duplicates)
    seen = (ranked["image"].isin(thumbnails) & ranked["duplicate"].isin(thumbnails)).astype(bool)
    pictured = ranked[seen].head(SHOWN_PAIRS)
    listed = ranked.drop(index=pictured.index).head(SHOWN_LISTED)
    return [_pair(row, thumbnails) for row in _records(pictured)], [_pair(row, {}) for row in _records(listed)]


def most_worrying(near_duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with what is wrong with them (leaks, contrary, apart), the most worrying first."""
    leaks, contrary = leaking(near_duplicates), contradicting(near_duplicates)
    apart = (near_duplicates["split"] != near_duplicates["duplicate_split"]).astype(int)
    ranked = near_duplicates.assign(leaks=leaks, apart=apart, contrary=contrary)
    order = ["leaks", "contrary", "apart", "likeness"]
    return ranked.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = frame.to_dict("records")
    return records


def _pair(row: Mapping[str, Any], thumbnails: Mapping[str, NDArray]) -> dict[str, Any]:
    """Return what the page prints of a pair: two sides with name, place and picture, and what is wrong with them."""
    columns = (("image", "split", "label"), ("duplicate", "duplicate_split", "duplicate_label"))
    sides = [
        {
            "name": row[name],
            "place": ", ".join([str(row[split]), *_label(row[label])]),
            "picture": _picture(thumbnails[row[name]], "photograph") if row[name] in thumbnails else None,
        }
        for name, split, label in columns
    ]
    splits = f"{row['split']} and {row['duplicate_split']}" if row["apart"] else ""
    return {
        "sides": sides,
        "kind": row["kind"],
        "likeness": _rounded_down(row["likeness"]),
        "warnings": [w for w in (splits, "normal and defective" if row["contrary"] else "") if w],
        "wide": any((p := side["picture"]) and p.width > STRIP * p.height for side in sides),
    }


def _label(label: Any) -> list[str]:
    """Name a label; nothing where it is unknown."""
    return [] if words.missing(label) else ["defective" if label == 1 else "normal"]


def _rounded_down(likeness: Any) -> str:
    """Return a likeness with three decimals, 1.000 only where it is no less."""
    return words.DASH if words.missing(likeness) else f"{np.floor(1000 * float(likeness) + 1e-9) / 1000:.3f}"


def _questions(shortcuts: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each question with its strongest features."""
    return [
        {
            "question": str(question)[:1].upper() + str(question)[1:],
            "rows": [_shortcut(row) for row in _records(inside.head(SHOWN_SHORTCUTS))],
            "more": _beyond(inside, SHOWN_SHORTCUTS),
        }
        for question, inside in shortcuts.groupby("question", sort=False)
    ]


def _shortcut(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a feature as printed; ``filled`` is the share of the way from guessing to perfect, in percent."""
    auroc = row["auroc"]
    filled = 0.0 if words.missing(auroc) else 100 * min(1.0, abs(2 * auroc - 1))
    p = row["p"]
    return {
        **row,
        "flagged": bool(row["flagged"]),
        "auroc": tables.decimals(auroc),
        "filled": f"{filled:.0f}",
        "p": words.DASH if words.missing(p) else "< 0.001" if p < 0.001 else f"{p:.3f}",
    }


def _names(questions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the features of all questions, each once."""
    return list(dict.fromkeys(row["feature"] for one in questions for row in one["rows"]))


def _feature_charts(features: pd.DataFrame, shortcuts: pd.DataFrame) -> list[dict[str, Any]]:
    """Draw the flagged features, or where there is none the strongest, to show how far it is from telling apart."""
    found = flagged(shortcuts)
    shown = found if len(found) else shortcuts.head(1)
    drawable = shown[shown["feature"].isin(features.columns)] if len(features) else shown.head(0)
    said = drawable.groupby("feature", sort=False)["direction"].agg(lambda all_: "; ".join(map(str, all_.unique())))
    return [chart(f"{name}: {said[name]}", feature_figure(features, name)) for name in said.index[:SHOWN_CHARTS]]


def _reasons(quarantine: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each reason with its number of files and the first of them, the commonest first, the rare summed up."""
    by_reason = quarantine.groupby(quarantine["reason"].astype(str), sort=False)["path"]
    files = by_reason.size().sort_values(ascending=False, kind="stable")
    first = by_reason.agg(lambda paths: list(paths[:SHOWN_FILES])) if len(files) else files
    rows = [{"reason": r, "files": n, "first": first[r], "more": n - len(first[r])} for r, n in files.items()]
    rest = sum(row["files"] for row in rows[SHOWN_REASONS:])
    other = [{"reason": "other reasons", "files": rest, "first": [], "more": rest}] if rest else []
    return [*rows[:SHOWN_REASONS], *other]
