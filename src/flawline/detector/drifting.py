"""Whether the images of an inspection still look as those that their detector learned from."""

import pandas as pd

from flawline.detector.file import Detector
from flawline.detector.inspecting import Inspection
from flawline.metrics.drift import COLUMNS, SCORE, find_drift
from flawline.params import DriftParams

NAMED = ("since_image", "told_at_image")  # columns


def drift_of(inspected: Inspection, detector: Detector, params: DriftParams | None) -> pd.DataFrame:
    """Return the rows of `flawline.metrics.drift.find_drift`, with the names of the images; none if nothing is asked.
    Images are taken in the order of their names, by the numbers in these.

    The scores are compared with those of the calibration images, the figures with those of all good images that the
    detector was made of."""
    if params is None:
        return pd.DataFrame(columns=[*COLUMNS, *NAMED])
    figures = inspected.figures()
    training = {**detector.training_figures, SCORE: detector.calibration_scores}
    found = find_drift(figures, training, false_alarms=params.false_alarms, odd_share=params.odd_share)
    told = {
        f"{name}_image": [figures.index[k - 1] if k else "" for k in found[name].fillna(0)]
        for name in ("since", "told_at")
    }
    return found.assign(**told)
