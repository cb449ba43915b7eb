"""A finished detector as a model of MLflow's: logged and registered if it says the same wherever it is asked."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from flawline import __version__
from flawline.checks import FlawlineError
from flawline.datasets.model_registry import DETECTOR_VERSION
from flawline.detector import serving
from flawline.detector.agreement import disagreement, said_of_kept
from flawline.detector.file import load_detector
from flawline.detector.judging import Judge
from flawline.intake.decoding import encode_png
from flawline.intake.manifest import locate, rows_of
from flawline.intake.patch_sets import are_patches
from flawline.params import ComputeParams
from flawline.storage.ragged import RaggedArray
from flawline.training.compute import one_thread
from flawline.training.runtime import Engine, is_installed

NAME = "detector"  # of the model in its run
VERSION = DETECTOR_VERSION  # tag of a run and of a registered version
LONGEST = 5_000  # characters of a description: a store's column holds no more


def reason_against(detector: Path, example: bytes, compute: ComputeParams) -> str | None:
    """Return why the detector of a file must not become a model; None if it says the same of the images that it keeps
    by every engine that is installed, and as a model that was stored and loaded, that also of the ``example``."""
    made = load_detector(detector)
    try:
        with one_thread():
            judge = Judge(made, compute=compute)
            wanted = said_of_kept(judge)
            for name, other in _others(judge, detector, example, compute):
                found = said_of_kept(other)
                if said := disagreement(made, wanted, found):
                    return f"{name}: {said}"
    except (FlawlineError, MlflowException) as error:
        return str(error).partition("\n")[0]
    return None


def _others(judge: Judge, detector: Path, example: bytes, compute: ComputeParams) -> Iterator[tuple[str, Judge]]:
    """Yield every other way to ask a detector, with its name: by engine, and as a model."""
    for engine in filter(is_installed, get_args(Engine)) if judge.scorer.engine else ():
        yield f"by {engine}", Judge(judge.detector, compute=compute.but(device="cpu", engine=engine))
    with TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(path=Path(folder) / NAME, **made_of(detector, example))
        model = mlflow.pyfunc.load_model(str(Path(folder) / NAME))
        yield "as a loaded model", model.unwrap_python_model().judge
        _check_answer(judge, model, example)


def _check_answer(judge: Judge, model: mlflow.pyfunc.PyFuncModel, example: bytes) -> None:
    """Raise FlawlineError if a model answers otherwise than a judge says of an image file's content."""
    (row,) = model.predict(pd.DataFrame({"image": [example]})).to_dict("records")
    wanted = judge.judge_file(example).judgement
    found = replace(wanted, verdict=row["verdict"], score=row["score"])
    if said := disagreement(judge.detector, [wanted], [found]):
        raise FlawlineError(f"as a loaded model, of its example: {said}")


def register(client: MlflowClient, name: str, source: str, run_id: str, tags: dict[str, str]) -> str:
    """Make a version of the registered model ``name`` of the model at ``source``; return its number.

    Raise FlawlineError if the store has no registry."""
    try:
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        made = client.create_model_version(
            name, source, run_id, tags=tags, model_id=logged_id(source), await_creation_for=0
        )
        return str(made.version)
    except MlflowException as error:
        raise FlawlineError(f"the tracking store registers no models ({str(error).partition(chr(10))[0]})") from None


def logged_id(source: str) -> str | None:
    """Return the id of the logged model at ``source``, which a server wants beside it; None of any other source."""
    return source.removeprefix("models:/") if source.startswith("models:/m-") else None


def describe(client: MlflowClient, name: str, detector_version: str, card: str) -> bool:
    """Give the versions of a registered model that are of a detector's version the card as description; return whether
    there are any."""
    try:
        found = client.search_model_versions(f"name = '{name}' and tags.{VERSION} = '{detector_version}'")
        for each in found:
            client.update_model_version(name, each.version, shortened(card))
    except MlflowException:
        return False
    return bool(found)


def shortened(card: str) -> str:
    """Return a card that a description holds: of a longer one the lines that fit, and where the rest is."""
    if len(card) <= LONGEST:
        return card
    rest = "\n\nThe rest is in model_card.md, an artifact of the run."
    return card[: LONGEST - len(rest)].rpartition("\n")[0] + rest


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
