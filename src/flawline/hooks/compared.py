"""The ten figures by which a person compares methods and seeds, and the view of MLflow's that shows them as columns.

MLflow sorts what it compares by name and has no setting for that, so each name begins with its place. Which columns a
table of runs has is kept in the browser, or as a view in a tag of the experiment, where everybody finds it."""

import base64
import json
import math
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

# About as short as a column of MLflow's is wide.
COMPARED = ("image_auroc", "pixel_auroc", "aupro", "escape_rate", "overkill_rate", "overkill_max", "review_share",
            "pseudo_found", "a90_stain", "images_per_s")  # fmt: skip
NAMES = {name: f"{place}_{name}" for place, name in enumerate(COMPARED)}
VIEW = "methods"  # the last part of its address: ?viewStateShareKey=methods
TAG = f"mlflow.sharedViewState.{VIEW}"
METHODS_ONLY = "tags.method != ''"  # not the run above them, nor the candidates of a choice
BY_NAME = "tags.`mlflow.runName`"  # sorted by time, a table hides the run of a method below the run that it is of


def figures_of(dataset: str, data: Any) -> dict[str, float]:
    """Return, as they are logged, those of the ten figures that a method's dataset of that name tells."""
    told = TOLD[dataset](data) if dataset in TOLD else {}
    return {NAMES[name]: value for name, value in told.items() if name in NAMES and value is not None}


def speed(images: int, seconds: float) -> dict[str, float]:
    """Return, as it is logged, how many images the finished detector judged a second."""
    return {NAMES["images_per_s"]: images / seconds} if images else {}


def offer_view(client: MlflowClient, experiment: str) -> None:
    """Keep the view of the ten figures with an experiment, unless it is there, or the store lets nobody tag one."""
    with suppress(MlflowException):
        if client.get_experiment(experiment).tags.get(TAG) != view():
            client.set_experiment_tag(experiment, TAG, view())


def view() -> str:
    """Return the view as MLflow keeps one (mlflow/demo/generators/saved_views.py): its name and its packed state."""
    columns = [f"metrics.`{name}`" for name in NAMES.values()]
    state = {"searchFilter": METHODS_ONLY, "orderByKey": BY_NAME, "orderByAsc": True, "selectedColumns": columns}
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": "methods side by side", "createdAt": 0, "state": f"deflate;{packed}"})


def _measured(metrics: dict[str, Any]) -> dict[str, Any]:
    return {**metrics["values"], "pseudo_found": metrics["values"].get("pseudo_detection_rate")}


def _promised(thresholds: dict[str, Any]) -> dict[str, Any]:
    """Return the overkill that the reject threshold promises to stay below."""
    return {"overkill_max": thresholds["reject"]["promised_overkill"]}


def _review_share(verdicts: pd.DataFrame) -> dict[str, float]:
    return {"review_share": float((verdicts["verdict"] == "review").mean())} if len(verdicts) else {}


def _a90_of_stains(table: pd.DataFrame) -> dict[str, float]:
    """Return the size, pixels, of which nine in ten stains of the strongest contrast are found; none where that lies
    below or beyond what was tried."""
    size = float(table[table["kind"] == "stain"].sort_values("contrast")["a90"].tail(1).sum())
    return {"a90_stain": size} if 0 < size < math.inf else {}


TOLD: dict[str, Callable[[Any], dict[str, Any]]] = {
    "metrics": _measured,
    "thresholds": _promised,
    "verdicts": _review_share,
    "detectability": _a90_of_stains,
}
