"""The detector as an MLflow model: image files in, verdicts out. MLflow stores this file, not a pickle."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.detector.file import load_detector
from flawline.detector.judging import Judge, Judgement
from flawline.params import InspectionParams

ANSWER = ("score", "threshold", "p_value", "verdict", "reason")  # of each image, as `Judgement` has them


class DetectorModel(mlflow.pyfunc.PythonModel):
    """Judges a table with a column ``image`` of file contents (of any format that is read).

    It judges with the settings that the detector keeps; the parameter ``inspection``, a JSON object as conf has it,
    takes precedence over them."""

    def load_context(self, context: Any) -> None:
        self.detector = load_detector(Path(context.artifacts["detector"]))
        self.judge = Judge(self.detector)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        given = (params or {}).get("inspection") or ""
        judge = Judge(self.detector, read_inspection(given)) if given else self.judge
        said = [judge_bytes(judge, content) for content in model_input["image"]]
        return pd.DataFrame([{name: getattr(each, name) for name in ANSWER} for each in said])


def read_inspection(text: str) -> InspectionParams:
    """Return inspection settings from JSON. Raise FlawlineError if they are none."""
    try:
        return InspectionParams.model_validate(json.loads(text))
    except (ValidationError, ValueError) as error:
        raise FlawlineError(
            f"inspection must be a JSON object as conf/base/parameters/inspection.yml has it, got {text!r}: {error}"
        ) from None


def judge_bytes(judge: Judge, content: bytes) -> Judgement:
    """Judge one image file's content; not_judged, with the reason, if it cannot be read or is of another size."""
    return judge.judge_file(content).judgement


mlflow.models.set_model(DetectorModel())
