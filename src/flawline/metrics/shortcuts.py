"""Shortcuts: figures of whole images (brightness, sharpness, size, bytes) that tell defective images from normal ones,
or test images from training ones, without a look at the part.

Where there is one, a detector may score well on a data set and have learned nothing of defects, or badly because the
test images differ as a whole from the training images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy

SEPARATES = 0.9  # AUROC from which one figure is a shortcut
SURE = 0.01  # largest probability that any of all the AUROCs is as high by chance
COLUMNS = ["question", "feature", "auroc", "direction", "first", "second", "p", "flagged"]
LABEL, SPLIT = "label", "split"  # the questions

WORDS = {  # feature -> (lower, higher)
    "mean": ("darker", "brighter"),
    "contrast": ("lower in contrast", "higher in contrast"),
    "sharpness": ("blurrier", "sharper"),
    "height": ("lower", "taller"),
    "width": ("narrower", "wider"),
    "bytes": ("smaller files", "larger files"),
    "bytes_per_pixel": ("more strongly compressed", "less strongly compressed"),
    "channels": ("of fewer channels", "of more channels"),
}


def find_shortcuts(images: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each question and feature: AUROC (0.5: no difference, 1: always told), direction, counts, p.

    ``images`` has split, label (0 normal, 1 defective), format and the numeric features of WORDS. The questions: are
    defective test images told from normal ones (``label``), and normal test images from training ones (``split``)? The
    probability is Mann and Whitney's, times the number of questions asked (Bonferroni); ``flagged`` from SEPARATES on
    if p is below SURE. The highest AUROC comes first."""
    features = [name for name in WORDS if name in images]
    tables = {name: images[name].astype(float) for name in features} | format_features(images)
    test, normal = images["split"] == "test", images["label"] == 0
    asked = {
        LABEL: (test & normal, test & ~normal, "defective images are"),
        SPLIT: (normal & (images["split"] == "train"), normal & test, "normal test images are"),
    }
    rows = [
        {"question": question, "feature": name, **compare(values[first], values[second], f"{who} {{}}", words_of(name))}
        for question, (first, second, who) in asked.items()
        if first.any() and second.any()
        for name, values in tables.items()
        if np.ptp(values[first | second]) > 0
    ]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "flagged"])
    table["p"] = (table["p"] * len(table)).clip(upper=1.0)
    table["flagged"] = (table["auroc"] >= SEPARATES) & (table["p"] < SURE)
    return table.sort_values(["auroc", "question", "feature"], ascending=[False, True, True], ignore_index=True)


def compare(first: pd.Series, second: pd.Series, sentence: str, words: Sequence[str]) -> dict[str, object]:
    """Return how well one figure tells two groups apart, and in which direction."""
    statistic, p = scipy.stats.mannwhitneyu(second, first)
    auroc = float(statistic) / (len(first) * len(second))
    higher = auroc >= 0.5
    return {
        "auroc": max(auroc, 1 - auroc), "direction": sentence.format(words[int(higher)]),
        "first": len(first), "second": len(second), "p": float(p),
    }  # fmt: skip


def format_features(images: pd.DataFrame) -> dict[str, pd.Series]:
    """Return a 0-or-1 feature for each file format, where there are several."""
    kinds = sorted(images["format"].unique()) if "format" in images else []
    return {f"format {kind}": (images["format"] == kind).astype(float) for kind in kinds} if len(kinds) > 1 else {}


def words_of(feature: str) -> tuple[str, str]:
    """Return the words for a lower and for a higher value of a feature."""
    kind = feature.removeprefix("format ")
    return WORDS.get(feature, (f"less often {kind}", f"more often {kind}"))


def flagged(shortcuts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``find_shortcuts`` that are shortcuts."""
    return shortcuts[shortcuts["flagged"].astype(bool)]


def sentences(shortcuts: pd.DataFrame) -> list[str]:
    """Return a caution for each question that a single figure answers, worst first; nothing if none is flagged."""
    said = []
    for question, rows in flagged(shortcuts).groupby("question", sort=True):
        worst = rows.sort_values("auroc", ascending=False).iloc[0]
        others = len(rows) - 1
        more = f" ({others} other figure{'s' * (others > 1)} too)" if others else ""
        if question == LABEL:
            said.append(
                f"Shortcut: {worst['feature']} alone tells defective test images from good ones (AUROC "
                f"{worst['auroc']:.3f}): {worst['direction']}{more}. A figure on this data may measure that."
            )
        else:
            said.append(
                f"Shortcut: {worst['feature']} alone tells good test images from training images (AUROC "
                f"{worst['auroc']:.3f}): {worst['direction']}{more}. A detector may reject them for that alone."
            )
    return said


def brief(shortcuts: pd.DataFrame) -> str:
    """Return the flagged questions in a few words, for a table's cell: ``label by mean 1.000``; empty if none is."""
    worst = flagged(shortcuts).sort_values("auroc", ascending=False).groupby("question").first()
    return "; ".join(f"{question} by {row['feature']} {row['auroc']:.3f}" for question, row in worst.iterrows())


def features_of(manifest: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Return the manifest's images with what was measured of them, a row an image.

    ``measured`` has sha256, page, mean, contrast, sharpness and format. Grey levels are of 255 on the scale of the bits
    that the manifest says are used."""
    grey = ["mean", "contrast", "sharpness"]
    about = ["image", "split", "label", "defect", "height", "width", "channels", "bytes", "depth", "bits"]
    own = measured[["sha256", "page", *grey, "format"]].drop_duplicates(["sha256", "page"])
    joined = manifest[[*about, "sha256", "page"]].merge(own, on=["sha256", "page"], how="left")
    scale = (2.0 ** joined["depth"] - 1) / (2.0 ** joined["bits"] - 1)
    joined[grey] = joined[grey].mul(scale, axis=0)
    pixels = (joined["height"] * joined["width"]).replace(0, np.nan)
    return joined.drop(columns=["sha256", "page", "depth", "bits"]).assign(bytes_per_pixel=joined["bytes"] / pixels)
