"""Detectors in a registry of MLflow's without a run: a version is a folder as MLflow makes one."""

from pathlib import Path

from mlflow.models import Model
from mlflow.tracking import MlflowClient

from flawline.detector.file import Detector, save_detector


def write_model(folder: Path, detector: Detector | None) -> Path:
    """Write a model that holds a detector, or none."""
    (folder / "artifacts").mkdir(parents=True)
    artifacts = {"detector": {"path": "artifacts/detector.safetensors", "uri": "x"}} if detector else {}
    Model(flavors={"python_function": {"artifacts": artifacts}}).save(str(folder / "MLmodel"))
    if detector:
        save_detector(folder / "artifacts" / "detector.safetensors", detector)
    return folder


def register_detector(client: MlflowClient, name: str, folder: Path, detector: Detector | None, **tags: str) -> str:
    """Register a detector as the next version of a model; return its number."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    source = write_model(folder, detector).as_uri()
    return str(client.create_model_version(name, source, tags=tags, await_creation_for=0).version)
