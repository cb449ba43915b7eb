"""The page's words: what each metric and each verdict is called, and what it means to someone who never met it."""

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import pandas as pd

from flawline.metrics.intervals import HIGH, LOW, exact_interval

VERDICTS = {  # verdict -> (shown as, meaning)
    "pass": ("pass", "below the threshold"),
    "review": ("review", "near the threshold: for a person to look at"),
    "reject": ("reject", "beyond the threshold"),
    "not_judged": ("not judged", "unreadable, misaligned or of another size: never a pass"),
}
DASH = "\N{EN DASH}"  # nothing to print
OVERKILL = "good parts rejected"
ESCAPES = "defective parts passed"

P_VALUE = (
    "The p-value p of a score is the share of good parts of which one as high is to be expected, by the same promise "
    "as that of the thresholds. It is not the probability that the part is good."
)

INTERVALS = (
    "Beside a rate stands, in brackets, its exact 95 % interval (Clopper and Pearson): where the true rate may lie, of "
    "which so few images tell."
)
OPERATING_POINTS = (
    "The thresholds as they are, and tighter and looser ones. What is promised and expected is known without test "
    "images; what was counted is of the test images, which choose nothing. An escape is a defective part that passes: "
    "one to review is none."
)
BY_COST = (
    "The oracle costs least on these very test images; no production line can have it. Below it stands what it costs "
    "to treat all parts alike."
)

IMAGE, COUNTS, PIXEL, OTHER = "By image", "Counts at the calibrated threshold", "By pixel", "Other"
RAW, TRAINING = "From the raw map (before smoothing)", "Training"
ORACLE = "With the test labels' help (oracle)"
OUTLIERS = "At the pseudo-supervised threshold"
GROUPS = (IMAGE, COUNTS, OUTLIERS, PIXEL, RAW, TRAINING, OTHER, ORACLE)  # in the page's order
ORACLE_NOTE = (
    "Tuned on the very test labels they are measured with, as some papers do. No production line can have these."
)
SUITS = "Does this material suit an autoencoder?"
DEVELOPMENT = "These are development figures: the choice was made on these categories."
PROJECTED = (
    "Every test image as a point, many numbers drawn in two (t-SNE): neighbours were alike, while axes and distances "
    "between far groups mean nothing. Where defective points lie apart from normal ones, the two can be told apart."
)
SAMPLES_TITLE = "Sample reconstructions"
SAMPLES = "Normal patches that the network never learned from, and what it makes of them while it learns."
SPLIT_TITLE = "What was taken out"
SPLIT = (
    "Patches that were learned from, normal ones and then pseudo-defects: X as it was, L as the network makes it, and "
    "S, what it cannot make, taken out of what it learns from."
)
CHOICE = (
    "Each candidate learned from some of the good images and was shown others, as they are and with pseudo-defects of "
    "many kinds and strengths in them; the AUROC says how well it tells the two apart. After ± stands the standard "
    "error of the difference to the best. Of those that are as good within the scatter, the first in the list of "
    "candidates is taken, which begins with the simplest. Beside it stand the shares of the pseudo-defects above the "
    "review threshold, and of the good images below it when they are moved by up to 1 % of their sides, in a light up "
    "to 3 % brighter or darker. No test image and no real defect took part, so what pseudo-defects do not resemble may "
    "still be missed."
)
FINDS_TITLE = "What it finds, and what it misses"
FINDS = (
    "Pseudo-defects of known size and contrast were drawn into good images, of which a remark tells if the detector "
    "learned from them; found is what it rejects. The size is the diameter of a disk of the same area, the contrast "
    "is the mean change of the defect's pixels as a share of full scale. a50 and a90 are the sizes found five and "
    "nine times in ten; a90/95 is the one that is found nine times in ten with 95 % confidence, since there the "
    "lower bound of the curve is 0.9. Dots are what was counted, bands go from the lower to the upper bound, each "
    "one-sided with 95 %. Real defects that look otherwise may be found more or less often."
)
FINDS_NONE = (
    "No pseudo-defect of known size was judged: none was asked for (detectability.defects), or no good image that the "
    "detector did not learn from is large enough, or none of the kinds can be seen in them."
)
RATES = (
    "Real defective test images, by the size of all that is marked in them: how many are rejected, with the exact 95 % "
    "interval (Clopper and Pearson), and what the curves have for defects of these sizes, from the kind and contrast "
    "that is found least to the one that is found most. Where the real share lies outside, pseudo-defects of these "
    "kinds and contrasts do not stand for the real ones."
)
KINDS = (
    "For the choice of the method every kind of pseudo-defect was tried, at the lower review threshold: the share of "
    "each that it finds in good images that it did not learn from, the least first; of strength 0.5 is what changes "
    "every pixel by half as much. Real defects that look like a kind that is hardly found are likely to be missed."
)
PSEUDO_TITLE = "Pseudo-defects"
PSEUDO = "Made in normal images for the training; of each kind the first: what was there, what it became, the mask."


