"""Pixel metrics of anomaly maps: ranking and overlap, exact in constant memory, one image at a time.

Convention: a map is float16 and finite, of either sign. Its bit pattern without the sign, read as uint16, rises with
the distance from zero, so counting pixels per bit pattern loses nothing. A pixel is flagged if its value is larger than
the threshold. Curves run from nothing flagged to everything flagged."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from flawline.checks import FlawlineError, check_range, check_shape
from flawline.metrics.regions import EIGHT

_FROM_ZERO = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
LEVELS = np.concatenate([-_FROM_ZERO[:0:-1], _FROM_ZERO])  # every finite value, rising
ZERO = len(_FROM_ZERO) - 1  # where the level 0 stands
THRESHOLDS = np.append(LEVELS[::-1], -(2.0**16))  # the j-th flags the j highest levels, the last one all
BLOCK = 2**18  # pixels counted at a time
RANKED = ("pixel_auroc", "pixel_ap", "aupro", "pixel_iou_auc")
OVERLAPS = ("A", "iou")
ORACLES = ("oracle_pixel_threshold", "oracle_A", "oracle_iou")
NO_DEFECT = "needs defective test images with masks, got no defective pixel"


@dataclass(eq=False)
class MapCounts:
    """How many pixels have each of the ``LEVELS``, over the maps added so far: 1.5 megabytes, however many."""

    normal: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LEVELS), np.int64))
    defective: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LEVELS), np.int64))
    overlap: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(LEVELS)))  # 1 / region size, a pixel
    regions: int = 0

    def add(self, anomaly_map: NDArray[np.float16], mask: NDArray[np.bool_] | None) -> None:
        """Count the pixels of ``anomaly_map`` (H, W) under ``mask`` (H, W), True where defective; None: all normal.

        Regions of the mask are 8-connected. Raises FlawlineError, and counts nothing, for a map that is not float16 or
        holds values that are not finite, a mask that is not bool, or shapes that differ."""
        check_map(anomaly_map)
        if mask is None or not check_mask(mask, anomaly_map).any():
            for rows in row_blocks(anomaly_map):
                self.normal += _histogram(levels_of(anomaly_map[rows]))
            return
        labels, regions = scipy.ndimage.label(mask, EIGHT)  # (H, W), 0 outside the mask
        sizes = np.zeros(regions + 1, np.int64)
        for rows in row_blocks(mask):
            sizes += np.bincount(labels[rows].ravel(), minlength=regions + 1)
        for rows in row_blocks(anomaly_map):
            levels, inside = levels_of(anomaly_map[rows]), mask[rows]
            under = levels[inside]  # (n,)
            defective = _histogram(under)
            self.normal += _histogram(levels) - defective
            self.defective += defective
            self.overlap += _histogram(under, weights=1 / sizes[labels[rows][inside]])
        self.regions += regions

    def lacking(self) -> str:
        """Return why nothing can be ranked: pixels of one kind are missing; empty if both are there."""
        normal, defective = self.normal.sum(), self.defective.sum()
        got = f"got {normal} defect-free and {defective} defective"
        return "" if normal and defective else f"needs defect-free pixels and masks with defective ones, {got}"

    def pixel_auroc(self) -> float:
        """Return the area under the ROC curve over all pixels, ties counted half.

        Raises FlawlineError if there are no defective or no defect-free pixels."""
        self._need_both()
        return float(np.trapezoid(_flagged_share(self.defective), _flagged_share(self.normal)))

    def pixel_ap(self) -> float:
        """Return the average precision over all pixels, the sum of (R_n - R_{n-1}) P_n, as in scikit-learn.

        Raises FlawlineError if there are no defective or no defect-free pixels."""
        self._need_both()
        return float(np.sum(np.diff(_flagged_share(self.defective)) * self._precision()[1:]))

    def aupro(self, limit: float = 0.3) -> float:
        """Return the area under the per-region overlap curve up to the false positive rate ``limit``, in [0, 1].

        Overlap is the flagged share of a defect region, averaged over regions, so that small defects count as much as
        large ones; the rate is over all defect-free pixels, those of defective images too. Trapezoids, interpolated
        at ``limit``, divided by it.

        Raises FlawlineError if there are no defective or no defect-free pixels, or ``limit`` is not in (0, 1]. Source:
        Bergmann et al. 2020 (CVPR, Uninformed Students) and 2021, doi:10.1007/s11263-020-01400-4."""
        check_limit(limit)
        self._need_both()
        rate, overlap = _flagged_share(self.normal), _flagged_share(self.overlap)
        within = rate <= limit
        x, y = np.append(rate[within], limit), np.append(overlap[within], np.interp(limit, rate, overlap))
        return min(1.0, float(np.trapezoid(y, x)) / limit)  # the sum may be rounded up past limit

    def iou_area(self) -> float:
        """Return the area under IoU over thresholds, these scaled to [0, 1]: the mean IoU of all thresholds, evenly
        spread from the lowest to the highest value of the maps; 0 where all values are the same.

        IoU is of the pixels larger than the threshold and the defective ones, over all images. Unlike the areas under
        ROC and precision-recall curves this depends on the values, not on their order alone: one very high value makes
        it small. Rádli & Czúni 2022, section 8.2, who do not say which thresholds; these are ours.

        Raises FlawlineError if there are no defective or no defect-free pixels."""
        self._need_both()
        (there,) = np.nonzero(self.normal + self.defective)
        first, last = there[0], there[-1]
        if first == last:
            return 0.0
        found, wrong = (_flagged(counts)[::-1][1:] for counts in (self.defective, self.normal))  # (L,), above a level
        iou = found / (self.defective.sum() + wrong)  # (L,), from a level up to the next
        steps = np.diff(LEVELS[first : last + 1])
        return float(np.sum(iou[first:last] * steps) / (LEVELS[last] - LEVELS[first]))

    def recall_and_iou(self, threshold: float) -> tuple[float, float]:
        """Return (A, IoU) of the pixels larger than ``threshold``: the share of defective pixels found, and found
        defective pixels over the union of found and defective ones. Source: Schneider 2022, Eq. 7 and 8.

        Raises FlawlineError if no pixel is defective or the threshold is NaN."""
        check_threshold(threshold)
        self._need_defective()
        first = np.searchsorted(LEVELS, threshold, side="right")  # lowest level flagged
        found, wrong, defective = self.defective[first:].sum(), self.normal[first:].sum(), self.defective.sum()
        return float(found / defective), float(found / (defective + wrong))

    def oracle_iou(self) -> tuple[float, float, float]:
        """Return (threshold, A, IoU) where IoU is largest over all thresholds; ties go to the highest threshold. An
        oracle: it is tuned on the masks. The threshold is below the lowest value where flagging every pixel is best.

        Raises FlawlineError if no pixel is defective."""
        self._need_defective()
        best = int(np.argmax(_flagged(self.defective) / (self.defective.sum() + _flagged(self.normal))))
        threshold = float(THRESHOLDS[best])
        return threshold, *self.recall_and_iou(threshold)

    def curves(self, points: int = 500) -> dict[str, pd.DataFrame]:
        """Return ``pixel_roc`` (fpr, tpr, threshold), ``pixel_pr`` (recall, precision, threshold) and ``pro`` (fpr,
        overlap, threshold), each thinned to at most ``points`` rows; empty without defective or defect-free pixels."""
        check_range("points", points, low=2)
        if self.lacking():
            return {}
        recall, rate = _flagged_share(self.defective), _flagged_share(self.normal)
        tables = {
            "pixel_roc": {"fpr": rate, "tpr": recall},
            "pixel_pr": {"recall": recall, "precision": self._precision()},
            "pro": {"fpr": rate, "overlap": _flagged_share(self.overlap)},
        }
        return {name: thin(pd.DataFrame(xy | {"threshold": THRESHOLDS}), points) for name, xy in tables.items()}

    def _precision(self) -> NDArray[np.float64]:
        """Share of flagged pixels that are defective (L + 1,), 1 while nothing is flagged."""
        found, wrong = _flagged(self.defective), _flagged(self.normal)
        return np.where(found + wrong, found / np.maximum(found + wrong, 1), 1.0)

    def _need_both(self) -> None:
        if reason := self.lacking():
            raise FlawlineError(f"this metric {reason}")

    def _need_defective(self) -> None:
        if not self.defective.any():
            raise FlawlineError(f"this metric {NO_DEFECT}")


def pixel_metrics(
    counts_all: MapCounts, counts_defective: MapCounts, threshold: float, *, aupro_limit: float
) -> tuple[dict[str, float], dict[str, str]]:
    """Return (values, absent): pixel metrics, and for each that these pixels cannot give, the reason.

    ``pixel_auroc``, ``pixel_ap``, ``aupro`` (up to the false positive rate ``aupro_limit``) and ``pixel_iou_auc`` (IoU
    over thresholds) are over all test images, ``A`` and ``iou`` over the defective ones at ``threshold``, as in
    Schneider 2022. ``oracle_A`` and ``oracle_iou`` hold at ``oracle_pixel_threshold``, which is tuned on the masks.

    Raises FlawlineError if ``threshold`` is NaN or ``aupro_limit`` is not in (0, 1]."""
    check_threshold(threshold)
    check_limit(aupro_limit)
    values: dict[str, float] = {}
    absent: dict[str, str] = {}
    if reason := counts_all.lacking():
        absent |= dict.fromkeys(RANKED, reason)
    else:
        ranked = (
            counts_all.pixel_auroc(), counts_all.pixel_ap(), counts_all.aupro(aupro_limit), counts_all.iou_area()
        )  # fmt: skip
        values |= dict(zip(RANKED, ranked, strict=True))
    if counts_defective.defective.any():
        values |= dict(zip(OVERLAPS, counts_defective.recall_and_iou(threshold), strict=True))
        values |= dict(zip(ORACLES, counts_defective.oracle_iou(), strict=True))
    else:
        absent |= dict.fromkeys((*OVERLAPS, *ORACLES), NO_DEFECT)
    return values, absent


def row_blocks(array: NDArray) -> Iterator[slice]:
    """Yield slices of rows of ``array`` (H, W) with about ``BLOCK`` pixels each: bincount widens to eight bytes."""
    rows = max(1, BLOCK // max(1, array.shape[1]))
    return (slice(start, start + rows) for start in range(0, array.shape[0], rows))


def levels_of(anomaly_map: NDArray[np.float16]) -> NDArray[np.uint16]:
    """Return the index into ``LEVELS`` of every value; a negative zero is a zero."""
    from_zero = anomaly_map.view(np.uint16) & np.uint16(0x7FFF)
    return np.where(np.signbit(anomaly_map), ZERO - from_zero, ZERO + from_zero).astype(np.uint16)


def _histogram(levels: NDArray[np.uint16], weights: NDArray | None = None) -> NDArray:
    """Return how many of ``levels`` (any shape) equal each of the ``LEVELS`` (L,), or the sum of their ``weights``."""
    return np.bincount(levels.ravel(), weights, minlength=len(LEVELS))


def _flagged(counts: NDArray) -> NDArray:
    """Return how much of ``counts`` (L,) each of ``THRESHOLDS`` (L + 1,) flags."""
    return np.concatenate([[0], counts[::-1].cumsum()])


def _flagged_share(counts: NDArray) -> NDArray[np.float64]:
    """Return the flagged share of ``counts`` (L,) at each of ``THRESHOLDS`` (L + 1,), from exactly 0 to exactly 1.

    The share of overlaps is their mean over regions, since those of one region add up to 1 (but for rounding, which
    is why the total is theirs and not the number of regions: no share is ever above 1)."""
    above = _flagged(counts)
    return above / above[-1]


def thin(curve: pd.DataFrame, points: int) -> pd.DataFrame:
    """Keep at most ``points`` rows, evenly spaced along the drawn line (the first two columns), both ends included."""
    line = curve.iloc[:, :2].to_numpy()  # (n, 2)
    travelled = np.insert(np.abs(np.diff(line, axis=0)).sum(axis=1).cumsum(), 0, 0)  # (n,)
    kept = np.unique(np.searchsorted(travelled, np.linspace(0, travelled[-1], points)))
    return curve.iloc[kept].reset_index(drop=True)


def check_map(anomaly_map: NDArray) -> None:
    """Raise FlawlineError unless ``anomaly_map`` is (H, W), float16 and finite."""
    check_shape("anomaly_map", anomaly_map, ("H", "W"))
    if anomaly_map.dtype != np.float16:
        raise FlawlineError(f"anomaly_map must be float16, got {anomaly_map.dtype}")
    bad = int((~np.isfinite(anomaly_map)).sum())
    if bad:
        raise FlawlineError(f"anomaly_map must be finite, got {bad} pixels that are not, of {anomaly_map.size}")


def check_mask(mask: NDArray, anomaly_map: NDArray) -> NDArray[np.bool_]:
    """Return ``mask``. Raise FlawlineError unless it is bool and of the map's shape."""
    if mask.shape != anomaly_map.shape:
        raise FlawlineError(f"mask must have the shape of anomaly_map, {anomaly_map.shape}, got {mask.shape}")
    if mask.dtype != np.bool_:
        raise FlawlineError(f"mask must be bool, got {mask.dtype}")
    return mask


def check_limit(limit: float) -> None:
    """Raise FlawlineError unless a limit of the false positive rate is in (0, 1]."""
    if not 0 < limit <= 1:
        raise FlawlineError(f"aupro_limit must be larger than 0 and at most 1, got {limit}")


def check_threshold(threshold: float) -> None:
    """Raise FlawlineError if a threshold is NaN."""
    if math.isnan(threshold):
        raise FlawlineError("threshold must be a number, got nan")
