"""Image metrics: how well scores tell defective images from normal ones, and what the verdicts of a threshold cost."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from flawline.checks import FlawlineError

NEEDS = {  # metric: the test images that it is measured on
    "accuracy": "",
    "overkill": "normal ",
    "overkill_rate": "normal ",
    "escapes": "defective ",
    "escape_rate": "defective ",
    "f1": "normal and defective ",
    "image_auroc": "normal and defective ",
    "image_ap": "normal and defective ",
    "oracle_f1": "normal and defective ",
    "oracle_accuracy": "normal and defective ",
}


def image_metrics(scores: ArrayLike, labels: ArrayLike, threshold: float) -> tuple[dict[str, float], dict[str, str]]:
    """Return (values, absent): the metrics of ``scores`` (N,) against ``labels`` (N,), 0 normal and 1 defective, and
    for each that these images cannot give, the reason.

    An image is flagged if its score is larger than ``threshold``. ``overkill`` counts the normal images flagged,
    ``escapes`` the defective ones not flagged; their rates are shares of the normal and of the defective images.
    ``oracle_f1`` and ``oracle_accuracy`` are the best over all thresholds, tuned on the test labels: no detector can
    promise them.

    Raises FlawlineError if lengths differ, a score is not finite, a label is neither 0 nor 1 or the threshold is NaN.
    """
    score, defective = checked_pair(scores, labels)
    if math.isnan(threshold):
        raise FlawlineError("threshold must be a number, got nan")
    normals, defectives = int((~defective).sum()), int(defective.sum())
    values = {"normals": float(normals), "defectives": float(defectives)} | mistakes(score > threshold, defective)
    if normals and defectives:
        values |= ranking(score, defective) | oracles(score, defective)
    got = f"got {normals} normal and {defectives} defective"
    return values, {name: f"needs {need}test images, {got}" for name, need in NEEDS.items() if name not in values}


def mistakes(flagged: NDArray[np.bool_], defective: NDArray[np.bool_]) -> dict[str, float]:
    """Return what the verdicts (N,) cost against the truth (N,), leaving out what has no image to count."""
    normals, defectives = int((~defective).sum()), int(defective.sum())
    overkill, escapes = int((flagged & ~defective).sum()), int((~flagged & defective).sum())
    values: dict[str, float] = {}
    if normals or defectives:
        values["accuracy"] = (normals + defectives - overkill - escapes) / (normals + defectives)
    if normals:
        values |= {"overkill": float(overkill), "overkill_rate": overkill / normals}
    if defectives:
        values |= {"escapes": float(escapes), "escape_rate": escapes / defectives}
    if normals and defectives:
        found = defectives - escapes
        values["f1"] = 2 * found / (found + overkill + defectives)
    return values


def ranking(score: NDArray[np.float64], defective: NDArray[np.bool_]) -> dict[str, float]:
    """Return the area under the ROC curve and the average precision of scores (N,), both classes present."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # takes a second to import

    return {
        "image_auroc": float(roc_auc_score(defective, score)),
        "image_ap": float(average_precision_score(defective, score)),
    }


def oracles(score: NDArray[np.float64], defective: NDArray[np.bool_]) -> dict[str, float]:
    """Return the best F1 and accuracy over all thresholds, both classes present. Oracles: they see the labels."""
    defectives = int(defective.sum())
    falling = np.sort(score)[::-1]  # (N,)
    cuts = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1) + 1  # images flagged; equal scores together
    flagged = np.insert(cuts, 0, 0)
    found = np.insert(defective[np.argsort(-score)].cumsum(), 0, 0)[flagged]
    accuracy = (len(score) - defectives - flagged + 2 * found) / len(score)
    return {"oracle_f1": float((2 * found / (flagged + defectives)).max()), "oracle_accuracy": float(accuracy.max())}


def image_curves(scores: ArrayLike, labels: ArrayLike) -> dict[str, pd.DataFrame]:
    """Return ``roc`` (fpr, tpr, threshold) and ``pr`` (recall, precision, threshold), empty if a class is missing.

    A row holds what flagging the scores larger than its threshold gives; -inf flags every image."""
    from sklearn.metrics import precision_recall_curve, roc_curve  # takes a second to import

    score, defective = checked_pair(scores, labels)
    if defective.all() or not defective.any():
        return {}
    fpr, tpr, at_least = roc_curve(defective, score, drop_intermediate=False)
    # scikit-learn flags scores >= its threshold: the same images have scores > the next lower one.
    roc = pd.DataFrame({"fpr": fpr, "tpr": tpr, "threshold": np.append(at_least[1:], -np.inf)})
    precision, recall, at_least = precision_recall_curve(defective, score)
    pr = pd.DataFrame({"recall": recall, "precision": precision, "threshold": np.insert(at_least, 0, -np.inf)})
    return {"roc": roc, "pr": pr}


def checked_pair(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return (scores, defective), both (N,). Raise FlawlineError if they do not fit together."""
    score, label = np.asarray(scores, np.float64).ravel(), np.asarray(labels).ravel()
    if len(score) != len(label):
        raise FlawlineError(f"labels must be as many as scores, got {len(label)} labels and {len(score)} scores")
    if bad := int((~np.isfinite(score)).sum()):
        raise FlawlineError(f"scores must be finite, got {bad} of {len(score)} that are not")
    if strange := sorted({str(each) for each in label[~np.isin(label, (0, 1))]}):
        raise FlawlineError(f"labels must be 0 (normal) or 1 (defective), got {', '.join(strange)}")
    return score, label.astype(bool)