@dataclass(frozen=True)
class Metric:
    """A metric as the page shows it; ``better`` is 1 where more is better, -1 where less is, 0 unknown."""

    name: str
    label: str
    meaning: str
    group: str
    better: int = 1
    whole: bool = False  # a count of images
    seconds: bool = False


_KNOWN = (
    Metric(
        "image_auroc",
        "Image AUROC",
        "how often a defective image scores above a good one: 0.5 is guessing, 1 perfect",
        IMAGE,
    ),
    Metric(
        "image_ap",
        "Image AP",
        "average precision over all thresholds; its floor is the share of defective images",
        IMAGE,
    ),
    Metric("image_auroc_from_2", "AUROC from 2 %", "the same, of patches of which 2 % or more are marked", IMAGE),
    Metric("image_auroc_from_10", "AUROC from 10 %", "the same, of patches of which 10 % or more are marked", IMAGE),
    Metric("f1", "F1", "balance of defective images found and false alarms, at the calibrated threshold", IMAGE),
    Metric("accuracy", "Accuracy", "share of images judged rightly at the calibrated threshold", IMAGE),
    Metric(
        "pixel_auroc",
        "Pixel AUROC",
        "how often a defective pixel scores above a good one; flattering where defects are small",
        PIXEL,
    ),
    Metric("pixel_ap", "Pixel AP", "average precision over pixels; strict where defects are small", PIXEL),
    Metric(
        "aupro",
        "AUPRO 30 %",
        "mean share of each single defect covered, while at most 30 % of good pixels are flagged",
        PIXEL,
    ),
    Metric(
        "pixel_iou_auc",
        "IoU area",
        "mean overlap of flagged and marked pixels over all thresholds from the lowest to the highest map value",
        PIXEL,
    ),
    Metric("A", "A", "share of defective pixels found (Schneider 2022, Eq. 7)", PIXEL),
    Metric("iou", "IoU", "overlap of found and marked pixels over their union", PIXEL),
    Metric("overkill", "Overkill", "good test images above the reject threshold", COUNTS, better=-1, whole=True),
    Metric(
        "escapes",
        "Escapes",
        "defective test images not above it; a review may still catch some",
        COUNTS,
        better=-1,
        whole=True,
    ),
    Metric("overkill_rate", "Overkill rate", "share of the good test images", COUNTS, better=-1),
    Metric("escape_rate", "Escape rate", "share of the defective test images", COUNTS, better=-1),
    Metric(
        "outlier_f1",
        "Outlier F1",
        "F1 at the 99.9 % quantile of normal scores, the pseudo-supervised threshold",
        OUTLIERS,
    ),
    Metric("outlier_accuracy", "Outlier accuracy", "share of images judged rightly at that threshold", OUTLIERS),
    Metric(
        "outlier_overkill_rate", "Outlier overkill rate", "share of the good test images above it", OUTLIERS, better=-1
    ),
    Metric(
        "outlier_escape_rate",
        "Outlier escape rate",
        "share of the defective test images not above it",
        OUTLIERS,
        better=-1,
    ),
    Metric(
        "pseudo_auroc",
        "Pseudo-defect AUROC",
        "how often a pseudo-defect scores above a held-out good image; no label",
        OUTLIERS,
    ),
    Metric("pseudo_detection_rate", "Pseudo-defects found", "share of them above that threshold; no label", OUTLIERS),
    Metric("normals", "Good", "test images that are good", COUNTS, better=0, whole=True),
    Metric("defectives", "Defective", "test images that are defective", COUNTS, better=0, whole=True),
    Metric("pixel_threshold", "Pixel threshold", "the map value that gives the best IoU", PIXEL, better=0),
    Metric(
        "train_seconds",
        "Training, s",
        "seconds of the training loop alone, on this machine",
        TRAINING,
        better=0,
        seconds=True,
    ),
    Metric(
        "reconstruction_mse",
        "Reconstruction MSE",
        "mean squared difference of good test images and their reconstructions, grey levels from 0 to 255",
        TRAINING,
        better=-1,
    ),
    Metric(
        "reconstruction_ssim",
        "Reconstruction SSIM",
        "structural similarity of good test images and their reconstructions: 1 is the same",
        TRAINING,
    ),
    Metric(
        "dead_latents",
        "Dead latents",
        "share of the latent code's units that no image makes use of: many mean a code that is too long",
        TRAINING,
        better=0,
    ),
)
METRICS = {metric.name: metric for metric in _KNOWN}


