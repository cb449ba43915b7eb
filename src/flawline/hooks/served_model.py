"""A finished detector as a model of MLflow's."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from flawline import __version__
from flawline.detector import serving
from flawline.intake.decoding import encode_png
from flawline.intake.manifest import locate, rows_of
from flawline.intake.patch_sets import are_patches
from flawline.storage.ragged import RaggedArray

NAME = "detector"  # of the model in its run


def log_model(run_id: str, detector: Path, example: bytes) -> str:
    """Log the detector of a file as a model to a run, with an image file's content as its example; return where it
    is."""
    with mlflow.start_run(run_id=run_id, nested=True, log_system_metrics=False):
        return mlflow.pyfunc.log_model(name=NAME, **made_of(detector, example)).model_uri


def made_of(detector: Path, example: bytes) -> dict[str, Any]:
    """Return what MLflow makes a model of."""
    return {
        "python_model": serving.__file__,
        "artifacts": {"detector": str(detector)},
        "signature": serving.signature(),
        "input_example": pd.DataFrame({"image": [example]}),
        "pip_requirements": [f"flawline=={__version__}"],
    }


def example_file(manifest: pd.DataFrame, images: RaggedArray, folder: Path) -> bytes:
    """Return a file's content as the model will be given them: a calibration photograph of the raw ``folder``, of which
    the stored image may be turned or cut; of a stack's page, or a patch, what is stored, as PNG."""
    row = rows_of(manifest, ["calibration", "train"])[0]
    if are_patches(manifest) or manifest["page"].iloc[row]:
        return encode_png(images[row])
    path, _ = locate(folder, manifest["image"].iloc[row])
    return path.read_bytes()
