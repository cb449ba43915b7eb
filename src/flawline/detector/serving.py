"""The detector as an MLflow model: image files in, verdicts out. MLflow stores this file, not a pickle."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from flawline.detector.detector import Detector, Judgement, judge, load_detector
from flawline.intake.decoding import UnreadableImageError, decode
from flawline.params import InspectionParams


class DetectorModel(mlflow.pyfunc.PythonModel):
    """Judges a table with a column ``image`` of file contents (PNG, JPEG, BMP, TIFF, WebP)."""

    def load_context(self, context: Any) -> None:
        self.detector = load_detector(Path(context.artifacts["detector"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        said = [judge_bytes(self.detector, content) for content in model_input["image"]]
        return pd.DataFrame([{"score": each.score, "threshold": each.threshold, "verdict": each.verdict,
                              "reason": each.reason} for each in said])  # fmt: skip


def judge_bytes(detector: Detector, content: bytes) -> Judgement:
    """Judge one image file's content; not_judged, with the reason, if it cannot be read or is of another size."""
    inspection = InspectionParams()
    try:
        image = decode(content, max_pixels=inspection.max_pixels)
    except UnreadableImageError as error:
        return Judgement("not_judged", str(error))
    reason = detector.misfit(image)
    if reason:
        return Judgement("not_judged", reason)
    alignment = detector.align(image)
    if alignment is not None and not alignment.aligned:
        return Judgement("not_judged", alignment.reason)
    scored = detector.score(detector.frame(image, alignment))
    return judge(scored, detector.thresholds, inspection, by_map=detector.by_map)


mlflow.models.set_model(DetectorModel())