def metric_named(name: str) -> Metric:
    """Return how to show a metric: ``oracle_...`` and ``raw_oracle_...`` in the oracles' group, ``raw_...`` in the raw
    map's, an unknown one by its plain name."""
    plain, raw, oracle = _parts(name)
    known = METRICS.get(plain) or Metric(plain, plain.replace("_", " "), "", OTHER, better=0)
    if oracle:
        meaning = known.meaning.replace(
            "the calibrated threshold", "the threshold that maximises it on the test labels"
        )
        label = f"{known.label}{', raw map' * raw}{', oracle' * (plain in METRICS)}"
        return replace(known, name=name, label=label, meaning=meaning, group=ORACLE)
    if raw:
        return replace(known, name=name, label=f"{known.label}, raw", group=RAW)
    return replace(known, name=name)


def metric_order(name: str) -> tuple[bool, int, str]:
    """Sort key: the known metrics in the order above, then the others by name; those of the raw map after all."""
    plain, raw, _ = _parts(name)
    return (raw, list(METRICS).index(plain) if plain in METRICS else len(METRICS), name)


def _parts(name: str) -> tuple[str, bool, bool]:
    """Take a metric's name apart: what is measured, whether on the raw map, whether at an oracle's threshold."""
    smooth = name.removeprefix("raw_")
    plain = smooth.removeprefix("oracle_")
    return plain, smooth != name, plain != smooth


def mistake(label: int | None, verdict: str) -> str:
    """Name the costly mistakes: an escape is a defective part passed, overkill a good part rejected; else empty."""
    if label is None:
        return ""
    return {(1, "pass"): "escape", (0, "reject"): "overkill"}.get((int(label), verdict), "")


def missing(value: Any) -> bool:
    """Say whether a cell of a frame is empty."""
    return value is None or value is pd.NA or bool(value != value)


def share(part: int, whole: int) -> str:
    """Return ``part`` of ``whole`` as a `rounded_share`; a dash of nothing."""
    return rounded_share(part / whole) if whole else DASH


def rounded_share(rate: float) -> str:
    """Return a rate in percent, one decimal below ten percent, two digits below one; a dash for none."""
    if missing(rate):
        return DASH
    percent = 100 * rate
    return f"{percent:.2g} %" if 0 < percent < 1 else f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def interval(low: float, high: float) -> str:
    """Return an interval of a rate in percent, as it stands in brackets."""
    return f"{rounded_share(low).removesuffix(' %')} to {rounded_share(high)}"


def rate_of(count: int, total: int, *, of_all: bool = True) -> str:
    """Return a count as a share of all with its exact 95 % interval, ``5.0 % of 20 (0.13 to 25 %)``, without ``of_all``
    of how many is not told; a dash of none."""
    if not total:
        return DASH
    of = f" of {number(total)}" if of_all else ""
    return f"{share(count, total)}{of} ({interval(*exact_interval(count, total))})"


def unbroken(rate: str) -> str:
    """Return a rate with its interval, between which alone a line may break."""
    text, bracket, interval = rate.partition(" (")
    return bracket.join(each.replace(" ", "\N{NO-BREAK SPACE}") for each in (text, interval)) if bracket else rate


def interval_of(count: int, total: int) -> str:
    """Return the exact 95 % interval of a rate for a sentence that has told its count."""
    return f"exact 95 % interval {interval(*exact_interval(count, total))}"


def is_interval_end(name: str, names: Container[str]) -> bool:
    """Return True if a metric is one end of the interval of another of ``names``: it stands beside that."""
    return any(name.endswith(end) and name.removesuffix(end) in names for end in (LOW, HIGH))


def aligned(values: Iterable[Any]) -> list[str]:
    """Return a column of numbers with the same decimals, four digits for the largest; a dash for a missing one."""
    column = [math.nan if missing(value) else float(value) for value in values]
    largest = max((abs(value) for value in column if math.isfinite(value)), default=0.0)
    decimals = min(9, max(0, 3 - math.floor(math.log10(largest)))) if largest else 0
    return [f"{value:.{decimals}f}" if math.isfinite(value) else DASH for value in column]


def number(value: Any) -> str:
    """Return a value for a table: four digits of a float, a whole number's thousands apart, a dash for none."""
    if missing(value):
        return DASH
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    amount = float(value)
    whole = amount.is_integer() and abs(amount) < 1e15
    return f"{amount:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}") if whole else f"{amount:.4g}"


def p_value(value: Any) -> str:
    """Return a p-value: three decimals, one digit of a smaller one, a dash for none."""
    return DASH if missing(value) else f"{value:.3f}" if value >= 0.001 else f"{value:.1g}"


def seconds(value: Any) -> str:
    """Return a duration in seconds: one decimal below a hundred unless it came whole, a dash for none."""
    if missing(value) or not math.isfinite(value):
        return DASH
    return number(round(value)) if value >= 100 or float(value).is_integer() else f"{value:.1f}"


def after(epochs: int) -> str:
    """Say how long a network has learned."""
    return "untrained" if not epochs else f"after {number(epochs)} {'epoch' if epochs == 1 else 'epochs'}"


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its noun: ``1 pair``, ``3 pairs``."""
    return f"{number(count)} {one if count == 1 else many}"
