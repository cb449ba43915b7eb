"""The detector as an MLflow model: image files in, verdicts out. MLflow stores this file, not a pickle."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.detector.engine_check import kept_images
from flawline.detector.file import Detector, load_detector
from flawline.detector.judging import Judge, Judged
from flawline.figures import heat, scale_top
from flawline.figures.encoding import quick_png
from flawline.metrics.regions import Region
from flawline.params import InspectionParams
from flawline.training.compute import keep_memory, one_thread

SAID = {"score": "double", "threshold": "double", "p_value": "double", "verdict": "string", "reason": "string"}
"""What `Judgement` has of each image -> its type in the answer."""
ANSWER = {**SAID, "regions": "string", "heat_map": "binary"}
ALWAYS = ("verdict", "reason", "regions")  # the other columns are null where there is nothing to say


class DetectorModel(mlflow.pyfunc.PythonModel):
    """Judges a table with a column ``image`` of file contents (of any format that is read).

    It judges with the settings that the detector keeps; the parameter ``inspection``, a JSON object as conf has it,
    takes precedence over them. With the parameter ``heat_map`` the answer holds the anomaly map as a picture too."""

    def load_context(self, context: Any) -> None:
        """Read the detector, and make all ready that the first image would have to wait for."""
        keep_memory()
        self.judge = Judge(load_detector(Path(context.artifacts["detector"])))
        self.judge.check()
        with one_thread():
            heat_map(self.judge.judge_framed(like_learned(self.judge.detector)), self.judge)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        asked = params or {}
        judge = self._with(asked.get("inspection") or "")
        with one_thread():
            rows = [answer(judge, content, mapped=bool(asked.get("heat_map"))) for content in model_input["image"]]
        return pd.DataFrame(rows, columns=list(ANSWER), dtype=object)  # null stays null: JSON has no not-a-number

    def _with(self, inspection: str) -> Judge:
        """Return the judge with settings as JSON, if any are given. What scores the images is the same."""
        return self.judge.with_settings(read_inspection(inspection)) if inspection else self.judge


def signature() -> ModelSignature:
    """Return the served model's signature: an image file's bytes in, what ANSWER has out."""
    outputs = [ColSpec(kind, name, required=name in ALWAYS) for name, kind in ANSWER.items()]
    asked = [ParamSpec("inspection", "string", ""), ParamSpec("heat_map", "boolean", False)]
    return ModelSignature(Schema([ColSpec("binary", "image")]), Schema(outputs), ParamSchema(asked))


def read_inspection(text: str) -> InspectionParams:
    """Return inspection settings from JSON. Raise FlawlineError if they are none."""
    try:
        return InspectionParams.model_validate(json.loads(text))
    except (ValidationError, ValueError) as error:
        raise FlawlineError(
            f"inspection must be a JSON object as conf/base/parameters/inspection.yml has it, got {text!r}: {error}"
        ) from None


def answer(judge: Judge, content: bytes | None, *, mapped: bool = False) -> dict[str, Any]:
    """Return what is said of one image file's content, a value for each name of ANSWER: not_judged, with the reason,
    if it cannot be read or is of another size. ``mapped``: with its anomaly map as a picture."""
    judged = judge.judge_file(content or b"")
    said = judged.judgement
    told = {name: getattr(said, name) for name in SAID}
    return told | {"regions": in_json(said.regions), "heat_map": heat_map(judged, judge) if mapped else None}


def in_json(regions: Iterable[Region]) -> str:
    """Return regions as a JSON list, the largest first: y, x, height, width and area in pixels, and the peak of the
    map."""
    return json.dumps([asdict(region) for region in regions])


def heat_map(judged: Judged, judge: Judge) -> bytes | None:
    """Return the map of a judged image at the photograph's size, as PNG: from black to pale yellow, with the limit on
    maps in the middle. None of one that is not judged, or without a map."""
    if judged.scored is None or not judged.scored.map.size:
        return None
    found = judged.scored.map
    return quick_png(heat(found, top=scale_top(judge.thresholds.on_map.value, [found])))


def like_learned(detector: Detector) -> np.ndarray:
    """Return an image (C, H, W) in the detector's frame: one that it keeps, else a grey one of its largest size."""
    kept = kept_images(detector)
    dtype = np.uint8 if detector.depth == 8 else np.uint16
    return kept[0] if kept else np.full((detector.channels, *detector.largest_frame), np.iinfo(dtype).max // 2, dtype)


mlflow.models.set_model(DetectorModel())
